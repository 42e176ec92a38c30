//! Acting as somebody else, with permission for each part of the other identity.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::status::Status;
use auth::user::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, parse_service_account, service_account_groups};
use auth::{Attributes, Decision, UserInfo};
use futures_util::future::BoxFuture;
use http::HeaderMap;

use super::{Filter, Next};
use crate::request::Request;
use crate::request::query::{Plus, decode};
use crate::response::{Response, refusal};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA_PREFIX: &str = "impersonate-extra-";

pub struct Impersonation {
    pub authorizer: Arc<dyn auth::Authorizer>,
}

impl Filter for Impersonation {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let wanted = match Wanted::read(&request.head.headers) {
                Ok(wanted) => wanted,
                Err(status) => return refusal(&status, request),
            };
            match self.impersonate(wanted, &request.user).await {
                Ok(Some(user)) => {
                    tracing::debug!(user = %request.user.name, acting_as = %user.name, audit_id = %request.audit_id, "impersonating");
                    request.user = user;
                    remove_headers(&mut request.head.headers);
                }
                Ok(None) => {}
                Err(status) => return refusal(&status, request),
            }
            next.run(request).await
        })
    }
}

impl Impersonation {
    async fn impersonate(
        &self,
        wanted: Option<Wanted>,
        requestor: &UserInfo,
    ) -> Result<Option<UserInfo>, Status> {
        let Some(wanted) = wanted else { return Ok(None) };
        for permission in wanted.permissions(requestor) {
            match self.authorizer.authorize(&permission).await {
                Decision::Allow { .. } => {}
                Decision::Deny { reason } | Decision::NoOpinion { reason } => {
                    return Err(super::forbidden(&permission, &reason));
                }
            }
        }
        Ok(Some(wanted.into_user()))
    }
}

/// The identity that the headers ask for.
struct Wanted {
    user: String,
    /// Namespace and name, if the user is a service account.
    service_account: Option<(String, String)>,
    groups: Vec<String>,
    uid: String,
    extra: BTreeMap<String, Vec<String>>,
}

impl Wanted {
    fn read(headers: &HeaderMap) -> Result<Option<Wanted>, Status> {
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
        let user = first(USER);
        let wanted = Wanted {
            service_account: parse_service_account(&user)
                .map(|(namespace, name)| (namespace.to_owned(), name.to_owned())),
            user,
            groups: values(GROUP),
            uid: first(UID),
            extra,
        };
        if !wanted.user.is_empty() {
            return Ok(Some(wanted));
        }
        if wanted.groups.is_empty() && wanted.uid.is_empty() && wanted.extra.is_empty() {
            return Ok(None);
        }
        let mut requested = wanted.groups;
        requested.extend(wanted.extra.into_values().flatten());
        requested.extend((!wanted.uid.is_empty()).then_some(wanted.uid));
        Err(Status::bad_request(format!(
            "requested [{}] without impersonating a user",
            requested.join(" ")
        )))
    }

    /// What the requestor must be allowed to do.
    fn permissions(&self, requestor: &UserInfo) -> Vec<Attributes> {
        let permission = |resource: &str, name: &str| Attributes {
            user: requestor.clone(),
            verb: "impersonate".to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            resource_request: true,
            ..Attributes::default()
        };
        let mut permissions = Vec::new();
        match &self.service_account {
            Some((namespace, name)) => {
                permissions.push(Attributes {
                    namespace: namespace.clone(),
                    api_version: "v1".into(),
                    ..permission("serviceaccounts", name)
                });
            }
            None => permissions.push(permission("users", &self.user)),
        }
        permissions.extend(self.groups.iter().map(|group| permission("groups", group)));
        let authentication = |attributes: Attributes| Attributes {
            api_group: "authentication.k8s.io".to_owned(),
            api_version: "v1".to_owned(),
            ..attributes
        };
        for (key, values) in &self.extra {
            permissions.extend(values.iter().map(|value| {
                authentication(Attributes {
                    subresource: key.clone(),
                    ..permission("userextras", value)
                })
            }));
        }
        if !self.uid.is_empty() {
            permissions.push(authentication(permission("uids", &self.uid)));
        }
        permissions
    }

    fn into_user(self) -> UserInfo {
        let mut groups = self.groups;
        if let (true, Some((namespace, _))) = (groups.is_empty(), &self.service_account) {
            groups = service_account_groups(namespace);
        }
        let has = |name: &str| groups.iter().any(|group| group == name);
        if self.user == ANONYMOUS {
            if !has(UNAUTHENTICATED) {
                groups.push(UNAUTHENTICATED.to_owned());
            }
        } else if !has(AUTHENTICATED) && !has(UNAUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        UserInfo {
            name: self.user,
            uid: self.uid,
            groups,
            extra: self.extra,
        }
    }
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

    fn wanted(headers: &[(&'static str, &str)]) -> Result<Option<Wanted>, Status> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        Wanted::read(&map)
    }

    #[test]
    fn a_service_account_brings_its_groups() {
        let wanted = wanted(&[(USER, "system:serviceaccount:default:web")])
            .expect("valid")
            .expect("impersonates");
        let permissions = wanted.permissions(&UserInfo::default());
        assert_eq!(
            (
                permissions[0].resource.as_str(),
                permissions[0].namespace.as_str()
            ),
            ("serviceaccounts", "default")
        );
        assert_eq!(
            wanted.into_user().groups,
            [
                "system:serviceaccounts",
                "system:serviceaccounts:default",
                "system:authenticated"
            ]
        );
    }

    #[test]
    fn every_part_needs_its_permission() {
        let headers = [
            (USER, "ada"),
            (GROUP, "dev"),
            (GROUP, "ops"),
            (UID, "7"),
            ("impersonate-extra-scopes", "view"),
        ];
        let wanted = wanted(&headers).expect("valid").expect("impersonates");
        let asked: Vec<String> = wanted
            .permissions(&UserInfo::default())
            .iter()
            .map(|a| format!("{}/{}:{}", a.resource, a.subresource, a.name))
            .collect();
        assert_eq!(
            asked,
            [
                "users/:ada",
                "groups/:dev",
                "groups/:ops",
                "userextras/scopes:view",
                "uids/:7"
            ]
        );
    }

    #[test]
    fn groups_alone_are_refused() {
        let status = wanted(&[(GROUP, "dev")]).err().expect("an error");
        assert_eq!(
            (status.code, status.message.as_str()),
            (400, "requested [dev] without impersonating a user")
        );
    }
}
