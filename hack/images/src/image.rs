//! One layer, its configuration, and the manifests of both formats.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::archive::Archive;

#[derive(Default)]
pub struct Image {
    pub tag: String,
    pub entries: Vec<Entry>,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub environment: Vec<String>,
    pub user: String,
}

/// Something in the image's file system, by absolute path.
pub enum Entry {
    File { path: String, bytes: Vec<u8>, mode: u32 },
    Directory { path: String, mode: u32 },
    Link { path: String, target: String },
}

impl Entry {
    fn path(&self) -> &str {
        match self {
            Entry::File { path, .. } | Entry::Directory { path, .. } | Entry::Link { path, .. } => path,
        }
        .trim_matches('/')
    }
}

struct Blob {
    bytes: Vec<u8>,
    hex: String,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(&bytes) {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Self { bytes, hex }
    }

    fn json(value: &Value) -> Self {
        Self::new(value.to_string().into_bytes())
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.hex)
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", self.hex), "size": self.bytes.len()})
    }
}

/// The archive's bytes.
pub fn build(image: &Image) -> Result<Vec<u8>, Error> {
    let layer = Blob::new(layer(&image.entries)?);
    let config = Blob::json(&config(image, &layer));
    let manifest = Blob::json(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
    }));
    let mut entry = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
    entry["annotations"] = json!({
        "io.containerd.image.name": image.tag,
        "org.opencontainers.image.ref.name": image.tag.rsplit_once(':').map_or("latest", |(_, tag)| tag),
    });
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    let docker = json!([{"Config": config.path(), "RepoTags": [image.tag], "Layers": [layer.path()]}]);

    let mut archive = Archive::default();
    archive.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive.file("index.json", 0o644, index.to_string().as_bytes())?;
    archive.file("manifest.json", 0o644, docker.to_string().as_bytes())?;
    for directory in ["blobs", "blobs/sha256"] {
        archive.directory(directory, 0o755)?;
    }
    for blob in [&layer, &config, &manifest] {
        archive.file(&blob.path(), 0o644, &blob.bytes)?;
    }
    Ok(archive.finish())
}

fn layer(entries: &[Entry]) -> Result<Vec<u8>, Error> {
    let mut archive = Archive::default();
    let mut made = BTreeSet::new();
    for entry in entries {
        let path = entry.path();
        for (end, _) in path.match_indices('/') {
            if made.insert(path[..end].to_owned()) {
                archive.directory(&path[..end], 0o755)?;
            }
        }
        match entry {
            Entry::File { bytes, mode, .. } => archive.file(path, *mode, bytes)?,
            Entry::Link { target, .. } => archive.link(path, target)?,
            Entry::Directory { mode, .. } => {
                made.insert(path.to_owned());
                archive.directory(path, *mode)?;
            }
        }
    }
    Ok(archive.finish())
}

fn config(image: &Image, layer: &Blob) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut environment =
        vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    environment.extend(image.environment.iter().cloned());
    json!({
        "architecture": architecture,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": image.entrypoint,
            "Cmd": image.command,
            "Env": environment,
            "User": image.user,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", layer.hex)]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "hack/images"}],
    })
}
