//! Ingresses and their classes.

use api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressClass, IngressClassParametersReference, IngressRule,
    IngressServiceBackend, IngressTLS,
};
use apimachinery::field::{self, Error, ErrorList, Path};
use apimachinery::validation::{
    is_dns1123_subdomain, is_domain_prefixed_path, is_ip_legacy, is_valid_path_segment_name,
    is_valid_port_name, is_valid_port_num, is_wildcard_dns1123_subdomain, name_is_dns_label,
    name_is_dns_subdomain, parse_ip_sloppy,
};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::metadata::{immutable_text, messages};
use crate::rules::{MetadataChecks, Rules};
use crate::{table, warnings};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
const SCOPES: [&str; 2] = ["Cluster", "Namespace"];
const FORBIDDEN_SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const FORBIDDEN_SUFFIXES: [&str; 2] = ["/..", "/."];
const CONTROLLER_LENGTH: usize = 250;
const NO_IP: &str = "must be a DNS name, not an IP address";

/// Ingresses.
pub struct Ingresses;

impl Rules for Ingresses {
    type Object = Ingress;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn validate(ingress: &Ingress) -> ErrorList {
        validate(ingress, None)
    }

    fn validate_create(_cx: &Context<'_>, ingress: &Ingress) -> ErrorList {
        let mut errors = validate(ingress, None);
        let annotation = ingress.metadata.annotations.get(CLASS_ANNOTATION);
        if let (Some(annotation), Some(class)) = (annotation, &ingress.spec.ingress_class_name)
            && annotation != class
        {
            let detail = "must match `ingressClassName` when both are specified";
            let path = Path::new("annotations").child(CLASS_ANNOTATION);
            errors.push(Error::invalid(&path, annotation.as_str(), detail));
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, ingress: &Ingress, old: &Ingress) -> ErrorList {
        validate(ingress, Some(old))
    }

    fn validate_status_update(ingress: &Ingress, old: &Ingress) -> ErrorList {
        let known: Vec<String> = old
            .status
            .load_balancer
            .ingress
            .iter()
            .map(|at| at.ip.clone())
            .collect();
        let path = Path::new("status").child("loadBalancer").child("ingress");
        let mut errors = ErrorList::new();
        for (index, entry) in ingress.status.load_balancer.ingress.iter().enumerate() {
            let path = path.index(index);
            if !entry.ip.is_empty() {
                errors.extend(is_ip_legacy(&path.child("ip"), &entry.ip, &known));
            }
            if !entry.hostname.is_empty() {
                let (at, name) = (path.child("hostname"), &entry.hostname);
                errors.extend(messages(&at, name, is_dns1123_subdomain(name)));
                errors.extend(no_ip(name, &at));
            }
        }
        errors
    }

    fn warnings(ingress: &Ingress, old: Option<&Ingress>) -> Vec<String> {
        let annotated = ingress.metadata.annotations.contains_key(CLASS_ANNOTATION);
        if !annotated || old.is_some() || ingress.spec.ingress_class_name.is_some() {
            return Vec::new();
        }
        vec![format!(
            "annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"
        )]
    }

    fn status_warnings(ingress: &Ingress) -> Vec<String> {
        let path = Path::new("status").child("loadBalancer").child("ingress");
        let entries = ingress.status.load_balancer.ingress.iter().enumerate();
        entries
            .filter_map(|(index, entry)| warnings::address(&entry.ip, &path.index(index)))
            .collect()
    }

    fn row(object: &Ingress, now: Timestamp) -> Vec<Value> {
        table::network::ingress(object, now)
    }
}

fn no_ip(host: &str, path: &Path) -> Option<Error> {
    parse_ip_sloppy(host).map(|_| Error::invalid(path, host, NO_IP))
}

fn host(host: &str, path: &Path) -> ErrorList {
    let wrong = if host.contains('*') {
        is_wildcard_dns1123_subdomain(host)
    } else {
        is_dns1123_subdomain(host)
    };
    messages(path, host, wrong).collect()
}

/// What the stored object has wrong, a change may leave wrong.
struct Lenience {
    secret_names: bool,
    wildcard_rules: bool,
}

impl Lenience {
    fn of(old: Option<&Ingress>) -> Lenience {
        let Some(old) = old else {
            return Lenience {
                secret_names: false,
                wildcard_rules: false,
            };
        };
        let wrong = |name: &str| !name.is_empty() && !name_is_dns_subdomain(name, false).is_empty();
        let path = Path::new("rules");
        Lenience {
            secret_names: old.spec.tls.iter().any(|tls| wrong(&tls.secret_name)),
            wildcard_rules: old
                .spec
                .rules
                .iter()
                .any(|rule| rule.host.contains('*') && !validate_paths(rule, &path).is_empty()),
        }
    }
}

fn validate(ingress: &Ingress, old: Option<&Ingress>) -> ErrorList {
    let lenience = Lenience::of(old);
    let (spec, path) = (&ingress.spec, Path::new("spec"));
    let mut errors = ErrorList::new();
    if spec.rules.is_empty() && spec.default_backend.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        let no_rules = field::Value::Json("null".to_owned());
        errors.push(Error::invalid(&path, no_rules, detail));
    }
    if let Some(backend) = &spec.default_backend {
        errors.extend(validate_backend(backend, &path.child("defaultBackend")));
    }
    for (index, rule) in spec.rules.iter().enumerate() {
        let path = path.child("rules").index(index);
        if !rule.host.is_empty() {
            let at = path.child("host");
            errors.extend(no_ip(&rule.host, &at));
            errors.extend(host(&rule.host, &at));
        }
        if !(rule.host.contains('*') && lenience.wildcard_rules) {
            errors.extend(validate_paths(rule, &path));
        }
    }
    for (index, tls) in spec.tls.iter().enumerate() {
        errors.extend(validate_tls(tls, &lenience, &path.child("tls").index(index)));
    }
    if let Some(class) = &spec.ingress_class_name {
        let wrong = name_is_dns_subdomain(class, false);
        errors.extend(messages(&path.child("ingressClassName"), class, wrong));
    }
    errors
}

