//! What all versions of a definition have in common, as upstream keeps it: once for all of them, which paths of errors
//! tell.

use api::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinitionSpec, CustomResourceDefinitionVersion,
    CustomResourceSubresources, JSONSchemaProps, SelectableField,
};

pub(super) struct Hoisted<'a> {
    /// Without what stands below.
    pub versions: Vec<CustomResourceDefinitionVersion>,
    pub schema: Option<&'a JSONSchemaProps>,
    pub subresources: Option<&'a CustomResourceSubresources>,
    pub columns: &'a [CustomResourceColumnDefinition],
    pub selectable: &'a [SelectableField],
    all: &'a [CustomResourceDefinitionVersion],
}

impl<'a> Hoisted<'a> {
    pub fn of(spec: &'a CustomResourceDefinitionSpec) -> Hoisted<'a> {
        let mut hoisted = Hoisted {
            versions: spec.versions.clone(),
            schema: None,
            subresources: None,
            columns: &[],
            selectable: &[],
            all: &spec.versions,
        };
        let Some(first) = spec.versions.first() else {
            return hoisted;
        };
        let same = |is: fn(&CustomResourceDefinitionVersion, &CustomResourceDefinitionVersion) -> bool| {
            spec.versions.iter().all(|version| is(version, first))
        };
        let own = &mut hoisted.versions;
        if same(|one, other| one.schema == other.schema) {
            let schema = first.schema.as_deref();
            hoisted.schema = schema.and_then(|schema| schema.open_api_v3_schema.as_deref());
            own.iter_mut().for_each(|version| version.schema = None);
        }
        if same(|one, other| one.subresources == other.subresources) {
            hoisted.subresources = first.subresources.as_deref();
            own.iter_mut().for_each(|version| version.subresources = None);
        }
        if same(|one, other| one.additional_printer_columns == other.additional_printer_columns) {
            hoisted.columns = &first.additional_printer_columns;
            own.iter_mut()
                .for_each(|version| version.additional_printer_columns.clear());
        }
        if same(|one, other| one.selectable_fields == other.selectable_fields) {
            hoisted.selectable = &first.selectable_fields;
            own.iter_mut()
                .for_each(|version| version.selectable_fields.clear());
        }
        hoisted
    }

    /// The subresources of a version that has a status apart.
    pub fn any_subresources_with_status(&self) -> Option<&'a CustomResourceSubresources> {
        let each = self
            .all
            .iter()
            .filter_map(|version| version.subresources.as_deref());
        each.into_iter()
            .find(|subresources| subresources.status.is_some())
    }
}
