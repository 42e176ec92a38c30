//! Names, name resolution and ports of the pod.

use api::core::v1::{HostAlias, PodSpec};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_dns1123_subdomain, is_dns1123_subdomain_with_underscore, is_ip_legacy};

use crate::metadata::messages;

const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARACTERS: usize = 2048;
const MAX_HOST_NAME: usize = 64;

/// On the node's network the ports of a container are those of the node.
pub(super) fn validate_host_ports(spec: &PodSpec, is_pod: bool, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if !spec.host_network {
        return errors;
    }
    let path = path.child("containers");
    for (index, container) in spec.containers.iter().enumerate() {
        let path = path.index(index).child("ports");
        for (index, port) in container.ports.iter().enumerate() {
            if (is_pod || port.host_port != 0) && port.host_port != port.container_port {
                let path = path.index(index).child("hostPort");
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.push(Error::invalid(&path, port.host_port, detail));
            }
        }
    }
    errors
}

pub(super) fn validate_dns(spec: &PodSpec, path: &Path) -> ErrorList {
    let config = spec.dns_config.as_deref();
    if spec.dns_policy == "None" {
        let Some(config) = config else {
            return vec![Error::required(
                path,
                "must provide `dnsConfig` when `dnsPolicy` is None",
            )];
        };
        if config.nameservers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return vec![Error::required(&path.child("nameservers"), detail)];
        }
    }
    let Some(config) = config else {
        return ErrorList::new();
    };
    let mut errors = ErrorList::new();
    let (servers, searches) = (path.child("nameservers"), path.child("searches"));
    if config.nameservers.len() > MAX_NAMESERVERS {
        let detail = format!("must not have more than {MAX_NAMESERVERS} nameservers");
        errors.push(Error::invalid(&servers, config.nameservers.as_slice(), detail));
    }
    for (index, server) in config.nameservers.iter().enumerate() {
        errors.extend(is_ip_legacy(&servers.index(index), server, &[]));
    }
    if config.searches.len() > MAX_SEARCHES {
        let detail = format!("must not have more than {MAX_SEARCHES} search paths");
        errors.push(Error::invalid(&searches, config.searches.as_slice(), detail));
    }
    if config.searches.join(" ").len() > MAX_SEARCH_CHARACTERS {
        let detail = format!(
            "must not have more than {MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list"
        );
        errors.push(Error::invalid(&searches, config.searches.as_slice(), detail));
    }
    for (index, search) in config
        .searches
        .iter()
        .enumerate()
        .filter(|(_, search)| *search != ".")
    {
        let search = search.strip_suffix('.').unwrap_or(search);
        errors.extend(messages(
            &searches.index(index),
            search,
            is_dns1123_subdomain_with_underscore(search),
        ));
    }
    for (index, _) in config
        .options
        .iter()
        .enumerate()
        .filter(|(_, option)| option.name.is_empty())
    {
        errors.push(Error::required(
            &path.child("options").index(index),
            "must not be empty",
        ));
    }
    errors
}

pub(super) fn validate_host_name(spec: &PodSpec, path: &Path) -> ErrorList {
    let Some(name) = &spec.hostname_override else {
        return ErrorList::new();
    };
    let path = path.child("hostnameOverride");
    let mut errors = ErrorList::new();
    if spec.set_hostname_as_fqdn == Some(true) {
        errors.push(Error::forbidden(
            &path,
            "may not be specified when setHostnameAsFQDN is true",
        ));
    }
    if spec.host_network {
        errors.push(Error::forbidden(
            &path,
            "may not be specified when hostNetwork is true",
        ));
    }
    if name.len() > MAX_HOST_NAME {
        errors.push(Error::too_long(&path, MAX_HOST_NAME));
    }
    errors.extend(messages(&path, name, is_dns1123_subdomain(name)));
    errors
}

pub(super) fn validate_host_aliases(aliases: &[HostAlias], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, alias) in aliases.iter().enumerate() {
        let path = path.index(index);
        errors.extend(is_ip_legacy(&path.child("ip"), &alias.ip, &[]));
        for (index, name) in alias.hostnames.iter().enumerate() {
            errors.extend(messages(
                &path.child("hostnames").index(index),
                name,
                is_dns1123_subdomain(name),
            ));
        }
    }
    errors
}
