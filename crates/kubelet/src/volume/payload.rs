//! The files of a volume that is made from API objects. Pure. Upstream: `pkg/volume/{configmap,secret,projected,downwardapi}`.

use crate::env::fields::{self, Surroundings};
use api::core::v1::{ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret};
use std::collections::BTreeMap;

/// One file: its content and its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub data: Vec<u8>,
    pub mode: u32,
    /// Owned by this user rather than root: tokens of pods that run as one user.
    pub owner: Option<u32>,
}

/// Files by their path relative to the volume.
pub type Payload = BTreeMap<String, File>;

#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("{kind} references non-existent {kind} key: {key}")]
    NoKey { kind: &'static str, key: String },
    #[error(transparent)]
    Field(#[from] fields::Error),
    #[error("invalid path {0:?} in volume")]
    Path(String),
}

/// The mode of files that ask for none.
pub const DEFAULT_MODE: i32 = 0o644;

pub fn mode(own: Option<i32>, default: Option<i32>) -> u32 {
    u32::try_from(own.or(default).unwrap_or(DEFAULT_MODE)).unwrap_or(0o644) & 0o7777
}

/// A file's path must stay inside the volume and must not hide the writer's own entries.
fn checked(path: &str) -> Result<String, Error> {
    let parts: Vec<&str> = path.split('/').collect();
    let bad = path.is_empty()
        || parts.iter().any(|part| part.is_empty() || *part == "..")
        || parts[0].starts_with("..");
    if bad {
        Err(Error::Path(path.to_owned()))
    } else {
        Ok(path.to_owned())
    }
}

/// Chooses the named keys, or all of them under their own names.
fn keyed(
    kind: &'static str,
    data: &BTreeMap<&str, &[u8]>,
    items: &[KeyToPath],
    default_mode: Option<i32>,
    optional: bool,
) -> Result<Payload, Error> {
    let file = |bytes: &[u8], own| File {
        data: bytes.to_vec(),
        mode: mode(own, default_mode),
        owner: None,
    };
    if items.is_empty() {
        return data
            .iter()
            .map(|(key, bytes)| Ok((checked(key)?, file(bytes, None))))
            .collect();
    }
    let mut payload = Payload::new();
    for item in items {
        match data.get(item.key.as_str()) {
            Some(bytes) => drop(payload.insert(checked(&item.path)?, file(bytes, item.mode))),
            None if optional => {}
            None => {
                return Err(Error::NoKey {
                    kind,
                    key: item.key.clone(),
                });
            }
        }
    }
    Ok(payload)
}

pub fn config_map(
    object: &ConfigMap,
    items: &[KeyToPath],
    default_mode: Option<i32>,
    optional: bool,
) -> Result<Payload, Error> {
    let text = object
        .data
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_bytes()));
    let binary = object
        .binary_data
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_slice()));
    keyed(
        "configmap",
        &text.chain(binary).collect(),
        items,
        default_mode,
        optional,
    )
}

pub fn secret(
    object: &Secret,
    items: &[KeyToPath],
    default_mode: Option<i32>,
    optional: bool,
) -> Result<Payload, Error> {
    let data = object
        .data
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_slice()))
        .collect();
    keyed("secret", &data, items, default_mode, optional)
}

pub fn downward_api(
    items: &[DownwardAPIVolumeFile],
    pod: &Pod,
    around: &Surroundings,
    default_mode: Option<i32>,
) -> Result<Payload, Error> {
    let mut payload = Payload::new();
    for item in items {
        let text = if let Some(selector) = &item.field_ref {
            fields::metadata_field(&selector.field_path, pod)?
        } else if let Some(selector) = &item.resource_field_ref {
            fields::resource(selector, pod, None, &around.allocatable)?
        } else {
            continue;
        };
        let file = File {
            data: text.into_bytes(),
            mode: mode(item.mode, default_mode),
            owner: None,
        };
        payload.insert(checked(&item.path)?, file);
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> ConfigMap {
        ConfigMap {
            data: [("a".into(), "1".into()), ("b".into(), "2".into())].into(),
            binary_data: [("c".into(), vec![0, 1])].into(),
            ..ConfigMap::default()
        }
    }

    fn item(key: &str, path: &str, mode: Option<i32>) -> KeyToPath {
        KeyToPath {
            key: key.into(),
            path: path.into(),
            mode,
        }
    }

    #[test]
    fn all_keys_or_chosen_ones() {
        let all = config_map(&object(), &[], Some(0o600), false).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(
            all["c"],
            File {
                data: vec![0, 1],
                mode: 0o600,
                owner: None
            }
        );
        let chosen = config_map(&object(), &[item("a", "x/y", Some(0o400))], None, false).unwrap();
        assert_eq!(chosen.keys().collect::<Vec<_>>(), ["x/y"]);
        assert_eq!(chosen["x/y"].mode, 0o400);
    }

    #[test]
    fn missing_keys_and_paths_that_lead_out() {
        let missing = |optional| config_map(&object(), &[item("z", "z", None)], None, optional);
        assert_eq!(
            missing(false).unwrap_err().to_string(),
            "configmap references non-existent configmap key: z"
        );
        assert!(missing(true).unwrap().is_empty());
        for path in ["../x", "/x", "a//b", "..data", ""] {
            assert!(
                config_map(&object(), &[item("a", path, None)], None, false).is_err(),
                "{path}"
            );
        }
    }
}
