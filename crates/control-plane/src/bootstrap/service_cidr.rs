//! The ServiceCIDR object of the ranges that the server was started with.

use api::meta::v1::Condition;
use api::networking::v1::ServiceCIDR;
use apimachinery::status::Status;
use apimachinery::time::Time;
use apiserver::local::Local;
use jiff::Timestamp;

const NAME: &str = "kubernetes";
const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";

/// Makes it, and says that it is ready.
pub async fn ensure(local: &Local, ranges: &[String], now: Timestamp) -> Result<(), Status> {
    let mut range = ServiceCIDR::default();
    range.metadata.name = NAME.to_owned();
    range.metadata.finalizers = vec![FINALIZER.to_owned()];
    range.spec.cidrs = ranges.to_vec();
    super::ensure(local, range).await?;
    let ready = |condition: &Condition| condition.type_ == "Ready" && condition.status == "True";
    if local
        .get::<ServiceCIDR>("", NAME)
        .await?
        .status
        .conditions
        .iter()
        .any(ready)
    {
        return Ok(());
    }
    let set_ready = move |range: &mut ServiceCIDR| {
        range
            .status
            .conditions
            .retain(|condition| condition.type_ != "Ready");
        range.status.conditions.push(Condition {
            type_: "Ready".to_owned(),
            status: "True".to_owned(),
            message: "Kubernetes Service CIDR is ready".to_owned(),
            last_transition_time: Some(Time(now).truncated()),
            ..Condition::default()
        });
    };
    local.update_status("", NAME, set_ready).await.map(drop)
}
