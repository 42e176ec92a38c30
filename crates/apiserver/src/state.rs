//! What handlers share.

use std::sync::Arc;
use std::time::Duration;

use admission::webhooks::Caller;
use admission::{Attributes, Operation, Review};
use api::Object;
use api::catalogue::Resource;
use apimachinery::gvk::GroupVersionResource;
use apimachinery::status::Status;
use arc_swap::ArcSwap;
use auth::{Authorizer, TokenAuthenticator};
use component_base::clock::Clock;
use flow_control::FlowControl;
use storage::Stores;
use storage::cache::EncodingBudget;
use storage::metrics::Metrics as StoreMetrics;

use crate::aggregation::Aggregation;
use crate::discovery::Groups;
use crate::health::Health;
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::openapi::Documents;
use crate::paths::TokenKeys;
use crate::proxy::Backends;
use crate::render::runs::Runs;
use crate::request::Request;
use crate::resource::Resources;
use crate::subresources::TokenIssuer;

/// The server's parts, built once.
pub struct Api {
    pub store: Stores,
    pub store_metrics: Arc<StoreMetrics>,
    pub resources: Arc<Resources>,
    pub admission: admission::Chain,
    /// Reaches conversion webhooks.
    pub webhooks: Arc<dyn Caller>,
    /// Groups that other servers serve.
    pub aggregation: Arc<Aggregation>,
    pub token_authenticator: Arc<dyn TokenAuthenticator>,
    /// Of tokens that are meant for this server.
    pub audiences: Vec<String>,
    pub authorizer: Arc<dyn Authorizer>,
    pub clock: Arc<dyn Clock>,
    /// Keeps the JSON of cached objects while it is asked for.
    pub kept: EncodingBudget,
    /// Keeps compressed parts of lists while they are asked for.
    pub runs: Runs,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    /// What discovery shows.
    pub groups: Groups,
    pub openapi: ArcSwap<Documents>,
    /// `address:port` where clients reach this server.
    pub server_address: String,
    pub token_keys: TokenKeys,
    /// Without it there are no TokenRequests.
    pub token_issuer: Option<TokenIssuer>,
    /// Watches without a timeout of their own last so long, up to twice.
    pub min_request_timeout: Duration,
    /// `None`: fixed limits hold.
    pub flow_control: Option<FlowControl>,
    /// Kubelets, pods and services behind this server.
    pub backends: Backends,
    pub lifecycle: Lifecycle,
}

impl Api {
    /// Runs both admission phases over what a subresource is given: a Binding, an Eviction, a TokenRequest.
    pub async fn admit_subresource<T: api::Resource>(
        &self,
        request: &mut Request,
        row: &Resource,
        object: &mut T,
        dry_run: bool,
    ) -> Result<(), Status> {
        let mut admitted: Box<dyn Object> = Box::new(object.clone());
        self.admit_boxed(request, row, &mut admitted, dry_run).await?;
        if let Ok(admitted) = admitted.downcast() {
            *object = *admitted;
        }
        Ok(())
    }

    async fn admit_boxed(
        &self,
        request: &mut Request,
        row: &Resource,
        object: &mut Box<dyn Object>,
        dry_run: bool,
    ) -> Result<(), Status> {
        let info = &request.info;
        let attributes = Attributes {
            operation: Operation::Create,
            kind: object.gvk(),
            resource: GroupVersionResource::new(row.group, row.version, row.plural),
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
            user: &request.user,
            dry_run,
            options: b"{\"kind\":\"CreateOptions\",\"apiVersion\":\"meta.k8s.io/v1\"}",
            now: self.clock.now(),
        };
        let mut review = Review::new(Some(object), None);
        let outcome = match self.admission.mutate(&attributes, &mut review).await {
            Ok(()) => self.admission.validate(&attributes, &mut review).await,
            refused => refused,
        };
        let warnings = std::mem::take(&mut review.warnings);
        warnings.iter().for_each(|warning| request.warn(warning));
        outcome
    }
}
