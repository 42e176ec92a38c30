//! The words in which upstream says why a document can't become an object where it fills the object from the document
//! itself, not from JSON: after strategic merge patches and applies.
//!
//! Upstream: `apimachinery/pkg/runtime/converter.go`.

/// The same complaint of the JSON decoder, as the other way has it. Types that read JSON on their own complain as its
/// decoder does; these know no place.
pub fn as_conversion(why: String) -> String {
    let Some((found, rest)) = why
        .strip_prefix("json: cannot unmarshal ")
        .and_then(|rest| rest.split_once(" into Go struct field "))
    else {
        return why;
    };
    let wanted = rest.rsplit_once(" of type ").map_or(rest, |(_, wanted)| wanted);
    let place = rest.strip_suffix(wanted).unwrap_or(rest);
    let (kind, ty) = match found.split(' ').next().unwrap_or_default() {
        "number" if found.contains('.') => ("float64", "float64"),
        "number" => ("int64", "int64"),
        "bool" => ("bool", "bool"),
        "string" => ("string", "string"),
        "array" => ("slice", "[]interface {}"),
        _ => ("map", "map[string]interface {}"),
    };
    // The complaint holds no more of the type than where it stands.
    let reads_json_itself = ["Timestamp", "Time of", "Port of", "port of"]
        .iter()
        .any(|name| place.contains(name));
    match wanted {
        "string" | "int32" if reads_json_itself => {
            format!("json: cannot unmarshal {found} into Go value of type {wanted}")
        }
        "string" | "int32" | "int64" | "bool" | "float64" => format!("cannot convert {ty} to {wanted}"),
        wanted if wanted.starts_with("map[") => format!("cannot restore map from {kind}"),
        wanted if wanted.starts_with("[]") => format!("cannot restore slice from {kind}"),
        _ => format!("cannot restore struct from: {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::as_conversion;

    #[test]
    fn complaints_lose_their_place() {
        let check = |json: &str, expected: &str| assert_eq!(as_conversion(json.to_owned()), expected);
        check(
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            "cannot convert float64 to int32",
        );
        check(
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
            "cannot convert int64 to string",
        );
        check(
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string",
            "cannot restore map from slice",
        );
        check(
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
            "json: cannot unmarshal bool into Go value of type string",
        );
        check(
            "json: cannot unmarshal string into Go struct field Deployment.spec of type v1.DeploymentSpec",
            "cannot restore struct from: string",
        );
        check("quantities must match", "quantities must match");
    }
}
