//! Bootstrap tokens: `ID.SECRET`, kept in secrets of `kube-system`, for nodes that join.

use std::sync::Arc;

use api::core::v1::Secret;
use component_base::clock::Clock;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::{Error, Objects, TokenAuthenticator, TokenIdentity, UserInfo};

const NAMESPACE: &str = "kube-system";
const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
const GROUP: &str = "system:bootstrappers";
const GROUP_PREFIX: &str = "system:bootstrappers:";
const MAX_GROUP_SUFFIX: usize = 256;

pub struct BootstrapTokens {
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
}

impl BootstrapTokens {
    pub fn new(objects: Arc<dyn Objects>, clock: Arc<dyn Clock>) -> Self {
        Self { objects, clock }
    }

    fn identity(&self, token: &str) -> Option<UserInfo> {
        let (id, secret) = split(token)?;
        let kept = self
            .objects
            .cached::<Secret>(NAMESPACE, &format!("bootstrap-token-{id}"))?;
        user(&kept, id, secret, self.clock.now())
    }
}

/// `[a-z0-9]{6}\.[a-z0-9]{16}`
fn split(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let plain = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    (id.len() == 6 && secret.len() == 16 && plain(id) && plain(secret)).then_some((id, secret))
}

fn user(kept: &Secret, id: &str, secret: &str, now: Timestamp) -> Option<UserInfo> {
    let data = |key: &str| {
        kept.data
            .get(key)
            .and_then(|value| std::str::from_utf8(value).ok())
            .unwrap_or_default()
    };
    if kept.type_ != SECRET_TYPE || kept.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if !equal(data("token-secret").as_bytes(), secret.as_bytes()) || data("token-id") != id {
        return None;
    }
    let expired = match data("expiration") {
        "" => false,
        // What cannot be read must not keep a token alive for ever.
        text => text.parse::<Timestamp>().map_or(true, |at| at <= now),
    };
    if expired || data("usage-bootstrap-authentication") != "true" {
        return None;
    }
    let mut groups = vec![GROUP.to_owned()];
    for group in data("auth-extra-groups")
        .split(',')
        .filter(|group| !group.is_empty())
    {
        if !is_valid_group(group) {
            tracing::error!(secret = %kept.metadata.name, group, "bootstrap token has an invalid group");
            return None;
        }
        groups.push(group.to_owned());
    }
    Some(UserInfo {
        name: format!("system:bootstrap:{id}"),
        groups,
        ..UserInfo::default()
    })
}

/// `system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]`
fn is_valid_group(group: &str) -> bool {
    let Some(suffix) = group.strip_prefix(GROUP_PREFIX) else {
        return false;
    };
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| letter(byte) || byte == b':' || byte == b'-';
    suffix.len() <= MAX_GROUP_SUFFIX && suffix.bytes().all(inner) && suffix.bytes().last().is_some_and(letter)
}

/// Takes the same time wherever the first difference is.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

impl TokenAuthenticator for BootstrapTokens {
    fn authenticate_token<'a>(
        &'a self,
        token: &'a str,
        _audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<TokenIdentity>, Error>> {
        let identity = self.identity(token).map(|user| TokenIdentity {
            user,
            audiences: Vec::new(),
        });
        Box::pin(std::future::ready(Ok(identity)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(changes: &[(&str, &str)], token: &str, expected: Option<&str>) {
        let mut secret = Secret {
            type_: SECRET_TYPE.to_owned(),
            ..Secret::default()
        };
        let mut set = |key: &str, value: &str| drop(secret.data.insert(key.to_owned(), value.into()));
        set("token-id", "abcdef");
        set("token-secret", "0123456789abcdef");
        set("usage-bootstrap-authentication", "true");
        set(
            "auth-extra-groups",
            "system:bootstrappers:kubeadm:default-node-token",
        );
        changes.iter().for_each(|(key, value)| set(key, value));
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let user = split(token).and_then(|(id, part)| user(&secret, id, part, now));
        let told = user.map(|user| format!("{} {}", user.name, user.groups.join(" ")));
        assert_eq!(told.as_deref(), expected, "{changes:?} {token}");
    }

    #[test]
    fn a_token_is_good_for_its_time_and_use() {
        let token = "abcdef.0123456789abcdef";
        let known =
            "system:bootstrap:abcdef system:bootstrappers system:bootstrappers:kubeadm:default-node-token";
        check(&[], token, Some(known));
        check(&[("expiration", "2026-02-01T00:00:00Z")], token, Some(known));
        check(&[("expiration", "2025-12-31T00:00:00Z")], token, None);
        check(&[("expiration", "tomorrow")], token, None);
        check(&[("usage-bootstrap-authentication", "false")], token, None);
        check(&[("auth-extra-groups", "system:masters")], token, None);
        check(&[("auth-extra-groups", "system:bootstrappers:")], token, None);
        check(&[], "abcdef.0123456789abcdee", None);
        check(&[], "abcde.0123456789abcdef", None);
        check(&[], "ABCDEF.0123456789abcdef", None);
    }
}
