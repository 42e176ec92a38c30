//! Conversion between the versions of a custom kind by the webhook that its definition names.
//!
//! Reading order: [`review`] (the question and the answer), [`converted`] (what an answered object may change; both
//! pure), and here: who is asked, how much at a time.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/conversion`.

mod converted;
mod metrics;
mod review;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use admission::webhooks::Caller;
use api::admissionregistration::v1::{ServiceReference, WebhookClientConfig};
use api::apiextensions::v1::{CustomResourceDefinition, WebhookConversion};
use api::catalogue::Resource;
use apimachinery::gvk::{GroupVersion, GroupVersionKind};
use apimachinery::status::Status;
use apiserver::conversion::Converter;
use bytes::Bytes;
use component_base::clock::Clock;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

pub use metrics::Metrics;
use metrics::Outcome;
use review::Version;

/// How long a webhook may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Objects of one review; more go in further ones.
const MAX_OBJECTS: usize = 500;
/// Bytes of the objects of one review, unless it is a single one. The answer may be longer, and is bounded itself.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Reviews of one definition that are under way at a time; more wait.
const MAX_REVIEWS: usize = 64;

/// Asks the webhook of one definition.
pub struct WebhookConverter {
    definition: String,
    client: WebhookClientConfig,
    versions: Vec<String>,
    caller: Arc<dyn Caller>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    reviews: Semaphore,
}

impl WebhookConverter {
    /// `None`: the versions of the definition differ in their name only.
    pub fn of(
        definition: &CustomResourceDefinition,
        caller: &Arc<dyn Caller>,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> Option<WebhookConverter> {
        let conversion = definition.spec.conversion.as_deref()?;
        if conversion.strategy != "Webhook" {
            return None;
        }
        let webhook = conversion.webhook.as_deref()?;
        Some(WebhookConverter {
            definition: definition.metadata.name.clone(),
            client: client(webhook),
            versions: webhook.conversion_review_versions.clone(),
            caller: caller.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            reviews: Semaphore::new(MAX_REVIEWS),
        })
    }

    /// Converts what goes in one review.
    async fn review(&self, documents: &[Bytes], to: &'static Resource) -> Result<Vec<Bytes>, Status> {
        let mut originals = Vec::with_capacity(documents.len());
        for document in documents {
            originals.push(serde_json::from_slice(document).map_err(Status::internal)?);
        }
        let from = originals.first().map(kind_of).unwrap_or_default();
        let started = self.clock.monotonic();
        let answered = self.ask(documents, &originals, &from, to).await;
        let took = self.clock.monotonic().saturating_sub(started);
        let outcome = answered.as_ref().err().map(|failure| failure.outcome);
        self.metrics
            .asked(&self.definition, &from.version, to.version, outcome, took);
        answered.map_err(|failure| Status::unknown(failure.why))
    }

    async fn ask(
        &self,
        documents: &[Bytes],
        originals: &[Map<String, Value>],
        from: &GroupVersionKind,
        to: &'static Resource,
    ) -> Result<Vec<Bytes>, Failure> {
        let failed = |outcome, why: String| Failure {
            outcome,
            why: format!("conversion webhook for {from} {why}"),
        };
        let version = Version::choose(&self.versions).ok_or_else(|| Failure {
            outcome: Outcome::Unasked,
            why: "no supported conversion review versions".to_owned(),
        })?;
        let uid = uuid::Uuid::new_v4().to_string();
        let question = review::question(version, &uid, to.api_version, documents);
        let answer = self.caller.call(&self.client, question, TIMEOUT).await;
        let answer =
            answer.map_err(|error| failed(Outcome::CallFailure, format!("failed: {}", error.message)))?;
        let objects = review::read(&answer, version, &uid).map_err(|error| {
            let outcome = match error {
                review::Error::Unreadable(_) => Outcome::CallFailure,
                review::Error::Refused(_) => Outcome::MalformedResponse,
            };
            failed(outcome, format!("failed: {error}"))
        })?;
        if objects.len() != originals.len() {
            let why = format!("returned {} objects, expected {}", objects.len(), originals.len());
            return Err(failed(Outcome::PartialResponse, why));
        }
        let pairs = originals.iter().zip(objects).enumerate();
        let settle = |(index, (original, object)): (usize, (&Map<String, Value>, Vec<u8>))| {
            converted::settle(original, &object, to.api_version).map_err(|error| Failure {
                outcome: Outcome::InvalidConvertedObject,
                why: error.shown(&kind_of(original), index),
            })
        };
        pairs.map(settle).collect()
    }
}

/// Why there is nothing converted.
struct Failure {
    outcome: Outcome,
    why: String,
}

fn kind_of(document: &Map<String, Value>) -> GroupVersionKind {
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    let GroupVersion { group, version } = GroupVersion::parse(text("apiVersion")).unwrap_or_default();
    GroupVersionKind {
        group,
        version,
        kind: text("kind").to_owned(),
    }
}

fn client(webhook: &WebhookConversion) -> WebhookClientConfig {
    let Some(stated) = webhook.client_config.as_deref() else {
        return WebhookClientConfig::default();
    };
    let service = stated.service.as_deref().map(|service| {
        Box::new(ServiceReference {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            path: service.path.clone(),
            port: service.port,
        })
    });
    WebhookClientConfig {
        url: stated.url.clone(),
        service,
        // White space is as good as nothing.
        ca_bundle: match stated.ca_bundle.trim_ascii().is_empty() {
            true => Vec::new(),
            false => stated.ca_bundle.clone(),
        },
    }
}

/// What goes in one review, in order.
fn batches(documents: &[Bytes]) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, document) in documents.iter().enumerate() {
        bytes += document.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < MAX_OBJECTS && bytes <= MAX_BYTES => batch.end += 1,
            _ => {
                bytes = document.len();
                batches.push(index..index + 1);
            }
        }
    }
    batches
}

impl Converter for WebhookConverter {
    fn convert<'a>(
        &'a self,
        documents: &'a [Bytes],
        to: &'static Resource,
    ) -> BoxFuture<'a, Result<Vec<Bytes>, Status>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(documents.len());
            for batch in batches(documents) {
                let _permit = self.reviews.acquire().await.map_err(Status::internal)?;
                all.extend(self.review(&documents[batch], to).await?);
            }
            Ok(all)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reviews_are_bounded() {
        let check = |sizes: &[usize], expected: &[usize]| {
            let documents: Vec<Bytes> = sizes.iter().map(|size| Bytes::from(vec![b' '; *size])).collect();
            let batches = batches(&documents);
            let lengths: Vec<usize> = batches.iter().map(ExactSizeIterator::len).collect();
            assert_eq!(lengths, expected, "{sizes:?}");
            let indexes: Vec<usize> = batches.into_iter().flatten().collect();
            assert!(indexes.into_iter().eq(0..sizes.len()), "all of them, in order");
        };
        check(&[], &[]);
        check(&[1, 1, 1], &[3]);
        check(&[MAX_BYTES, 1, MAX_BYTES + 1, 1], &[1, 1, 1, 1]);
        check(&[MAX_BYTES - 1, 1, 1], &[2, 1]);
        check(&[0; MAX_OBJECTS + 1], &[MAX_OBJECTS, 1]);
    }
}
