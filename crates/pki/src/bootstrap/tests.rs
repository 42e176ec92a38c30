use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::chain::{Purpose, Roots};

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn cluster() -> Cluster {
    Cluster {
        node_name: "control".into(),
        advertise_address: "192.0.2.1".parse().unwrap(),
        service_address: "10.96.0.1".parse().unwrap(),
        dns_domain: "cluster.local".into(),
        extra_names: vec!["127.0.0.1".into(), "api.example".into()],
    }
}

fn make_all(folder: &Folder) -> Result<Vec<Outcome>, Error> {
    let mut outcomes = Vec::new();
    for row in AUTHORITIES {
        outcomes.push(folder.authority(row)?);
    }
    for row in LEAVES {
        outcomes.push(folder.leaf(row, &cluster())?);
    }
    outcomes.push(folder.service_account_keys()?);
    outcomes.push(folder.kubelet_server(
        &folder.path.join("node"),
        "node-1",
        &["192.0.2.7".parse().unwrap()],
    )?);
    Ok(outcomes)
}

#[test]
fn a_second_run_keeps_what_the_first_has_made() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), now());
    assert!(
        make_all(&folder)
            .unwrap()
            .iter()
            .all(|outcome| *outcome == Outcome::Created)
    );
    let before = std::fs::read(dir.path().join("apiserver.crt")).unwrap();
    assert!(
        make_all(&folder)
            .unwrap()
            .iter()
            .all(|outcome| *outcome == Outcome::Kept)
    );
    assert_eq!(std::fs::read(dir.path().join("apiserver.crt")).unwrap(), before);
    let mode = std::fs::metadata(dir.path().join("sa.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn certificates_bear_the_clusters_names_and_verify() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), now());
    make_all(&folder).unwrap();
    let serving = Certificate::load(&folder.file("apiserver", "crt"))
        .unwrap()
        .remove(0);
    assert_eq!(
        serving.alt_names.dns,
        [
            "control",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "api.example"
        ],
    );
    let ips: Vec<String> = serving.alt_names.ips.iter().map(ToString::to_string).collect();
    assert_eq!(ips, ["10.96.0.1", "192.0.2.1", "127.0.0.1"]);
    let authority = Certificate::load(&folder.file("ca", "crt")).unwrap().remove(0);
    let roots = Roots::new(&[authority.der]).unwrap();
    roots
        .verify(std::slice::from_ref(&serving.der), Purpose::Server, now())
        .unwrap();
    assert!(roots.verify(&[serving.der], Purpose::Client, now()).is_err());
}

#[test]
fn files_that_do_not_fit_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), now());
    make_all(&folder).unwrap();
    std::fs::write(
        folder.file("apiserver", "key"),
        PrivateKey::generate().unwrap().to_pem(),
    )
    .unwrap();
    assert!(matches!(
        folder.leaf(&LEAVES[0], &cluster()),
        Err(Error::KeyMismatch)
    ));
    for extension in ["crt", "key"] {
        std::fs::copy(
            folder.file("front-proxy-client", extension),
            folder.file("apiserver", extension),
        )
        .unwrap();
    }
    let error = folder.leaf(&LEAVES[0], &cluster()).unwrap_err().to_string();
    assert!(
        error.ends_with("apiserver.crt was not issued by kubernetes"),
        "{error}"
    );
}

#[test]
fn a_kubeconfig_holds_a_client_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), now());
    folder.authority(&AUTHORITIES[0]).unwrap();
    let text = folder
        .kubeconfig("https://192.0.2.1:6443", "system:node:a", &["system:nodes"])
        .unwrap();
    let value = component_base::config::yaml(&text).unwrap();
    use base64::Engine as _;
    let data = value["users"][0]["user"]["client-certificate-data"]
        .as_str()
        .unwrap();
    let certificate = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
    let certificate = Certificate::from_pem(&certificate).unwrap().remove(0);
    assert_eq!(
        certificate.subject,
        Subject::new("system:node:a", &["system:nodes"])
    );
}
