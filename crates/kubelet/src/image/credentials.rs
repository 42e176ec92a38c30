//! Credentials of registries, from pull secrets. Pure. Upstream: `pkg/credentialprovider`.

use super::name::registry_and_path;
use api::core::v1::Secret;
use base64::{Engine, prelude::BASE64_STANDARD};
use cri_api::v1::AuthConfig;
use serde_json::Value;

/// The credentials that secrets offer for an image, those of the longest matching address first.
pub fn for_image<'a>(image: &str, secrets: impl IntoIterator<Item = &'a Secret>) -> Vec<AuthConfig> {
    let (registry, path) = registry_and_path(image);
    let mut found: Vec<(usize, AuthConfig)> = Vec::new();
    for secret in secrets {
        for (address, auth) in entries(secret) {
            if let Some(length) = matches(&address, &registry, &path) {
                found.push((length, auth));
            }
        }
    }
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, auth)| auth).collect()
}

/// What a secret of either type holds; a malformed one holds nothing, as upstream has it.
fn entries(secret: &Secret) -> Vec<(String, AuthConfig)> {
    let parse = |key: &str| {
        secret
            .data
            .get(key)
            .and_then(|data| serde_json::from_slice::<Value>(data).ok())
    };
    let document = match secret.type_.as_str() {
        "kubernetes.io/dockerconfigjson" => parse(".dockerconfigjson").map(|value| value["auths"].clone()),
        "kubernetes.io/dockercfg" => parse(".dockercfg"),
        _ => None,
    };
    let Some(Value::Object(map)) = document else {
        return Vec::new();
    };
    map.iter()
        .map(|(address, entry)| (address.clone(), auth(address, entry)))
        .collect()
}

fn auth(address: &str, entry: &Value) -> AuthConfig {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let mut auth = AuthConfig {
        username: text("username"),
        password: text("password"),
        ..AuthConfig::default()
    };
    let decoded = BASE64_STANDARD
        .decode(text("auth"))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some((user, password)) = decoded.as_deref().and_then(|pair| pair.split_once(':')) {
        user.clone_into(&mut auth.username);
        password.clone_into(&mut auth.password);
    }
    auth.server_address = address.to_owned();
    auth
}

/// How much of the image's address an entry's address covers, if it does.
fn matches(address: &str, registry: &str, path: &str) -> Option<usize> {
    let bare = address
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let bare = bare
        .strip_suffix("/v1")
        .or_else(|| bare.strip_suffix("/v2"))
        .unwrap_or(bare);
    let (host, prefix) = bare.split_once('/').unwrap_or((bare, ""));
    let host = if host == "index.docker.io" {
        "docker.io"
    } else {
        host
    };
    (host_matches(host, registry) && path.starts_with(prefix)).then_some(bare.len())
}

/// A star stands for one part of a host name.
fn host_matches(pattern: &str, host: &str) -> bool {
    let (pattern, host): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), host.split('.').collect());
    pattern.len() == host.len()
        && pattern
            .iter()
            .zip(&host)
            .all(|(p, h)| p == h || part_matches(p, h))
}

fn part_matches(pattern: &str, part: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            part.len() >= start.len() + end.len() && part.starts_with(start) && part.ends_with(end)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(auths: &str) -> Secret {
        Secret {
            type_: "kubernetes.io/dockerconfigjson".into(),
            data: [(
                ".dockerconfigjson".into(),
                format!(r#"{{"auths":{auths}}}"#).into_bytes(),
            )]
            .into(),
            ..Secret::default()
        }
    }

    #[test]
    fn the_longest_match_goes_first() {
        let secrets = [secret(
            r#"{"r.io":{"username":"all","password":"p"},"r.io/team":{"auth":"dGVhbTpzZWNyZXQ="},
                "*.r.io":{"username":"sub"},"https://index.docker.io/v1/":{"username":"hub"}}"#,
        )];
        let users = |image: &str| -> Vec<String> {
            for_image(image, &secrets)
                .into_iter()
                .map(|auth| format!("{}:{}", auth.username, auth.password))
                .collect()
        };
        assert_eq!(users("r.io/team/app:1"), ["team:secret", "all:p"]);
        assert_eq!(users("r.io/other"), ["all:p"]);
        assert_eq!(users("eu.r.io/x"), ["sub:"]);
        assert_eq!(users("busybox"), ["hub:"]);
        assert!(users("else.io/x").is_empty());
    }
}
