//! How much work a request will be, by what is stored and who watches.

use flow_control::Flow;
use flow_control::watchers::Scope;
use flow_control::work::{self, Extent, Stored, WorkEstimate};
use futures_util::FutureExt;
use storage::cache::Freshness;

use super::FlowControlled;
use crate::objects::Objects;
use crate::request::Request;

/// Objects by whose size that of all is guessed.
const SAMPLE: usize = 16;

impl FlowControlled {
    pub(super) fn estimate(&self, request: &Request, flow: &Flow) -> WorkEstimate {
        if !request.info.is_resource_request {
            return WorkEstimate::SINGLE;
        }
        match request.info.verb.as_str() {
            "list" => self.list(request, flow),
            "watch" if starts_with_state(request) => self.list(request, flow),
            "create" | "update" | "patch" | "delete" => self.mutation(request, flow),
            _ => WorkEstimate::SINGLE,
        }
    }

    fn list(&self, request: &Request, flow: &Flow) -> WorkEstimate {
        let info = &request.info;
        let Some(objects) = self.resources.objects(&info.api_group, &info.resource) else {
            // Not stored here: whoever serves it has the work.
            return WorkEstimate::SINGLE;
        };
        let limit = request
            .query
            .get("limit")
            .and_then(|text| text.parse::<u64>().ok());
        let extent = match limit {
            _ if !info.name.is_empty() => Extent::One,
            Some(limit) if limit > 0 => Extent::Page(limit),
            _ => Extent::All,
        };
        work::of_list(stored(&objects), extent, flow.widest_request())
    }

    fn mutation(&self, request: &Request, flow: &Flow) -> WorkEstimate {
        let info = &request.info;
        if info.resource == "serviceaccounts" && info.subresource == "token" {
            // Changes no object: watchers of service accounts hear nothing of it.
            return WorkEstimate::SINGLE;
        }
        let watchers = self.flow_control.watchers().interested(Scope {
            api_group: &info.api_group,
            resource: &info.resource,
            namespace: &info.namespace,
            name: &info.name,
        });
        flow.record.lock().watchers.observe(watchers as f64);
        work::of_mutation(watchers, flow.widest_request())
    }
}

/// Whether the watch is sent what is there before it is sent changes.
fn starts_with_state(request: &Request) -> bool {
    let asked = request.query.get("sendInitialEvents");
    let version = request.query.get("resourceVersion").unwrap_or_default();
    asked.is_some_and(|value| value == "true" || value == "1") || matches!(version, "" | "0")
}

fn stored(objects: &Objects) -> Stored {
    let Some(Ok(snapshot)) = objects.cache.snapshot(Freshness::Any).now_or_never() else {
        return Stored::default();
    };
    let sizes = snapshot
        .range(objects.prefix().as_bytes(), None)
        .take(SAMPLE)
        .map(|entry| entry.value_len() as u64);
    let (count, bytes) = sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size));
    Stored {
        objects: snapshot.len() as u64,
        average_bytes: bytes / u64::max(count, 1),
    }
}