fn validate_tls(tls: &IngressTLS, lenience: &Lenience, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, name) in tls.hosts.iter().enumerate() {
        errors.extend(host(name, &path.child("hosts").index(index)));
    }
    let secret = &tls.secret_name;
    if !lenience.secret_names && !secret.is_empty() {
        let wrong = name_is_dns_subdomain(secret, false);
        errors.extend(messages(&path.child("secretName"), secret, wrong));
    }
    errors
}

fn validate_paths(rule: &IngressRule, path: &Path) -> ErrorList {
    let Some(http) = &rule.ingress_rule_value.http else {
        return ErrorList::new();
    };
    let path = path.child("http").child("paths");
    if http.paths.is_empty() {
        return vec![Error::required(&path, "")];
    }
    let each = http.paths.iter().enumerate();
    each.flat_map(|(index, entry)| validate_path(entry, &path.index(index)))
        .collect()
}

fn validate_path(entry: &HTTPIngressPath, path: &Path) -> ErrorList {
    let (at, text) = (path.child("path"), entry.path.as_str());
    let Some(kind) = &entry.path_type else {
        return vec![Error::required(
            &path.child("pathType"),
            "pathType must be specified",
        )];
    };
    let mut errors = ErrorList::new();
    let mut wrong = |detail: String| errors.push(Error::invalid(&at, text, detail));
    let absolute = text.starts_with('/');
    match kind.as_str() {
        "Exact" | "Prefix" => {
            if !absolute {
                wrong("must be an absolute path".to_owned());
            }
            for sequence in FORBIDDEN_SEQUENCES
                .into_iter()
                .filter(|sequence| text.contains(sequence))
            {
                wrong(format!("must not contain '{sequence}'"));
            }
            for suffix in FORBIDDEN_SUFFIXES
                .into_iter()
                .filter(|suffix| text.ends_with(suffix))
            {
                wrong(format!("cannot end with '{suffix}'"));
            }
        }
        "ImplementationSpecific" if !text.is_empty() && !absolute => {
            wrong("must be an absolute path".to_owned());
        }
        kind if PATH_TYPES.contains(&kind) => {}
        kind => errors.push(Error::not_supported(&path.child("pathType"), kind, &PATH_TYPES)),
    }
    errors.extend(validate_backend(&entry.backend, &path.child("backend")));
    errors
}

fn validate_backend(backend: &IngressBackend, path: &Path) -> ErrorList {
    match (&backend.resource, &backend.service) {
        (Some(_), Some(_)) => {
            let detail = "cannot set both resource and service backends";
            vec![Error::invalid(path, "", detail)]
        }
        (Some(resource), None) => {
            let path = path.child("resource");
            let group = resource.api_group.as_deref();
            validate_reference(group, &resource.kind, &resource.name, &path)
        }
        (None, Some(service)) => validate_service(service, path),
        (None, None) => vec![Error::invalid(
            path,
            "",
            "resource or service backend is required",
        )],
    }
}

fn validate_service(service: &IngressServiceBackend, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let at = path.child("service");
    let name = &service.name;
    if name.is_empty() {
        errors.push(Error::required(&at.child("name"), ""));
    } else {
        errors.extend(messages(&at.child("name"), name, name_is_dns_label(name, false)));
    }
    let (name, number) = (&service.port.name, service.port.number);
    let at = at.child("port");
    match (name.is_empty(), number) {
        (false, 0) => errors.extend(messages(&at.child("name"), name, is_valid_port_name(name))),
        (false, _) => errors.push(Error::invalid(
            path,
            "",
            "cannot set both port name & port number",
        )),
        (true, 0) => errors.push(Error::required(path, "port name or number is required")),
        (true, number) => {
            let wrong = is_valid_port_num(number.into()).into_iter();
            errors.extend(wrong.map(|detail| Error::invalid(&at.child("number"), number, detail)));
        }
    }
    errors
}

