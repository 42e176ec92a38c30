use api::Object;
use api::core::v1::ConfigMap;
use apimachinery::gvk::{GroupVersionKind, GroupVersionResource};
use auth::UserInfo;
use component_base::clock::FakeClock;

use super::*;
use crate::plugin::{Outcome, done, pass};

/// Notes its name in the object's labels, or refuses.
struct Named {
    name: &'static str,
    refuses: bool,
}

impl Plugin for Named {
    fn name(&self) -> &'static str {
        self.name
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn mutate<'a>(&'a self, _: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if let Some(map) = review.object_as_mut::<ConfigMap>() {
            let seen = map.metadata.labels.entry("seen".to_owned()).or_default();
            seen.push_str(self.name);
            seen.push(' ');
        }
        pass()
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if self.refuses {
            return done(Err(attributes.forbidden(review.object(), "no")));
        }
        pass()
    }
}

fn chain(enabled: &[&str], disabled: &[&str], refusing: &str) -> Result<(Chain, Registry), Error> {
    let strings = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let names = ["ResourceQuota", "NodeRestriction", "OurOwn", "NamespaceLifecycle"];
    let plugin = |name| -> Arc<dyn Plugin> {
        Arc::new(Named {
            name,
            refuses: name == refusing,
        })
    };
    let metrics = Registry::new();
    let clock = FakeClock::new(jiff::Timestamp::UNIX_EPOCH);
    let selection = Selection::new(&strings(enabled), &strings(disabled))?;
    let chain = Chain::new(names.map(plugin).into(), &selection, clock, &metrics)?;
    Ok((chain, metrics))
}

fn names(enabled: &[&str], disabled: &[&str]) -> Result<String, Error> {
    Ok(chain(enabled, disabled, "")?
        .0
        .names()
        .collect::<Vec<_>>()
        .join(" "))
}

#[test]
fn plugins_run_in_upstreams_order_with_our_own_first() {
    assert_eq!(
        names(&[], &[]).unwrap(),
        "OurOwn NamespaceLifecycle ResourceQuota"
    );
    let all = "OurOwn NamespaceLifecycle NodeRestriction ResourceQuota";
    assert_eq!(names(&["NodeRestriction"], &[]).unwrap(), all);
    assert_eq!(
        names(&[], &["NamespaceLifecycle"]).unwrap(),
        "OurOwn ResourceQuota"
    );
    assert_eq!(names(&["Nonsense"], &[]), Err(Error::Unknown("Nonsense".into())));
    let both = names(&["ResourceQuota"], &["ResourceQuota"]);
    assert_eq!(both, Err(Error::Contradiction("ResourceQuota".into())));
    assert_eq!(
        names(&["EventRateLimit"], &[]),
        Err(Error::Unavailable("EventRateLimit".into()))
    );
}

async fn run(chain: &Chain, operation: Operation, map: &mut ConfigMap) -> Result<(), Status> {
    let attributes = Attributes {
        operation,
        kind: GroupVersionKind {
            group: String::new(),
            version: "v1".into(),
            kind: "ConfigMap".into(),
        },
        resource: GroupVersionResource {
            group: String::new(),
            version: "v1".into(),
            resource: "configmaps".into(),
        },
        subresource: "",
        namespace: "ns",
        name: "c",
        user: &UserInfo::new("ada", &[]),
        dry_run: false,
        options: &[],
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let mut object: Box<dyn Object> = Box::new(map.clone());
    let mut review = Review::new(Some(&mut object), None);
    let outcome = async {
        chain.mutate(&attributes, &mut review).await?;
        chain.validate(&attributes, &mut review).await
    };
    let outcome = outcome.await;
    *map = *object.downcast().expect("plugins keep the kind");
    outcome
}

#[tokio::test]
async fn each_plugin_sees_what_the_ones_before_have_made() {
    let (chain, _) = chain(&[], &[], "").unwrap();
    let mut map = ConfigMap::default();
    run(&chain, Operation::Create, &mut map).await.unwrap();
    assert_eq!(
        map.metadata.labels["seen"],
        "OurOwn NamespaceLifecycle ResourceQuota "
    );
    let mut other = ConfigMap::default();
    run(&chain, Operation::Update, &mut other).await.unwrap();
    assert!(other.metadata.labels.is_empty() && !chain.handles(Operation::Update));
}

#[tokio::test]
async fn a_refusal_ends_the_request_and_is_counted() {
    let (chain, metrics) = chain(&[], &[], "NamespaceLifecycle").unwrap();
    let refused = run(&chain, Operation::Create, &mut ConfigMap::default())
        .await
        .unwrap_err();
    assert_eq!(refused.message, r#"configmaps "c" is forbidden: no"#);
    let text = String::from_utf8(metrics.render().unwrap()).unwrap();
    let count = "apiserver_admission_controller_admission_duration_seconds_count";
    let of = |name: &str| {
        format!(r#"{count}{{name="{name}",operation="CREATE",rejected="true",type="validate"}} 1"#)
    };
    assert!(text.contains(&of("NamespaceLifecycle")), "{text}");
    assert!(!text.contains(r#"name="ResourceQuota",operation="CREATE",rejected="false",type="validate""#));
}
