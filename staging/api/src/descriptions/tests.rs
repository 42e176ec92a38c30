use std::collections::BTreeSet;

use super::{Description, GROUPS};
use crate::catalogue::{KINDS, RESOURCES};
use crate::types::{Base, Form, PACKAGES, Type};

/// Types that the kinds of stable resources are made of.
fn reachable() -> Vec<&'static Type> {
    let mut found: Vec<&'static Type> = Vec::new();
    let is_stable = |version: &str| {
        version
            .trim_start_matches('v')
            .bytes()
            .all(|byte| byte.is_ascii_digit())
    };
    let mut open: Vec<&'static Type> = RESOURCES
        .iter()
        .filter(|row| is_stable(row.version))
        .filter_map(|row| {
            KINDS
                .iter()
                .find(|kind| kind.api_version == row.api_version && kind.kind == row.kind)
        })
        .map(|kind| kind.ty)
        .collect();
    while let Some(ty) = open.pop() {
        if found.iter().any(|known| std::ptr::eq(*known, ty)) {
            continue;
        }
        found.push(ty);
        open.extend(ty.fields.iter().filter_map(|field| match field.base {
            Base::Message(inner) => Some(inner),
            _ => None,
        }));
    }
    found
}

/// Schemas are OpenAPI's own words.
fn needs_no_words(ty: &Type) -> bool {
    ty.name.starts_with("JSONSchemaProps") || ty.form != Form::Struct
}

#[test]
fn every_type_and_field_of_stable_kinds_is_described() {
    let mut missing = BTreeSet::new();
    for ty in reachable().into_iter().filter(|ty| !needs_no_words(ty)) {
        let description = Description::of(ty);
        if description.summary.is_none() {
            missing.insert(format!("{}.{}", ty.package.name, ty.name));
        }
        for field in ty.fields.iter().filter(|field| !field.name.is_empty()) {
            if description.field(field.name).is_none() {
                missing.insert(format!("{}.{}.{}", ty.package.name, ty.name, field.name));
            }
        }
    }
    assert!(missing.is_empty(), "not described: {missing:#?}");
}

#[test]
fn nothing_is_described_that_does_not_exist() {
    let mut unknown = Vec::new();
    for (group, text) in GROUPS {
        let types = types_of(group);
        let mut described: Vec<&Type> = Vec::new();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let name = line.trim_start().split([':', ' ']).next().unwrap_or_default();
            let known = if line.starts_with("  ") {
                let has_field = |ty: &&Type| ty.fields.iter().any(|field| field.name == name);
                described.iter().any(has_field)
            } else {
                described = types
                    .iter()
                    .copied()
                    .filter(|ty| name == "*" || ty.name == name)
                    .collect();
                !described.is_empty()
            };
            if !known {
                unknown.push(format!("{group}: {line}"));
            }
        }
    }
    assert!(unknown.is_empty(), "described, but not there: {unknown:#?}");
}

/// The types of a group in all its versions; what `meta` says of any type holds for those of all groups.
fn types_of(group: &str) -> Vec<&'static Type> {
    let of_group = |name: &str| group == "meta" || name.split('/').next() == Some(group);
    let packages = PACKAGES.iter().filter(|package| of_group(package.name));
    packages
        .flat_map(|package| package.types.iter().copied())
        .collect()
}

#[test]
fn values_are_described() {
    for name in [
        "Quantity",
        "IntOrString",
        "Time",
        "MicroTime",
        "Duration",
        "FieldsV1",
        "RawExtension",
        "JSON",
    ] {
        assert!(super::of_value(name).is_some(), "{name}");
    }
}
