//! Protobuf from elsewhere: the documents that it carries as bytes must be JSON, or no object that holds one could
//! be shown again.

use super::lexer::Lexer;
use super::{Error, scalar};
use crate::types::{Base, Container, Type};
use crate::wire::{DecodeError, Reader, Value};

/// Checks every document inside a bare message, and that the message itself can be read.
pub fn check_documents(ty: &'static Type, proto: &[u8]) -> Result<(), Error> {
    message(ty, Reader::new(proto))
}

fn message(ty: &'static Type, mut fields: Reader<'_>) -> Result<(), Error> {
    let mut expected = 0;
    while let Some((number, value)) = fields.field()? {
        let Some(index) = ty.index_of(number, &mut expected) else {
            continue;
        };
        let field = &ty.fields[index];
        match field.container {
            Container::One | Container::List => check(field.base, value)?,
            Container::Map => entry(field.base, value)?,
            Container::WrappedList | Container::MapOfLists => {}
        }
    }
    Ok(())
}

fn entry(base: Base, value: Value<'_>) -> Result<(), Error> {
    let mut entry = value.message()?;
    while let Some((number, value)) = entry.field()? {
        if number == 2 {
            check(base, value)?;
        }
    }
    Ok(())
}

fn check(base: Base, value: Value<'_>) -> Result<(), Error> {
    match base {
        Base::Message(ty) => message(ty, value.message()?),
        Base::FieldsV1 | Base::RawExtension | Base::Json => match scalar::inner_bytes(value.bytes()?)? {
            [] => Ok(()),
            document => {
                std::str::from_utf8(document).map_err(|_| DecodeError::Document)?;
                let mut lexer = Lexer::new(document);
                lexer.raw()?;
                lexer.end()
            }
        },
        _ => Ok(()),
    }
}
