//! Names of images. Pure. Upstream: `pkg/util/parsers`, `distribution/reference`.

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("couldn't parse image name {0:?}: invalid reference format")]
pub struct InvalidName(pub String);

const DEFAULT_REGISTRY: &str = "docker.io";

/// The name with `:latest` where it has neither tag nor digest.
pub fn with_default_tag(image: &str) -> Result<String, InvalidName> {
    let invalid = || InvalidName(image.to_owned());
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    let (repository, tag) = split_tag(rest);
    if !valid_repository(repository) || tag.is_some_and(|tag| !valid_tag(tag)) {
        return Err(invalid());
    }
    if digest.is_some_and(|digest| !valid_digest(digest)) {
        return Err(invalid());
    }
    Ok(if tag.is_none() && digest.is_none() {
        format!("{image}:latest")
    } else {
        image.to_owned()
    })
}

/// A colon after the last slash begins a tag; one before it belongs to a registry's port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

fn valid_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn valid_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    !algorithm.is_empty() && hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit())
}

fn valid_repository(repository: &str) -> bool {
    let (registry, path) = split_registry(repository);
    let registry_ok = registry.is_none_or(|registry| {
        registry
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
    });
    let part_ok = |part: &str| {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || "._-".contains(c))
    };
    registry_ok && !path.is_empty() && path.split('/').all(part_ok)
}

fn split_registry(repository: &str) -> (Option<&str>, &str) {
    match repository.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(char::is_uppercase) =>
        {
            (Some(first), rest)
        }
        _ => (None, repository),
    }
}

/// The registry and the path of an image, with the defaults of short names filled in.
pub fn registry_and_path(image: &str) -> (String, String) {
    let name = image.split_once('@').map_or(image, |(rest, _)| rest);
    let (repository, _) = split_tag(name);
    match split_registry(repository) {
        (Some(registry), path) => (registry.to_owned(), path.to_owned()),
        (None, path) if path.contains('/') => (DEFAULT_REGISTRY.to_owned(), path.to_owned()),
        (None, path) => (DEFAULT_REGISTRY.to_owned(), format!("library/{path}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        let digest = format!("a/b@sha256:{}", "0".repeat(64));
        for (name, expected) in [
            ("busybox", Some("busybox:latest")),
            ("busybox:1.36", Some("busybox:1.36")),
            ("localhost:5000/x", Some("localhost:5000/x:latest")),
            ("registry.k8s.io/pause:3.10", Some("registry.k8s.io/pause:3.10")),
            (&digest, Some(digest.as_str())),
            ("FOO", None),
            ("a//b", None),
            ("x:", None),
            ("", None),
            ("x@sha256:12", None),
        ] {
            assert_eq!(with_default_tag(name).ok().as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn registries() {
        assert_eq!(
            registry_and_path("busybox"),
            ("docker.io".into(), "library/busybox".into())
        );
        assert_eq!(
            registry_and_path("me/app:1"),
            ("docker.io".into(), "me/app".into())
        );
        assert_eq!(
            registry_and_path("r.io:80/a/b:1"),
            ("r.io:80".into(), "a/b".into())
        );
    }
}
