//! `kubeadm init phase certs`.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use component_base::options::{FlagSet, Kind, Values};
use jiff::Timestamp;
use pki::bootstrap::{AUTHORITIES, Cluster, Folder, LEAVES, Outcome};

use crate::error::Error;

/// Where kubeadm keeps certificates.
pub const DEFAULT_FOLDER: &str = "/etc/kubernetes/pki";

fn flags() -> FlagSet {
    let mut set = FlagSet::bare(
        "kubeadm init phase certs",
        "Makes the certificates of a cluster; existing ones stay.",
    );
    set.string("cert-dir", DEFAULT_FOLDER, "Where certificates are kept")
        .flag(
            "apiserver-advertise-address",
            Kind::Ip,
            "",
            "The address that the API server is reached by",
        )
        .strings(
            "apiserver-cert-extra-sans",
            "",
            "More names and addresses for the API server's certificate",
        )
        .string(
            "service-cidr",
            "10.96.0.0/12",
            "Range of the addresses of services",
        )
        .string("service-dns-domain", "cluster.local", "Domain of services")
        .string("node-name", "", "Name of this node; the host's by default")
        .strings("node-ip", "", "Addresses of the node, for kubelet-server")
        .string(
            "out-dir",
            "",
            "Where kubelet-server puts kubelet.crt and kubelet.key; --cert-dir by default",
        )
        .known(&[
            ("config", "string"),
            ("control-plane-endpoint", "string"),
            ("kubernetes-version", "string"),
            ("dry-run", ""),
            ("v", "Level"),
        ]);
    set
}

/// Runs one phase, or all of them.
pub fn run(phase: &str, arguments: &[String]) -> Result<String, Error> {
    let values = crate::parse(&flags(), arguments)?;
    let folder = Folder::new(Path::new(values.string("cert-dir")), Timestamp::now());
    let mut report = Report::default();
    match phase {
        "all" => all(&folder, &values, &mut report)?,
        "sa" => report.add("sa", folder.service_account_keys())?,
        "kubelet-server" => kubelet_server(&folder, &values, &mut report)?,
        _ => single(phase, &folder, &values, &mut report)?,
    }
    Ok(report.text)
}

/// What was done, a line each.
#[derive(Default)]
struct Report {
    text: String,
}

impl Report {
    fn add(&mut self, what: &str, outcome: Result<Outcome, pki::Error>) -> Result<(), Error> {
        let outcome = outcome.map_err(|source| Error::Pki {
            what: what.to_owned(),
            source,
        })?;
        let did = match outcome {
            Outcome::Created => "Generating",
            Outcome::Kept => "Using existing",
        };
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "[certs] {did} {what:?} certificate and key");
        Ok(())
    }
}

fn all(folder: &Folder, values: &Values, report: &mut Report) -> Result<(), Error> {
    let cluster = cluster(values)?;
    for row in AUTHORITIES {
        report.add(row.name, folder.authority(row))?;
    }
    for row in LEAVES {
        report.add(row.name, folder.leaf(row, &cluster))?;
    }
    report.add("sa", folder.service_account_keys())
}

fn single(phase: &str, folder: &Folder, values: &Values, report: &mut Report) -> Result<(), Error> {
    if let Some(row) = AUTHORITIES.iter().find(|row| row.name.replace('/', "-") == phase) {
        return report.add(row.name, folder.authority(row));
    }
    let row = LEAVES
        .iter()
        .find(|row| row.phase == phase)
        .ok_or_else(|| Error::Phase(phase.to_owned()))?;
    report.add(row.name, folder.leaf(row, &cluster(values)?))
}

fn kubelet_server(folder: &Folder, values: &Values, report: &mut Report) -> Result<(), Error> {
    let out = values.non_empty("out-dir").unwrap_or(values.string("cert-dir"));
    let parse = |text: &String| text.parse::<IpAddr>().map_err(|error| invalid("node-ip", error));
    let ips: Vec<IpAddr> = values
        .strings("node-ip")
        .iter()
        .map(parse)
        .collect::<Result<_, _>>()?;
    report.add(
        "kubelet",
        folder.kubelet_server(Path::new(out), &node_name(values)?, &ips),
    )
}

fn cluster(values: &Values) -> Result<Cluster, Error> {
    let address = values
        .non_empty("apiserver-advertise-address")
        .ok_or(Error::Missing("--apiserver-advertise-address is required"))?;
    Ok(Cluster {
        node_name: node_name(values)?,
        advertise_address: address
            .parse()
            .map_err(|error| invalid("apiserver-advertise-address", error))?,
        service_address: first_address(values.string("service-cidr"))?,
        dns_domain: values.string("service-dns-domain").to_owned(),
        extra_names: values.strings("apiserver-cert-extra-sans").to_vec(),
    })
}

fn invalid(flag: &'static str, reason: impl ToString) -> Error {
    Error::Flag {
        flag,
        reason: reason.to_string(),
    }
}

pub fn node_name(values: &Values) -> Result<String, Error> {
    if let Some(name) = values.non_empty("node-name") {
        return Ok(name.to_owned());
    }
    match std::fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(name) => Ok(name.trim().to_lowercase()),
        Err(error) => Err(invalid(
            "node-name",
            format!("the host's name is unknown: {error}"),
        )),
    }
}

/// The first address of a range belongs to the `kubernetes` Service. Of two ranges the first counts.
fn first_address(ranges: &str) -> Result<IpAddr, Error> {
    let range = ranges.split(',').next().unwrap_or_default();
    let invalid = || invalid("service-cidr", format!("{range:?} is not a range of addresses"));
    let (address, length) = range.split_once('/').ok_or_else(invalid)?;
    let length: u32 = length.parse().map_err(|_| invalid())?;
    match address.parse().map_err(|_| invalid())? {
        IpAddr::V4(ip) if length < 32 => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or_default();
            Ok(IpAddr::V4(((ip.to_bits() & mask) + 1).into()))
        }
        IpAddr::V6(ip) if length < 128 => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or_default();
            Ok(IpAddr::V6(((ip.to_bits() & mask) + 1).into()))
        }
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubernetes_service_has_the_first_address() {
        let check =
            |range: &str, address: &str| assert_eq!(first_address(range).unwrap().to_string(), address);
        check("10.96.0.0/12", "10.96.0.1");
        check("10.96.7.9/16,fd00::/108", "10.96.0.1");
        check("fd00:1::/108", "fd00:1::1");
        check("0.0.0.0/0", "0.0.0.1");
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/32", "x/8"] {
            assert!(first_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn phases_report_what_they_did() {
        let dir = tempfile::tempdir().unwrap();
        let arguments = [
            format!("--cert-dir={}", dir.path().display()),
            "--apiserver-advertise-address=192.0.2.1".to_owned(),
            "--node-name=n".to_owned(),
        ];
        assert_eq!(
            run("ca", &arguments).unwrap(),
            "[certs] Generating \"ca\" certificate and key\n"
        );
        let report = run("all", &arguments).unwrap();
        assert!(report.starts_with("[certs] Using existing \"ca\" certificate and key\n"));
        assert!(report.contains("[certs] Generating \"etcd/healthcheck-client\""));
        assert!(matches!(run("nonsense", &arguments), Err(Error::Phase(_))));
        assert!(matches!(run("all", &arguments[..1]), Err(Error::Missing(_))));
    }
}
