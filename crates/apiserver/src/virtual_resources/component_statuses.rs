//! ComponentStatus (deprecated): whether the store, the scheduler and the controller-manager on this host answer.

use api::core::v1::{ComponentCondition, ComponentStatus, ComponentStatusList};
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use http::{Request as HttpRequest, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::proxy::Backends;
use crate::proxy::target::{Target, Transport};
use crate::render::table_api_version;
use crate::request::Request;
use crate::request::negotiate::{Offers, View};
use crate::response::{Response, json_document, message};
use crate::state::Api;

/// Name and local port of each daemon's health endpoint.
const DAEMONS: [(&str, u16); 2] = [("controller-manager", 10257), ("scheduler", 10259)];
const STORE: &str = "etcd-0";
const COLUMNS: [&str; 4] = ["Name", "Status", "Message", "Error"];

/// GET of one or of all.
pub async fn serve(api: &Api, request: &Request) -> Result<Response, Status> {
    let output = request.output(Offers::Views)?;
    let mut items = Vec::new();
    for (name, port) in DAEMONS {
        items.push(status(name, daemon(&api.backends, port).await));
    }
    items.push(status(
        STORE,
        api.store.main().probe().await.map_err(|error| error.to_string()),
    ));
    if let View::Table(version) = output.view {
        let wanted =
            |item: &&ComponentStatus| request.info.name.is_empty() || item.metadata.name == request.info.name;
        let rows: Vec<Value> = items.iter().filter(wanted).map(row).collect();
        let columns: Vec<Value> = COLUMNS.iter().map(|name| json!({ "name": name, "type": "string", "format": "", "description": "", "priority": 0 })).collect();
        let table = json!({
            "kind": "Table", "apiVersion": table_api_version(version), "metadata": {}, "columnDefinitions": columns, "rows": rows,
        });
        return Ok(json_document(
            StatusCode::OK,
            table.to_string().into_bytes(),
            output,
        ));
    }
    if request.info.verb == "list" {
        return message(
            StatusCode::OK,
            ("", "v1", "ComponentStatusList"),
            &ComponentStatusList {
                items,
                ..Default::default()
            },
            output,
        );
    }
    let wanted = &request.info.name;
    let found = items.into_iter().find(|item| item.metadata.name == *wanted);
    let found = found.ok_or_else(|| Status::not_found(&GroupResource::new("", "componentstatus"), wanted))?;
    message(StatusCode::OK, ("", "v1", "ComponentStatus"), &found, output)
}

/// A row of the table form.
fn row(component: &ComponentStatus) -> Value {
    let condition = component.conditions.first();
    let health = condition.map_or("Unknown", |condition| {
        if condition.status == "True" {
            "Healthy"
        } else {
            "Unhealthy"
        }
    });
    let message = condition.map_or("", |condition| condition.message.as_str());
    let error = condition.map_or("", |condition| condition.error.as_str());
    let name = &component.metadata.name;
    json!({
        "cells": [name, health, message, error],
        "object": { "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": { "name": name } },
    })
}

fn status(name: &str, health: Result<(), String>) -> ComponentStatus {
    let (status, text) = match health {
        Ok(()) => ("True", "ok".to_owned()),
        Err(error) => ("False", error),
    };
    let condition = ComponentCondition {
        type_: "Healthy".to_owned(),
        status: status.to_owned(),
        message: text,
        ..Default::default()
    };
    let mut component = ComponentStatus {
        conditions: vec![condition],
        ..Default::default()
    };
    component.metadata.name = name.to_owned();
    component
}

async fn daemon(backends: &Backends, port: u16) -> Result<(), String> {
    let target = Target {
        transport: Transport::Unchecked,
        host: "127.0.0.1".to_owned(),
        port,
        path: "/healthz".to_owned(),
    };
    let text = |error: &dyn std::fmt::Display| format!("Get \"https://127.0.0.1:{port}/healthz\": {error}");
    let stream = backends.connect(&target).await.map_err(|error| text(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| text(&error))?;
    let answer = async {
        let request = HttpRequest::get(&target.path)
            .header("host", "127.0.0.1")
            .body(Empty::<bytes::Bytes>::new());
        let answer = sender
            .send_request(request.map_err(|error| text(&error))?)
            .await
            .map_err(|error| text(&error))?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            _ => Err(answer.into_body().collect().await.map_or_else(
                |error| text(&error),
                |body| String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            )),
        }
    };
    tokio::select! {
        answer = answer => answer,
        ended = connection => Err(ended.err().map_or_else(|| text(&"connection closed"), |error| text(&error))),
    }
}
