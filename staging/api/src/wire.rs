//! Protobuf as upstream's generated marshallers write it, for the typed structs.
//!
//! What distinguishes that form: every non-pointer scalar, string and struct is written even when zero, maps are
//! sorted by key, fields come in number order. The writer works from the end of its buffer, so that a length is
//! known when it is written.
//!
//! Reading order: [`Reader`], [`Writer`], [`FieldValue`], then [`well_known`](self) for the types with a form of
//! their own.

mod field_value;
mod reader;
mod well_known;
mod writer;

pub use field_value::{
    FieldValue, merge_box, merge_map_of_lists, merge_time, merge_wrapped, put_box, put_map_of_lists,
    put_time, put_wrapped,
};
pub use reader::{DecodeError, MAX_DEPTH, Reader, Value, Wire};
pub use writer::{Writer, written};
