//! Bound tokens: their times, and the objects that they live and die with.

use std::time::Duration;

use api::core::v1::{Node, Pod, Secret, ServiceAccount};
use jiff::Timestamp;
use pki::token::{Claims, Reference};

use super::{find, is_gone};
use crate::user::{CREDENTIAL_ID_KEY, NODE_NAME_KEY, NODE_UID_KEY, POD_NAME_KEY, POD_UID_KEY};
use crate::{Error, Objects, UserInfo};

/// How far clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(60);

pub(super) fn check_times(claims: &Claims, now: Timestamp) -> Result<(), Error> {
    let earliest = now.saturating_sub(LEEWAY).unwrap_or(now);
    let latest = now.saturating_add(LEEWAY).unwrap_or(now);
    let refused = |reason: &str| Err(Error::Token(reason.to_owned()));
    match () {
        () if latest < claims.not_before => refused("service account token is not valid yet"),
        () if claims.expires < earliest => refused("service account token has expired"),
        () if latest < claims.issued_at => refused("service account token is issued in the future"),
        () => Ok(()),
    }
}

pub(super) async fn check_objects(
    objects: &dyn Objects,
    claims: &Claims,
    now: Timestamp,
) -> Result<(), Error> {
    let namespace = claims.namespace.as_str();
    let account = &claims.service_account;
    let Some(found) = find::<ServiceAccount>(objects, namespace, &account.name).await? else {
        return Err(Error::Token(format!(
            "serviceaccounts {:?} not found",
            account.name
        )));
    };
    if found.metadata.uid != account.uid {
        let (now, claimed) = (&found.metadata.uid, &account.uid);
        return Err(Error::Token(format!(
            "service account UID ({now}) does not match claim ({claimed})"
        )));
    }
    if is_gone(&found.metadata, now) {
        return Err(Error::Token(format!(
            "service account {namespace}/{} has been deleted",
            account.name
        )));
    }
    if let Some(secret) = &claims.secret {
        check_bound::<Secret>(objects, namespace, secret, now).await?;
    }
    if let Some(pod) = &claims.pod {
        check_bound::<Pod>(objects, namespace, pod, now).await?;
    }
    // With a pod, the node is information; alone, the token is bound to it.
    match (&claims.node, &claims.pod) {
        (Some(node), None) => check_bound::<Node>(objects, "", node, now).await,
        _ => Ok(()),
    }
}

async fn check_bound<T: api::Resource>(
    objects: &dyn Objects,
    namespace: &str,
    reference: &Reference,
    now: Timestamp,
) -> Result<(), Error> {
    let found = find::<T>(objects, namespace, &reference.name).await?;
    match found {
        Some(object) if object.metadata().uid == reference.uid && !is_gone(object.metadata(), now) => Ok(()),
        Some(object) if object.metadata().uid != reference.uid => {
            let (kind, now, claimed) = (T::KIND.to_lowercase(), &object.metadata().uid, &reference.uid);
            Err(Error::Token(format!(
                "{kind} UID ({now}) does not match service account {kind} ref claim ({claimed})"
            )))
        }
        _ => Err(Error::Token(
            "service account token has been invalidated".to_owned(),
        )),
    }
}

pub(super) fn user(claims: &Claims) -> UserInfo {
    let account = &claims.service_account;
    let mut user = UserInfo::service_account(&claims.namespace, &account.name, &account.uid);
    let mut say = |key: &str, value: String| drop(user.extra.insert(key.to_owned(), vec![value]));
    if let Some(pod) = &claims.pod {
        say(POD_NAME_KEY, pod.name.clone());
        say(POD_UID_KEY, pod.uid.clone());
    }
    if let Some(node) = &claims.node {
        say(NODE_NAME_KEY, node.name.clone());
        if !node.uid.is_empty() {
            say(NODE_UID_KEY, node.uid.clone());
        }
    }
    if !claims.id.is_empty() {
        say(CREDENTIAL_ID_KEY, format!("JTI={}", claims.id));
    }
    user
}
