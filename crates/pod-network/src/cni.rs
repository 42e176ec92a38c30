//! The container runtime's network configuration.
//!
//! Pods are attached by the `ptp` plugin: a cable of its own and a route for each pod, so that every packet passes
//! the node's own packet filter. With a bridge, packets between two pods of a node would pass it only with
//! br_netfilter, without which the answers of a service's endpoint next door are never translated back.

use std::io::Write;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde_json::{Value, json};

/// Where configuration and the address ledger of `host-local` stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    pub configuration: PathBuf,
    pub data: PathBuf,
}

const FILE: &str = "10-oxikube.conflist";

/// The configuration list for the node's ranges. `mtu` of zero leaves the choice to the plugin.
pub fn configuration(pod_cidrs: &[IpNet], mtu: u32, data: &Path) -> Value {
    let ranges: Vec<Value> = pod_cidrs
        .iter()
        .map(|cidr| json!([{"subnet": cidr.to_string()}]))
        .collect();
    let any = |cidr: &IpNet| {
        if cidr.addr().is_ipv4() {
            "0.0.0.0/0"
        } else {
            "::/0"
        }
    };
    let mut routes: Vec<Value> = pod_cidrs.iter().map(|cidr| json!({"dst": any(cidr)})).collect();
    routes.dedup();
    json!({
        "cniVersion": "0.4.0",
        "name": "oxikube",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "mtu": mtu,
                "ipam": {
                    "type": "host-local",
                    "dataDir": data.display().to_string(),
                    "ranges": ranges,
                    "routes": routes,
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
        ],
    })
}

impl Paths {
    fn file(&self) -> PathBuf {
        self.configuration.join(FILE)
    }

    /// Puts the configuration in place at once, if it isn't there already: the runtime must never read half of it.
    pub fn write(&self, configuration: &Value) -> std::io::Result<Written> {
        let text = format!("{configuration:#}\n");
        if std::fs::read_to_string(self.file()).is_ok_and(|present| present == text) {
            return Ok(Written::Already);
        }
        std::fs::create_dir_all(&self.configuration)?;
        // The runtime only reads names that end in .conf, .conflist or .json.
        let aside = self.configuration.join(format!(".{FILE}.new"));
        let mut file = std::fs::File::create(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&aside, self.file())?;
        Ok(Written::Now)
    }

    pub fn remove(&self) -> std::io::Result<()> {
        match std::fs::remove_file(self.file()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Now,
    Already,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths {
            configuration: folder.path().join("net.d"),
            data: folder.path().join("data"),
        };
        let both: Vec<IpNet> = vec!["10.244.1.0/24".parse().unwrap(), "fd00:1::/64".parse().unwrap()];
        let value = configuration(&both, 1450, &paths.data);
        assert_eq!(paths.write(&value).unwrap(), Written::Now);
        assert_eq!(paths.write(&value).unwrap(), Written::Already);
        let names: Vec<_> = std::fs::read_dir(&paths.configuration)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, [FILE]);
        let read: Value = serde_json::from_slice(&std::fs::read(paths.file()).unwrap()).unwrap();
        let ipam = &read["plugins"][0]["ipam"];
        assert_eq!(
            ipam["ranges"],
            json!([[{"subnet": "10.244.1.0/24"}], [{"subnet": "fd00:1::/64"}]])
        );
        assert_eq!(ipam["routes"], json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]));
        paths.remove().unwrap();
        paths.remove().unwrap();
    }
}
