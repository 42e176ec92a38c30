//! Acting as somebody else, with permission for each part of the other identity.
//!
//! Reading order: this module (what the headers ask for), [`modes`] (which permissions allow it).
//!
//! Upstream: `apiserver/pkg/endpoints/filters/impersonation`.

mod modes;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use apimachinery::quote::quote;
use apimachinery::status::Status;
use auth::{Attributes, Decision, UserInfo};
use futures_util::future::BoxFuture;
use http::HeaderMap;

use super::{Filter, Next};
use crate::request::Request;
use crate::request::query::{Plus, decode};
use crate::response::{Response, forbidden};
use modes::{Check, Mode};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA_PREFIX: &str = "impersonate-extra-";

/// Users whose last mode is remembered.
const MAX_REMEMBERED: usize = 10_000;

pub struct Impersonation {
    pub authorizer: Arc<dyn auth::Authorizer>,
    /// The mode that allowed it last to a user: it is tried first, and is the one whose refusal is told.
    pub last_modes: Mutex<HashMap<String, &'static str>>,
}

impl Impersonation {
    pub fn new(authorizer: Arc<dyn auth::Authorizer>) -> Impersonation {
        Impersonation {
            authorizer,
            last_modes: Mutex::default(),
        }
    }
}

impl Filter for Impersonation {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let wanted = match wanted(&request.head.headers) {
                Ok(wanted) => wanted,
                Err(status) => return forbidden(&status, request),
            };
            if let Some(wanted) = wanted {
                match self.impersonate(&wanted, &super::attributes(request)).await {
                    Ok(user) => {
                        tracing::debug!(user = %request.user.name, acting_as = %user.name, audit_id = %request.audit_id, "impersonating");
                        request.user = user;
                        remove_headers(&mut request.head.headers);
                    }
                    Err(status) => return forbidden(&status, request),
                }
            }
            next.run(request).await
        })
    }
}

impl Impersonation {
    /// Whom the request acts as: by the first mode that allows it; else why the first one that applies does not.
    async fn impersonate(&self, wanted: &UserInfo, attributes: &Attributes) -> Result<UserInfo, Status> {
        let mut refusal = None;
        let mut modes = modes::that_apply(wanted, attributes);
        let last = self.last_modes().get(&attributes.user.name).copied();
        modes.sort_by_key(|mode| Some(mode.name) != last);
        for mode in modes {
            let name = mode.name;
            match self.check(mode).await {
                Ok(user) => {
                    self.remember(&attributes.user.name, name);
                    return Ok(user);
                }
                Err(status) => {
                    refusal.get_or_insert(status);
                }
            }
        }
        Err(refusal.unwrap_or_else(|| Status::internal("all impersonation modes failed")))
    }

    fn last_modes(&self) -> MutexGuard<'_, HashMap<String, &'static str>> {
        self.last_modes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, user: &str, mode: &'static str) {
        let mut last = self.last_modes();
        if last.len() >= MAX_REMEMBERED {
            last.clear();
        }
        last.insert(user.to_owned(), mode);
    }

    async fn check(&self, mode: Mode) -> Result<UserInfo, Status> {
        for step in mode.steps {
            if let Some(all_at_once) = &step.all_at_once
                && self.authorizer.authorize(all_at_once).await.is_allowed()
            {
                continue;
            }
            for check in step.checks {
                match check {
                    Check::Never(attributes, reason) => return Err(super::forbidden(&attributes, &reason)),
                    Check::Ask(attributes) => match self.authorizer.authorize(&attributes).await {
                        Decision::Allow { .. } => {}
                        Decision::Deny { reason } | Decision::NoOpinion { reason } => {
                            return Err(super::forbidden(&attributes, &reason));
                        }
                    },
                }
            }
        }
        Ok(mode.user)
    }
}

/// The identity that the headers ask for.
fn wanted(headers: &HeaderMap) -> Result<Option<UserInfo>, Status> {
    let first = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let values = |name: &str| -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(str::to_owned)
            .collect()
    };
    let mut extra = BTreeMap::new();
    for name in headers
        .keys()
        .filter_map(|name| name.as_str().strip_prefix(EXTRA_PREFIX))
    {
        let key = decode(name, Plus::IsItself).unwrap_or_else(|| name.to_owned());
        extra.insert(key, values(&format!("{EXTRA_PREFIX}{name}")));
    }
    let wanted = UserInfo {
        name: first(USER),
        uid: first(UID),
        groups: values(GROUP),
        extra,
    };
    if !wanted.name.is_empty() {
        return Ok(Some(wanted));
    }
    if wanted == UserInfo::default() {
        return Ok(None);
    }
    Err(Status::bad_request(format!(
        "requested {} without impersonating a user name",
        as_go_prints(&wanted)
    )))
}

/// A user in Go's syntax, as upstream's error shows it.
fn as_go_prints(user: &UserInfo) -> String {
    let list = |items: &[String]| {
        let quoted: Vec<String> = items.iter().map(|item| quote(item)).collect();
        format!("[]string{{{}}}", quoted.join(", "))
    };
    let groups = match user.groups.as_slice() {
        [] => "[]string(nil)".to_owned(),
        groups => list(groups),
    };
    let extra: Vec<String> = user
        .extra
        .iter()
        .map(|(key, values)| format!("{}:{}", quote(key), list(values)))
        .collect();
    let extra = match extra.as_slice() {
        [] => "(nil)".to_owned(),
        extra => format!("{{{}}}", extra.join(", ")),
    };
    format!(
        "&user.DefaultInfo{{Name:{}, UID:{}, Groups:{groups}, Extra:map[string][]string{extra}}}",
        quote(&user.name),
        quote(&user.uid)
    )
}

fn remove_headers(headers: &mut HeaderMap) {
    let names: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("impersonate-"))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Result<Option<UserInfo>, Status> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        wanted(&map)
    }

    #[test]
    fn what_is_asked_for_is_read_from_all_headers() {
        let headers = [
            (USER, "ada"),
            (GROUP, "dev"),
            (GROUP, "ops"),
            (UID, "7"),
            ("impersonate-extra-a%2fb", "view"),
        ];
        let wanted = read(&headers).expect("valid").expect("impersonates");
        assert_eq!((wanted.name.as_str(), wanted.uid.as_str()), ("ada", "7"));
        assert_eq!(wanted.groups, ["dev", "ops"]);
        assert_eq!(wanted.extra["a/b"], ["view"]);
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn parts_without_a_user_are_refused() {
        let message = |headers: &[(&'static str, &str)]| read(headers).expect_err("an error").message;
        assert_eq!(
            message(&[(GROUP, "dev")]),
            r#"requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"dev"}, Extra:map[string][]string(nil)} without impersonating a user name"#
        );
        assert_eq!(
            message(&[("impersonate-extra-scopes", "view"), (UID, "1")]),
            r#"requested &user.DefaultInfo{Name:"", UID:"1", Groups:[]string(nil), Extra:map[string][]string{"scopes":[]string{"view"}}} without impersonating a user name"#
        );
    }
}
