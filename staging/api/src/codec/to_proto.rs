//! JSON -> protobuf.
