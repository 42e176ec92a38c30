//! Schemas of custom kinds: what belongs together, by type and by `x-kubernetes-*`.

use api::apiextensions::v1::JSONSchemaProps;
use structured_merge::{ScalarKind, Shape};

use super::{Node, relation};

pub(super) fn shape(schema: &JSONSchemaProps) -> Shape {
    match schema.type_.as_str() {
        _ if schema.x_kubernetes_int_or_string => Shape::Scalar,
        "object" => Shape::Map(relation(
            schema.x_kubernetes_map_type.as_deref() == Some("atomic"),
        )),
        "array" => {
            let kind = schema.x_kubernetes_list_type.as_deref();
            Shape::List(relation(!matches!(kind, Some("map" | "set"))))
        }
        "" => Shape::Untyped,
        _ => Shape::Scalar,
    }
}

/// The type of what no field declares, and of items.
pub(super) fn element(schema: &JSONSchemaProps) -> Option<Node<'_>> {
    if schema.type_ == "array" {
        let items = schema.items.as_ref()?.schema.as_deref();
        return Some(items.map_or(Node::Any, Node::Declared));
    }
    if let Some(extra) = &schema.additional_properties {
        let declared = extra.schema.as_deref().map(Node::Declared);
        return declared.or(extra.allows.then_some(Node::Any));
    }
    let is_open = schema.x_kubernetes_preserve_unknown_fields == Some(true) || schema.properties.is_empty();
    is_open.then_some(Node::Any)
}

pub(super) fn scalar(schema: &JSONSchemaProps) -> ScalarKind {
    match schema.type_.as_str() {
        _ if schema.x_kubernetes_int_or_string => ScalarKind::Any,
        "string" => ScalarKind::Text,
        "boolean" => ScalarKind::Boolean,
        "integer" | "number" => ScalarKind::Numeric,
        _ => ScalarKind::Any,
    }
}

#[cfg(test)]
mod tests {
    use structured_merge::{Relation, Schema};

    use super::*;

    #[test]
    fn lists_and_maps_belong_together_as_stated() {
        let schema = |json: &str| {
            let parsed = api::Message::from_json(json.as_bytes());
            parsed.expect("a schema")
        };
        let check = |json: &str, expected: Shape| assert_eq!(shape(&schema(json)), expected, "{json}");
        check(r#"{"type":"object"}"#, Shape::Map(Relation::Separable));
        check(
            r#"{"type":"object","x-kubernetes-map-type":"atomic"}"#,
            Shape::Map(Relation::Atomic),
        );
        check(r#"{"type":"array"}"#, Shape::List(Relation::Atomic));
        check(
            r#"{"type":"array","x-kubernetes-list-type":"set"}"#,
            Shape::List(Relation::Separable),
        );
        check(r#"{"x-kubernetes-int-or-string":true}"#, Shape::Scalar);
        check(r#"{"x-kubernetes-preserve-unknown-fields":true}"#, Shape::Untyped);
        let root: JSONSchemaProps = schema(
            r#"{"type":"object","properties":{"spec":{"type":"object","properties":{"a":{"type":"string"}}}}}"#,
        );
        let root = Node::Custom(&root);
        assert!(root.field("metadata").is_some() && root.field("kind").is_some());
        let spec = root.field("spec").expect("declared");
        assert!(spec.field("a").is_some() && spec.field("b").is_none() && spec.element().is_none());
    }
}