fn validate_reference(group: Option<&str>, kind: &str, name: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(group) = group {
        errors.extend(messages(
            &path.child("apiGroup"),
            group,
            is_dns1123_subdomain(group),
        ));
    }
    for (text, field) in [(kind, "kind"), (name, "name")] {
        let at = path.child(field);
        if text.is_empty() {
            errors.push(Error::required(&at, ""));
        } else {
            errors.extend(messages(&at, text, is_valid_path_segment_name(text)));
        }
    }
    errors
}

/// IngressClasses.
pub struct IngressClasses;

impl Rules for IngressClasses {
    type Object = IngressClass;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;

    crate::generation!(spec);

    fn default(class: &mut IngressClass) {
        if let Some(parameters) = &mut class.spec.parameters {
            parameters.scope.get_or_insert_with(|| "Cluster".to_owned());
        }
    }

    fn validate(class: &IngressClass) -> ErrorList {
        let (spec, path) = (&class.spec, Path::new("spec"));
        let at = path.child("controller");
        let mut errors = ErrorList::new();
        if spec.controller.len() > CONTROLLER_LENGTH {
            errors.push(Error::too_long(&at, CONTROLLER_LENGTH));
        }
        errors.extend(is_domain_prefixed_path(&at, &spec.controller));
        if let Some(parameters) = &spec.parameters {
            errors.extend(validate_parameters(parameters, &path.child("parameters")));
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, class: &IngressClass, old: &IngressClass) -> ErrorList {
        let path = Path::new("spec").child("controller");
        let mut errors = ErrorList::new();
        errors.extend(immutable_text(
            &class.spec.controller,
            &old.spec.controller,
            &path,
        ));
        errors.extend(Self::validate(class));
        errors
    }

    fn row(object: &IngressClass, now: Timestamp) -> Vec<Value> {
        table::network::ingress_class(object, now)
    }
}

fn validate_parameters(parameters: &IngressClassParametersReference, path: &Path) -> ErrorList {
    let group = parameters.api_group.as_deref();
    let mut errors = validate_reference(group, &parameters.kind, &parameters.name, path);
    let at = path.child("namespace");
    match (parameters.scope.as_deref(), &parameters.namespace) {
        (None, _) => errors.push(Error::required(&path.child("scope"), "")),
        (Some("Namespace"), None) => {
            let detail = "`parameters.scope` is set to 'Namespace'";
            errors.push(Error::required(&at, detail));
        }
        (Some("Namespace"), Some(namespace)) => {
            errors.extend(messages(&at, namespace, name_is_dns_label(namespace, false)));
        }
        (Some("Cluster"), Some(_)) => {
            let detail = "`parameters.scope` is set to 'Cluster'";
            errors.push(Error::forbidden(&at, detail));
        }
        (Some(scope), _) if SCOPES.contains(&scope) => {}
        (Some(scope), _) => errors.push(Error::not_supported(&path.child("scope"), scope, &SCOPES)),
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::tests::parse;

    #[track_caller]
    fn check(spec: Value, expected: &[&str]) {
        let ingress: Ingress = parse(&json!({ "spec": spec }));
        let errors: Vec<String> = validate(&ingress, None).iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn says_what_is_wrong() {
        check(
            json!({"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}),
            &[],
        );
        check(
            json!({}),
            &["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
        );
        check(
            json!({"rules": [{"host": "1.2.3.4", "http": {"paths": [
                {"path": "x//", "pathType": "Prefix", "backend": {"service": {"name": "a", "port": {"name": "http", "number": 1}}}},
                {"path": "/", "pathType": "Odd", "backend": {}},
                {"path": "/", "backend": {}},
            ]}}]}),
            &[
                "spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address",
                "spec.rules[0].http.paths[0].path: Invalid value: \"x//\": must be an absolute path",
                "spec.rules[0].http.paths[0].path: Invalid value: \"x//\": must not contain '//'",
                "spec.rules[0].http.paths[0].backend: Invalid value: \"\": cannot set both port name & port number",
                "spec.rules[0].http.paths[1].pathType: Unsupported value: \"Odd\": supported values: \"Exact\", \"ImplementationSpecific\", \"Prefix\"",
                "spec.rules[0].http.paths[1].backend: Invalid value: \"\": resource or service backend is required",
                "spec.rules[0].http.paths[2].pathType: Required value: pathType must be specified",
            ],
        );
    }
}
