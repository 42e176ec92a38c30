//! Named formats: `format.dns1123Label().validate(x)`.

use apimachinery::validation::{
    is_qualified_name, is_valid_label_value, name_is_dns_label, name_is_dns_subdomain, name_is_dns1035_label,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Extension, overload, time, url};
use crate::cost::Cost;
use crate::evaluate::Outcome;
use crate::functions::Row;
use crate::value::Value;

/// A rule for strings.
#[derive(Debug)]
pub struct NamedFormat {
    pub name: &'static str,
    pub(crate) validate: fn(&str) -> Vec<String>,
    /// Characters of its pattern, or of one that is like it: what checks cost.
    pub(crate) pattern_size: u64,
}

macro_rules! formats {
    ($($name:literal => $validate:expr, $size:literal;)*) => {
        static FORMATS: &[NamedFormat] = &[$(NamedFormat { name: $name, validate: $validate, pattern_size: $size }),*];
        pub(super) const TABLE: &[Row] = &[
            $(Row { name: concat!("format.", $name), signatures: &["() -> format"], cost: Cost::Fixed(1), code: |_| constant($name) },)*
            Row { name: "format.named", signatures: &["(string) -> optional(format)"], cost: Cost::Fixed(1), code: named },
            Row { name: "validate", signatures: &["format.(string) -> optional(list(string))"], cost: Cost::Format, code: validate },
        ];
    };
}

formats! {
    "dns1123Label" => |text| name_is_dns_label(text, false), 30;
    "dns1123Subdomain" => |text| name_is_dns_subdomain(text, false), 60;
    "dns1035Label" => |text| name_is_dns1035_label(text, false), 30;
    "qualifiedName" => is_qualified_name, 60;
    "dns1123LabelPrefix" => |text| name_is_dns_label(text, true), 30;
    "dns1123SubdomainPrefix" => |text| name_is_dns_subdomain(text, true), 60;
    "dns1035LabelPrefix" => |text| name_is_dns1035_label(text, true), 30;
    "labelValue" => is_valid_label_value, 40;
    "uri" => |text| url::read(text).err().into_iter().collect(), 2083;
    "uuid" => |text| unless(is_uuid(text), "does not match the UUID format"), 95;
    "byte" => |text| unless(!text.is_empty() && STANDARD.decode(text).is_ok(), "invalid base64"), 84;
    "date" => |text| unless(time::parse_date(text).is_some(), "invalid date"), 133;
    "datetime" => |text| unless(time::parse_timestamp(text).is_some(), "invalid datetime"), 133;
}

fn unless(good: bool, message: &str) -> Vec<String> {
    if good {
        Vec::new()
    } else {
        vec![message.to_owned()]
    }
}

fn is_uuid(text: &str) -> bool {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit) && matches!(text.len(), 32 | 36)
}

fn find(name: &str) -> Option<&'static NamedFormat> {
    FORMATS.iter().find(|format| format.name == name)
}

fn constant<'a>(name: &str) -> Outcome<'a> {
    find(name).map_or_else(overload, |format| Ok(Value::Extension(Extension::Format(format))))
}

fn named<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(name)] => Ok(match find(name) {
            Some(format) => Value::some(Value::Extension(Extension::Format(format))),
            None => Value::Optional(None),
        }),
        _ => overload(),
    }
}

fn validate<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Extension(Extension::Format(format)), Value::String(text)] => {
            let errors = (format.validate)(text);
            Ok(match errors.is_empty() {
                true => Value::Optional(None),
                false => Value::some(Value::list(errors.into_iter().map(Value::text).collect())),
            })
        }
        _ => overload(),
    }
}
