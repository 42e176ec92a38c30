//! Rules in schemas: `x-kubernetes-validations`, evaluated after all else has judged an object.
//!
//! Upstream: `apiserver/schema/cel`, `registry/customresource/strategy.go`.

use api::apiextensions::v1::JSONSchemaProps;
use api::{Custom, Message};
use apimachinery::field::{Error, ErrorList, ErrorType, Path, Value as Shown};
use cel::rules::{BUDGET, Rules};
use serde_json::Value;

/// The rules of a version's schema; `None`: it has none.
pub fn compile(declared: &JSONSchemaProps) -> Option<Rules> {
    let json = serde_json::from_slice(&declared.to_json());
    Rules::new(&json.expect("invariant: our own JSON can be read back"), true)
}

/// Adds what the rules find to the errors found so far, and returns warnings: failures of what an update leaves alone.
/// Expressions trust in the types and sizes that the schema declares, so they are not asked where those are wrong.
pub fn check(rules: &Rules, object: &Custom, old: Option<&Custom>, errors: &mut ErrorList) -> Vec<String> {
    if errors.iter().any(blocks) {
        errors.push(Error::invalid(
            &Path::nil(),
            Shown::Json("null".to_owned()),
            "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ));
        return Vec::new();
    }
    let document = Value::Object(object.document());
    let old = old.map(|old| Value::Object(old.document()));
    let found = rules.validate(&Path::nil(), &document, old.as_ref(), BUDGET);
    errors.extend(found.errors);
    found.warnings
}

fn blocks(error: &Error) -> bool {
    matches!(
        error.type_,
        ErrorType::NotSupported
            | ErrorType::Required
            | ErrorType::TooLong
            | ErrorType::TooMany
            | ErrorType::TypeInvalid
    )
}
