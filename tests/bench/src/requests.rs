//! Runs that are requests with an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::params::Query;
use client::request::JSON;
use client::{Client, Request};
use http::Method;
use serde_json::json;
use tokio::sync::Mutex;

use crate::Error;
use crate::measure::{Outcome, Received, Until, drive};
use crate::objects::{self, SHARDS, Template};
use crate::settings::{Encoding, Settings};
use crate::target::{Target, count, object, read, request, write};

/// What an operation needs of its surroundings, shared by all clients.
struct Context {
    clients: Vec<Client>,
    collection: String,
    settings: Settings,
}

impl Context {
    fn new(target: &Target, settings: &Settings) -> Arc<Self> {
        let clients = (0..settings.connections).map(|n| target.client(n)).collect();
        Arc::new(Self {
            clients,
            collection: target.objects(settings),
            settings: settings.clone(),
        })
    }

    fn client(&self, n: usize) -> Client {
        self.clients[n % self.clients.len()].clone()
    }
}

/// Creates the objects.
pub async fn create(target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    let context = Context::new(target, settings);
    let template = Arc::new(Template::new(settings));
    Ok(drive(
        settings.clients,
        Until::Count(settings.objects),
        move |client, n| {
            let (context, template) = (context.clone(), template.clone());
            async move {
                let body = template.body(n)?;
                let request = write(&context.settings, Method::POST, context.collection.clone(), body);
                count(context.client(client), request).await
            }
        },
    )
    .await)
}

/// Reads one object after the other.
pub async fn get(target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    let context = Context::new(target, settings);
    Ok(drive(
        settings.clients,
        Until::Elapsed(settings.duration),
        move |client, n| {
            let context = context.clone();
            async move {
                // A stride that has no common factor with usual counts: neighbours are not read in turn.
                let path = object(&context.collection, n * 7919 % context.settings.objects);
                count(
                    context.client(client),
                    request(&context.settings, Method::GET, path),
                )
                .await
            }
        },
    )
    .await)
}

/// Reads everything at once, as often as there is time.
pub async fn list(target: &Target, settings: &Settings, query: &str) -> Result<Outcome, Error> {
    let context = Context::new(target, settings);
    let query = query.to_owned();
    Ok(drive(
        settings.clients,
        Until::Elapsed(settings.duration),
        move |client, _| {
            let (context, query) = (context.clone(), query.clone());
            async move {
                let mut parameters = Query::default();
                if let Some((name, value)) = query.split_once('=') {
                    parameters.add(name, Some(value));
                }
                let request =
                    request(&context.settings, Method::GET, context.collection.clone()).query(parameters);
                count(context.client(client), request).await
            }
        },
    )
    .await)
}

/// Reads the objects of one label value, or of one node where pods have nodes.
pub async fn select(target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    let query = match settings.nodes {
        0 => format!("labelSelector=shard={}", SHARDS / 2),
        nodes => format!("fieldSelector=spec.nodeName={}", objects::node(nodes / 2)),
    };
    list(target, settings, &query).await
}

/// Reads everything in pages; an operation is a page.
pub async fn page(target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    let context = Context::new(target, settings);
    let positions: Vec<Mutex<Option<String>>> = (0..settings.clients).map(|_| Mutex::default()).collect();
    let positions = Arc::new(positions);
    Ok(drive(
        settings.clients,
        Until::Elapsed(settings.duration),
        move |client, _| {
            let (context, positions) = (context.clone(), positions.clone());
            async move {
                let mut position = positions[client].lock().await;
                let mut parameters = Query::default();
                parameters.add("limit", Some(&context.settings.page.to_string()));
                parameters.add("continue", position.as_deref());
                // Pages are read in JSON: the token is looked for in the text.
                let request = Request::get(context.collection.clone())
                    .accept(JSON)
                    .query(parameters);
                let answer = read(context.client(client), request).await?;
                *position = continue_token(&answer.head)?;
                Ok(answer.received)
            }
        },
    )
    .await)
}

/// Only the list's head is parsed: the load generator must not be the bottleneck.
fn continue_token(head: &[u8]) -> Result<Option<String>, Error> {
    let head = String::from_utf8_lossy(head);
    let Some((_, rest)) = head.split_once("\"continue\":\"") else {
        return Ok(None);
    };
    let token = rest.split_once('"').map(|(token, _)| token.to_owned());
    token
        .map(Some)
        .ok_or_else(|| Error::Answer("a continue token without an end".into()))
}

/// Merge patches of one annotation.
pub async fn patch(target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    let context = Context::new(target, settings);
    Ok(drive(
        settings.clients,
        Until::Elapsed(settings.duration),
        move |client, n| {
            let context = context.clone();
            async move {
                let patch = json!({"metadata": {"annotations": {"bench.example.com/count": n.to_string()}}});
                let path = object(&context.collection, n * 7919 % context.settings.objects);
                let request = request(&context.settings, Method::PATCH, path)
                    .body("application/merge-patch+json", patch.to_string());
                count(context.client(client), request).await
            }
        },
    )
    .await)
}

/// Each client renews a lease of its own, as kubelets do.
pub async fn lease(target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    let collection = target.leases();
    let mut versions = BTreeMap::new();
    for client in 0..settings.clients {
        let lease = objects::lease(Encoding::Json, &objects::name(client), "", 0);
        target.ensure_encoded(&collection, lease).await?;
        let path = object(&collection, client);
        let response = target
            .client(client)
            .send(Request::get(path).accept(JSON))
            .await?;
        versions.insert(client, Mutex::new(resource_version(&response.body)?));
    }
    let (context, versions) = (Context::new(target, settings), Arc::new(versions));
    Ok(drive(
        settings.clients,
        Until::Elapsed(settings.duration),
        move |client, n| {
            let (context, versions, path) = (context.clone(), versions.clone(), object(&collection, client));
            async move {
                let mut version = versions[&client].lock().await;
                let body = objects::lease(context.settings.encoding, &objects::name(client), &version, n);
                // The answer is read in JSON for the version that the next renewal needs.
                let request = write(&context.settings, Method::PUT, path, body).accept(JSON);
                let response = context.client(client).send(request).await?;
                *version = resource_version(&response.body)?;
                Ok(Received::from(response.body.len() as u64))
            }
        },
    )
    .await)
}

/// The object's own version: the first that the text states.
fn resource_version(body: &[u8]) -> Result<String, Error> {
    let text = std::str::from_utf8(body).map_err(|error| Error::Answer(error.to_string()))?;
    let version = text
        .split_once("\"resourceVersion\":\"")
        .and_then(|(_, rest)| rest.split_once('"'));
    version
        .map(|(version, _)| version.to_owned())
        .ok_or_else(|| Error::Answer("an object without a resourceVersion".into()))
}

/// Deletes all objects in one request; pods without a grace period, as nothing runs them.
pub async fn delete_collection(target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    let context = Context::new(target, settings);
    Ok(drive(1, Until::Count(1), move |client, _| {
        let context = context.clone();
        async move {
            let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0});
            let accept = Encoding::Json.media_type();
            let request = Request::new(Method::DELETE, context.collection.clone())
                .accept(accept)
                .body(JSON, options.to_string());
            count(context.client(client), request).await
        }
    })
    .await)
}
