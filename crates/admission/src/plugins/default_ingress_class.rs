//! An ingress that names no class gets the default one.

use std::cmp::Reverse;
use std::sync::Arc;

use api::networking::v1::{Ingress, IngressClass};
use auth::Objects;

use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
/// The class of an ingress before it became a field.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub struct DefaultIngressClass {
    objects: Arc<dyn Objects>,
}

impl DefaultIngressClass {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// Of several, the newest; of several as new, the first by name.
    fn default(&self) -> Option<String> {
        let is_default = |class: &IngressClass| {
            class
                .metadata
                .annotations
                .get(IS_DEFAULT)
                .is_some_and(|value| value == "true")
        };
        let classes = self
            .objects
            .cached_all::<IngressClass>("")
            .into_iter()
            .filter(|class| is_default(class));
        let newest = classes.min_by_key(|class| {
            (
                Reverse(class.metadata.creation_timestamp),
                class.metadata.name.clone(),
            )
        });
        newest.map(|class| class.metadata.name)
    }
}

impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.is("networking.k8s.io", "ingresses", "")
            && let Some(ingress) = review.object_as_mut::<Ingress>()
            && ingress.spec.ingress_class_name.is_none()
            && !ingress.metadata.annotations.contains_key(CLASS_ANNOTATION)
        {
            ingress.spec.ingress_class_name = self.default();
        }
        pass()
    }
}

#[cfg(test)]
mod tests {
    use auth::objects::MemoryObjects;

    use super::*;
    use crate::testing::{Request, from_json};

    #[tokio::test]
    async fn the_default_is_taken_where_no_class_is_named() {
        let objects = Arc::new(MemoryObjects::new());
        objects.insert::<IngressClass>(from_json(
            r#"{"metadata":{"name":"usual","annotations":{"ingressclass.kubernetes.io/is-default-class":"true"}}}"#,
        ));
        let plugin = DefaultIngressClass::new(objects);
        let check = async |json: &str, expected: Option<&str>| {
            let mut ingress: Ingress = from_json(json);
            Request::create()
                .run(&plugin, Some(&mut ingress), None)
                .await
                .unwrap();
            assert_eq!(ingress.spec.ingress_class_name.as_deref(), expected);
        };
        check("{}", Some("usual")).await;
        check(r#"{"spec":{"ingressClassName":"mine"}}"#, Some("mine")).await;
        check(
            r#"{"metadata":{"annotations":{"kubernetes.io/ingress.class":"x"}}}"#,
            None,
        )
        .await;
    }
}
