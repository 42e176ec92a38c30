//! Says which ranges of service addresses are ready, and keeps those that are deleted while services have addresses
//! of them (KEP-1880).
//!
//! Upstream: pkg/controller/servicecidrs

pub mod plan;

use std::sync::Arc;

use api::networking::v1::{IPAddress, ServiceCIDR};
use apimachinery::time::Time;
use client::{Error, Patch, PatchParams};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::event_recorder::EventType;
use controller_runtime::{Context, Event, ObjectKey, Recorder, Store};
use futures_util::future::BoxFuture;
use serde_json::json;

use plan::{FINALIZER, Ready, Step};

const NAME: &str = "ipaddresses";
const COMPONENT: &str = "service-cidr-controller";
const WORKERS: usize = 5;

/// Runs the controller until shutdown.
pub async fn run(context: Context) {
    let ranges = context.informers.of::<ServiceCIDR>();
    let addresses = context.informers.of::<IPAddress>();
    let queue = context.queue(NAME);
    let (store, own) = (ranges.store(), queue.clone());
    ranges.add_handler(move |event| {
        let range = event.object();
        own.add(ObjectKey::of(&range.metadata));
        // A range that comes may let another go.
        if matches!(event, Event::Added(_)) {
            let all = store.list();
            let affected = all.iter().filter(|other| plan::overlap(range, other));
            affected.for_each(|other| own.add(ObjectKey::of(&other.metadata)));
        }
    });
    let (store, own) = (ranges.store(), queue.clone());
    addresses.add_handler(move |event| {
        if matches!(event, Event::Updated { .. }) {
            return;
        }
        if let Some(address) = plan::given_address(event.object()) {
            let all = store.list();
            let holders = all.iter().filter(|range| plan::holds(range, address));
            holders.for_each(|range| own.add(ObjectKey::of(&range.metadata)));
        }
    });
    let controller = Controller {
        ranges: ranges.store(),
        addresses: addresses.store(),
        recorder: context.recorder.for_component(COMPONENT),
        context: context.clone(),
    };
    context.drive(NAME, queue, WORKERS, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    recorder: Recorder,
    ranges: Store<ServiceCIDR>,
    addresses: Store<IPAddress>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(range) = self.ranges.get(key) else {
                return Ok(Outcome::Done);
            };
            let now = self.context.clock.now();
            match plan::plan(&range, &self.ranges.list(), &self.addresses.list(), now) {
                Step::Keep(ready) => {
                    self.protect(&range).await?;
                    if let Err(error) = self.say(&range, ready).await {
                        let message = "The ServiceCIDR Status can not be set to Ready=True".to_owned();
                        let reason = "KubernetesServiceCIDRError";
                        self.recorder.event(&*range, EventType::Warning, reason, message);
                        return Err(error.into());
                    }
                }
                Step::Block(ready) => self.say(&range, ready).await?,
                Step::Wait(left) => return Ok(Outcome::RequeueAfter(left)),
                Step::Release => self.release(&range).await?,
            }
            Ok(Outcome::Done)
        })
    }
}

fn is_protected(range: &ServiceCIDR) -> bool {
    range
        .metadata
        .finalizers
        .iter()
        .any(|finalizer| finalizer == FINALIZER)
}

impl Controller {
    async fn protect(&self, range: &ServiceCIDR) -> Result<(), Error> {
        if is_protected(range) {
            return Ok(());
        }
        self.patch(range, json!({"metadata": {"finalizers": [FINALIZER]}}))
            .await
    }

    async fn release(&self, range: &ServiceCIDR) -> Result<(), Error> {
        if !is_protected(range) {
            return Ok(());
        }
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}});
        self.patch(range, patch).await
    }

    async fn patch(&self, range: &ServiceCIDR, patch: serde_json::Value) -> Result<(), Error> {
        let api = self.context.client.api::<ServiceCIDR>();
        let patch = Patch::Strategic(patch);
        match api
            .patch(&range.metadata.name, &patch, &PatchParams::default())
            .await
        {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn say(&self, range: &ServiceCIDR, ready: Ready) -> Result<(), Error> {
        if plan::says(range, ready) {
            return Ok(());
        }
        let name = &range.metadata.name;
        let patch = Patch::Apply(json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": name},
            "status": {"conditions": [{
                "type": "Ready",
                "status": ready.status,
                "reason": ready.reason,
                "message": ready.message,
                "lastTransitionTime": Time(self.context.clock.now()).to_string(),
            }]},
        }));
        let params = PatchParams {
            field_manager: Some(COMPONENT.into()),
            force: true,
            ..PatchParams::default()
        };
        let api = self.context.client.api::<ServiceCIDR>();
        api.patch_status(name, &patch, &params).await.map(drop)
    }
}
