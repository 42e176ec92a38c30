//! `kubeadm init phase kubeconfig` and `kubeadm kubeconfig user`.

use std::fmt::Write;
use std::path::Path;

use component_base::options::{FlagSet, Kind, Values};
use jiff::Timestamp;
use pki::bootstrap::{Folder, Outcome};

use crate::certs::{DEFAULT_FOLDER, node_name};
use crate::error::Error;

const DEFAULT_PORT: i64 = 6443;

/// One file of the phase.
struct Row {
    name: &'static str,
    user: User,
    groups: &'static [&'static str],
}

enum User {
    Fixed(&'static str),
    /// `system:node:` and the node's name.
    Node,
}

const ROWS: &[Row] = &[
    Row {
        name: "admin",
        user: User::Fixed("kubernetes-admin"),
        groups: &["kubeadm:cluster-admins"],
    },
    Row {
        name: "super-admin",
        user: User::Fixed("kubernetes-super-admin"),
        groups: &["system:masters"],
    },
    Row {
        name: "kubelet",
        user: User::Node,
        groups: &["system:nodes"],
    },
    Row {
        name: "controller-manager",
        user: User::Fixed("system:kube-controller-manager"),
        groups: &[],
    },
    Row {
        name: "scheduler",
        user: User::Fixed("system:kube-scheduler"),
        groups: &[],
    },
];

fn server_flags(command: &str, about: &str) -> FlagSet {
    let mut set = FlagSet::bare(command, about);
    set.string("cert-dir", DEFAULT_FOLDER, "Where certificates are kept")
        .flag(
            "apiserver-advertise-address",
            Kind::Ip,
            "",
            "The address that the API server is reached by",
        )
        .int("apiserver-bind-port", DEFAULT_PORT, "The port of the API server")
        .string(
            "control-plane-endpoint",
            "",
            "Name or address, with or without a port, that leads to the API servers",
        )
        .string(
            "server",
            "",
            "The URL of the API server, in place of an address and a port",
        )
        .known(&[
            ("config", "string"),
            ("kubernetes-version", "string"),
            ("dry-run", ""),
            ("v", "Level"),
        ]);
    set
}

/// `init phase kubeconfig NAME`.
pub fn run_phase(name: &str, arguments: &[String]) -> Result<String, Error> {
    let mut set = server_flags(
        "kubeadm init phase kubeconfig",
        "Makes kubeconfig files; existing ones stay.",
    );
    set.string(
        "kubeconfig-dir",
        "/etc/kubernetes",
        "Where kubeconfig files are kept",
    )
    .string("node-name", "", "Name of this node; the host's by default");
    let values = crate::parse(&set, arguments)?;
    let rows: Vec<&Row> = ROWS
        .iter()
        .filter(|row| name == "all" || row.name == name)
        .collect();
    if rows.is_empty() {
        return Err(Error::Phase(name.to_owned()));
    }
    let server = server(&values)?;
    let folder = Folder::new(Path::new(values.string("cert-dir")), Timestamp::now());
    let mut report = String::new();
    for row in rows {
        let file = format!("{}.conf", row.name);
        let path = Path::new(values.string("kubeconfig-dir")).join(&file);
        let user = match row.user {
            User::Fixed(user) => user.to_owned(),
            User::Node => format!("system:node:{}", node_name(&values)?),
        };
        let outcome = folder
            .kubeconfig_file(&path, &server, &user, row.groups)
            .map_err(|source| Error::Pki {
                what: file.clone(),
                source,
            })?;
        // Writing to a string does not fail.
        let _ = match outcome {
            Outcome::Created => writeln!(report, "[kubeconfig] Writing {file:?} kubeconfig file"),
            Outcome::Kept => writeln!(report, "[kubeconfig] Using existing kubeconfig file: {file:?}"),
        };
    }
    Ok(report)
}

/// `kubeconfig user`: the file's text.
pub fn run_user(arguments: &[String]) -> Result<String, Error> {
    let mut set = server_flags(
        "kubeadm kubeconfig user",
        "Prints a kubeconfig for an additional user.",
    );
    set.string("client-name", "", "The user's name")
        .strings("org", "", "The user's groups");
    let values = crate::parse(&set, arguments)?;
    let user = values
        .non_empty("client-name")
        .ok_or(Error::Missing("required flag(s) \"client-name\" not set"))?;
    let groups: Vec<&str> = values.strings("org").iter().map(String::as_str).collect();
    let folder = Folder::new(Path::new(values.string("cert-dir")), Timestamp::now());
    folder
        .kubeconfig(&server(&values)?, user, &groups)
        .map_err(|source| Error::Pki {
            what: format!("a kubeconfig for {user}"),
            source,
        })
}

fn server(values: &Values) -> Result<String, Error> {
    if let Some(url) = values.non_empty("server") {
        return Ok(url.to_owned());
    }
    let port = values.int("apiserver-bind-port");
    if let Some(endpoint) = values.non_empty("control-plane-endpoint") {
        let has_port = endpoint
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        return Ok(if has_port {
            format!("https://{endpoint}")
        } else {
            format!("https://{endpoint}:{port}")
        });
    }
    let address = values.string("apiserver-advertise-address");
    match address.contains(':') {
        _ if address.is_empty() => Err(Error::Missing(
            "--apiserver-advertise-address or --server is required",
        )),
        true => Ok(format!("https://[{address}]:{port}")),
        false => Ok(format!("https://{address}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_follows_the_flags() {
        let check = |arguments: &[&str], expected: &str| {
            let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            let values = crate::parse(&server_flags("x", "x"), &arguments).unwrap();
            assert_eq!(server(&values).unwrap_or_default(), expected);
        };
        check(
            &["--apiserver-advertise-address=192.0.2.1"],
            "https://192.0.2.1:6443",
        );
        check(
            &["--apiserver-advertise-address=fd00::1", "--apiserver-bind-port=1"],
            "https://[fd00::1]:1",
        );
        check(
            &["--control-plane-endpoint=api.example"],
            "https://api.example:6443",
        );
        check(
            &["--control-plane-endpoint=api.example:443"],
            "https://api.example:443",
        );
        check(
            &["--server=https://x:1", "--apiserver-advertise-address=192.0.2.1"],
            "https://x:1",
        );
        check(&[], "");
    }

    #[test]
    fn files_are_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        crate::certs::run("ca", &[format!("--cert-dir={path}")]).unwrap();
        let arguments = [
            format!("--cert-dir={path}"),
            format!("--kubeconfig-dir={path}"),
            "--server=https://x:1".to_owned(),
            "--node-name=n".to_owned(),
        ];
        assert_eq!(
            run_phase("admin", &arguments).unwrap(),
            "[kubeconfig] Writing \"admin.conf\" kubeconfig file\n"
        );
        let again = run_phase("all", &arguments).unwrap();
        assert!(again.starts_with("[kubeconfig] Using existing kubeconfig file: \"admin.conf\"\n"));
        let user = run_user(&[
            arguments[0].clone(),
            arguments[2].clone(),
            "--client-name=eve".to_owned(),
        ])
        .unwrap();
        assert!(user.contains("name: eve@kubernetes"));
        assert!(matches!(run_user(&arguments[..1]), Err(Error::Missing(_))));
    }
}
