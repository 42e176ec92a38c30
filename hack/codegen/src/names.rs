//! Rust names for API names.

use crate::catalogue::Kind;

/// Words that cannot be field names.
const KEYWORDS: [&str; 45] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "super",
    "trait", "try", "type", "unsafe", "use", "virtual", "where", "while",
];

/// A struct field for a JSON name: `clusterIPs` -> `cluster_ips`, `type` -> `type_`.
pub fn field(json: &str) -> String {
    let name = snake(json);
    if KEYWORDS.contains(&name.as_str()) {
        name + "_"
    } else {
        name
    }
}

/// `CSIDriver` -> `csi_driver`; a run of capitals is one word, with its plural `s` (`podCIDRs` -> `pod_cidrs`).
pub fn snake(name: &str) -> String {
    // The one name in which a version number hides a word's start.
    let name = name.replace("openAPIV3Schema", "openApiV3Schema");
    let letters: Vec<char> = name.trim_start_matches('$').chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        if *letter == '-' || *letter == '.' {
            out.push('_');
            continue;
        }
        let before = index.checked_sub(1).map(|i| letters[i]);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|b| {
                b != '-'
                    && (!b.is_uppercase() || (!ends_plural(&letters, index) && lower(&letters, index + 1)))
            });
        if starts_word {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

fn lower(letters: &[char], index: usize) -> bool {
    letters.get(index).is_some_and(|l| l.is_lowercase())
}

/// Whether the letter at `index` is the last capital of a plural such as `IPs`.
fn ends_plural(letters: &[char], index: usize) -> bool {
    letters.get(index + 1) == Some(&'s') && !lower(letters, index + 2)
}

/// The static that describes a type: `PodSpec` -> `POD_SPEC`.
pub fn constant(name: &str) -> String {
    snake(name).to_uppercase()
}

/// The module of a package below the crate: `core/v1` -> `core::v1`.
pub fn module(package: &str) -> String {
    package.replace('/', "::")
}

/// The members that name a kind.
pub fn gvk(kind: &Kind) -> String {
    let Kind {
        group, version, kind, ..
    } = kind;
    let api_version = if group.is_empty() {
        version.clone()
    } else {
        format!("{group}/{version}")
    };
    format!("group: {group:?}, version: {version:?}, kind: {kind:?}, api_version: {api_version:?}")
}

/// Whether a package is compiled in: its version is stable. Others stay tables, read by tests alone.
pub fn compiled(package: &str) -> bool {
    package.ends_with("/v1") || package.ends_with("/v2")
}

#[cfg(test)]
mod tests {
    #[test]
    fn json_names_become_fields() {
        let check = |json, rust| assert_eq!(super::field(json), rust);
        check("clusterIP", "cluster_ip");
        check("clusterIPs", "cluster_ips");
        check("podCIDRs", "pod_cidrs");
        check("hostPID", "host_pid");
        check("type", "type_");
        check("nonResourceURLs", "non_resource_urls");
        check("openAPIV3Schema", "open_api_v3_schema");
        check("x-kubernetes-int-or-string", "x_kubernetes_int_or_string");
        check("$ref", "ref_");
        check("CSIDriver", "csi_driver");
        check("serverAddressByClientCIDRs", "server_address_by_client_cidrs");
        check("IPBlock", "ip_block");
    }
}
