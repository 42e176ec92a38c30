//! Whether a backend can be called: by its service and endpoints, then by asking it. Pure.

use api::apiregistration::v1::{APIService, APIServiceCondition};
use api::core::v1::Service;
use api::discovery::v1::EndpointSlice;
use apimachinery::quote::quote;
use apimachinery::time::Time;
use jiff::Timestamp;

use super::PORT;

/// The type of the condition.
pub const AVAILABLE: &str = "Available";

/// What the condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub available: bool,
    pub reason: &'static str,
    pub message: String,
}

impl Verdict {
    fn no(reason: &'static str, message: String) -> Self {
        Self {
            available: false,
            reason,
            message,
        }
    }

    /// The backend answered.
    pub fn passed() -> Self {
        Self {
            available: true,
            reason: "Passed",
            message: "all checks passed".to_owned(),
        }
    }

    /// What this server serves itself is there.
    pub fn local() -> Self {
        Self {
            available: true,
            reason: "Local",
            message: "Local APIServices are always available".to_owned(),
        }
    }

    /// It did not, or not well.
    pub fn failed(why: String) -> Self {
        Self::no("FailedDiscoveryCheck", why)
    }
}

/// What keeps the backend from being asked at all; `None`: nothing.
pub fn obstacle(
    api_service: &APIService,
    service: Option<&Service>,
    slices: &[EndpointSlice],
) -> Option<Verdict> {
    let reference = api_service.spec.service.as_deref()?;
    let named = format!("service/{} in {}", reference.name, quote(&reference.namespace));
    let Some(service) = service else {
        return Some(Verdict::no("ServiceNotFound", format!("{named} is not present")));
    };
    if service.spec.type_ != "ClusterIP" {
        return None;
    }
    let number = reference.port.unwrap_or(PORT);
    let Some(port) = service.spec.ports.iter().find(|port| port.port == number) else {
        let message = format!("{named} is not listening on port {number}");
        return Some(Verdict::no("ServicePortError", message));
    };
    let own = |slice: &&EndpointSlice| {
        slice.metadata.namespace == reference.namespace
            && slice.metadata.labels.get("kubernetes.io/service-name") == Some(&reference.name)
    };
    let slices: Vec<&EndpointSlice> = slices.iter().filter(own).collect();
    if slices.is_empty() {
        let message = format!("cannot find endpointslices for {named}");
        return Some(Verdict::no("EndpointsNotFound", message));
    }
    let reachable = slices.iter().any(|slice| {
        let named = |known: &&api::discovery::v1::EndpointPort| {
            known.name.as_ref() == Some(&port.name) && known.port.is_some()
        };
        slice
            .endpoints
            .iter()
            .any(|endpoint| endpoint.conditions.ready != Some(false))
            && slice.ports.iter().any(|known| named(&known))
    });
    (!reachable).then(|| {
        let message = format!(
            "endpointslices for {named} have no addresses with port name {}",
            quote(&port.name)
        );
        Verdict::no("MissingEndpoints", message)
    })
}

/// Puts the verdict into the conditions; false if that changes nothing. The time is that of the last change of the
/// status.
pub fn record(conditions: &mut Vec<APIServiceCondition>, verdict: &Verdict, now: Timestamp) -> bool {
    let status = if verdict.available { "True" } else { "False" };
    let mut next = APIServiceCondition {
        type_: AVAILABLE.to_owned(),
        status: status.to_owned(),
        last_transition_time: Some(Time(now).truncated()),
        reason: verdict.reason.to_owned(),
        message: verdict.message.clone(),
    };
    let Some(standing) = conditions
        .iter_mut()
        .find(|condition| condition.type_ == AVAILABLE)
    else {
        conditions.push(next);
        return true;
    };
    if standing.status == next.status {
        next.last_transition_time = standing.last_transition_time;
    }
    let changed = *standing != next;
    *standing = next;
    changed
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse<T: api::Message + Default>(document: &Value) -> T {
        T::from_json(document.to_string().as_bytes()).expect("a document")
    }

    fn check(service: Option<Value>, slices: &[Value], expected: Option<(&str, &str)>) {
        let api_service: APIService =
            parse(&json!({ "spec": { "service": { "namespace": "ns", "name": "s", "port": 443 } } }));
        let service: Option<Service> = service.map(|spec| parse(&json!({ "spec": spec })));
        let slices: Vec<EndpointSlice> = slices.iter().map(parse).collect();
        let found = obstacle(&api_service, service.as_ref(), &slices);
        let found = found
            .as_ref()
            .map(|verdict| (verdict.reason, verdict.message.as_str()));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_service_with_endpoints_can_be_asked() {
        let service = || Some(json!({ "type": "ClusterIP", "ports": [{ "name": "https", "port": 443 }] }));
        let slice = |port: &str, ready: bool| {
            json!({ "metadata": { "namespace": "ns", "labels": { "kubernetes.io/service-name": "s" } },
                "ports": [{ "name": port, "port": 8443 }],
                "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } }] })
        };
        check(
            None,
            &[],
            Some(("ServiceNotFound", r#"service/s in "ns" is not present"#)),
        );
        check(
            Some(json!({ "type": "ClusterIP", "ports": [{ "port": 80 }] })),
            &[],
            Some((
                "ServicePortError",
                r#"service/s in "ns" is not listening on port 443"#,
            )),
        );
        check(
            service(),
            &[],
            Some((
                "EndpointsNotFound",
                r#"cannot find endpointslices for service/s in "ns""#,
            )),
        );
        let missing = Some((
            "MissingEndpoints",
            r#"endpointslices for service/s in "ns" have no addresses with port name "https""#,
        ));
        check(service(), &[slice("https", false)], missing);
        check(service(), &[slice("other", true)], missing);
        check(service(), &[slice("other", true), slice("https", true)], None);
        check(Some(json!({ "type": "ExternalName" })), &[], None);
    }

    #[test]
    fn the_time_is_that_of_the_last_change() {
        let at = |seconds| Timestamp::from_second(seconds).expect("a time");
        let mut conditions = Vec::new();
        assert!(record(&mut conditions, &Verdict::failed("a".to_owned()), at(1)));
        assert!(!record(&mut conditions, &Verdict::failed("a".to_owned()), at(2)));
        assert!(record(&mut conditions, &Verdict::failed("b".to_owned()), at(3)));
        assert_eq!(conditions[0].last_transition_time, Some(Time(at(1))));
        assert!(record(&mut conditions, &Verdict::passed(), at(4)));
        assert_eq!(conditions[0].last_transition_time, Some(Time(at(4))));
        assert_eq!(conditions.len(), 1);
    }
}
