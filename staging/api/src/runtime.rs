//! Types whose content is another document: kept as its bytes.

use crate::wire::{DecodeError, FieldValue, Value, Writer};

macro_rules! raw {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            pub raw: Vec<u8>,
        }

        impl FieldValue for $name {
            fn put(&self, number: u32, w: &mut Writer) {
                let before = w.len();
                self.raw.put(1, w);
                w.close(number, before);
            }

            fn merge_value(&mut self, value: Value<'_>) -> Result<(), DecodeError> {
                let mut reader = value.message()?;
                while let Some((number, value)) = reader.field()? {
                    if number == 1 {
                        self.raw.merge_value(value)?;
                    }
                }
                Ok(())
            }
        }
    };
}

raw! {
    /// An object of any kind: JSON, or protobuf in its envelope. Empty: absent.
    RawExtension
}

raw! {
    /// The set of fields that a manager owns, as JSON. Empty: absent.
    FieldsV1
}

raw! {
    /// Any JSON value, as in a schema's default.
    Json
}
