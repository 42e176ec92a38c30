use super::*;
use crate::field::Path;

#[track_caller]
fn check(test: fn(&str) -> Vec<String>, good: &[&str], bad: &[&str]) {
    for value in good {
        assert_eq!(test(value), Vec::<String>::new(), "{value:?} is good");
    }
    for value in bad {
        assert!(!test(value).is_empty(), "{value:?} is bad");
    }
}

#[test]
fn dns_names() {
    let long = "a".repeat(64);
    check(
        is_dns1123_label,
        &["a", "1-a"],
        &["", "-a", "a-", "A", "a.b", "a_b", &long],
    );
    check(
        is_dns1123_subdomain,
        &["a.b", "1"],
        &["a..b", ".a", "a.", "a.-b", "A.b", ""],
    );
    check(
        is_dns1123_subdomain_with_underscore,
        &["_a._b", "a_b.c"],
        &["__a", "a_", ""],
    );
    check(is_dns1035_label, &["a1"], &["1a", "a.b", ""]);
    check(
        is_wildcard_dns1123_subdomain,
        &["*.a.b"],
        &["a.b", "*.*.b", "*", "*."],
    );
    assert_eq!(is_dns1123_label("a.b"), ["must not contain dots"]);
    assert_eq!(
        is_dns1123_label("A"),
        [
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ]
    );
}

#[test]
fn keys_and_values() {
    check(
        is_qualified_name,
        &["a", "A.b_c-9", "x.io/Y"],
        &["", "/a", "a/", "a/b/c", "-a", "X.io/a", "a b"],
    );
    check(
        is_valid_label_value,
        &["", "a", "A_b.c-9"],
        &["-", "a-", "a b", "ü"],
    );
    check(
        is_config_map_key,
        &["a", ".a", "A_-."],
        &["", ".", "..", "..a", "a/b"],
    );
    check(
        is_env_var_name,
        &["a", "A.b-c", "_x"],
        &["", "1a", "a=b", "..", "a b"],
    );
    check(
        is_relaxed_env_var_name,
        &["1a", "a b", "#"],
        &["", "a=b", "ä", "a\n"],
    );
    check(
        is_valid_path_segment_name,
        &["a:b", "..."],
        &[".", "..", "a/b", "a%b"],
    );
    assert_eq!(
        is_qualified_name("x.io/"),
        ["name part must be non-empty", &format!("name part {}", regex())]
    );
}

fn regex() -> &'static str {
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
}

#[test]
fn names_and_numbers() {
    check(
        is_valid_port_name,
        &["http", "a-1"],
        &["", "1", "A", "a--b", "-a", "a-", "abcdefghijklmnop"],
    );
    check(is_valid_percent, &["0%", "100%"], &["", "%", "1", "-1%", "1.5%"]);
    check(is_c_identifier, &["a", "_A1"], &["", "1a", "a-b"]);
    check(
        is_decimal_integer,
        &["0", "-5", "10"],
        &["", "-", "-0", "007", "+1", "1a"],
    );
    assert_eq!(is_valid_port_num(0), ["must be between 1 and 65535, inclusive"]);
    assert!(name_is_dns_subdomain("a-", true).is_empty());
    assert!(!name_is_dns_subdomain("a-", false).is_empty());
}

#[test]
fn addresses() {
    let path = Path::new("ip");
    let messages =
        |errors: Vec<crate::field::Error>| errors.into_iter().map(|e| e.detail).collect::<Vec<_>>().join();
    for (value, legacy, strict) in [
        ("10.0.0.1", "", ""),
        ("fd00::1", "", ""),
        ("FD00:0::1", "", "must be in canonical form (\"fd00::1\")"),
        (
            "010.0.0.1",
            "must not have leading 0s",
            "must not have leading 0s",
        ),
        (
            "::ffff:1.2.3.4",
            "must not be an IPv4-mapped IPv6 address",
            "must not be an IPv4-mapped IPv6 address",
        ),
        ("1.2.3", address_message(), address_message()),
        ("fe80::1%eth0", address_message(), address_message()),
    ] {
        assert_eq!(messages(is_ip_legacy(&path, value, &[])), legacy, "{value}");
        assert_eq!(messages(is_ip(&path, value)), strict, "{value}");
    }
    for (value, expected) in [
        ("10.0.0.0/8", ""),
        ("0.0.0.0/0", ""),
        ("fd00::/64", ""),
        ("10.0.0.1/8", "must not have bits set beyond the prefix length"),
        ("10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
        (
            "10.0.0.0/33",
            "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ),
    ] {
        assert_eq!(messages(is_cidr(&path, value)), expected, "{value}");
    }
    assert!(is_ip_legacy(&path, "010.0.0.1", &["010.0.0.1".to_owned()]).is_empty());
    assert!(is_interface_address(&path, "10.9.8.7/24").is_empty());
}

fn address_message() -> &'static str {
    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
}

trait Join {
    fn join(self) -> String;
}

impl Join for Vec<String> {
    fn join(self) -> String {
        self.as_slice().join("; ")
    }
}
