use std::time::Duration;

use super::{Error, FlagSet, Invocation, Kind, Values, parse_duration};

fn flags() -> FlagSet {
    let mut set = FlagSet::new("kube-thing", "The thing does things.");
    set.string("kubeconfig", "", "Path to a kubeconfig")
        .switch("leader-elect", true, "Elect")
        .int("secure-port", 10250, "Port")
        .duration("sync-period", "1m0s", "Period")
        .strings("controllers", "*", "Controllers")
        .string_array("issuer", "Issuers")
        .map("node-labels", "", "Labels")
        .flag("bind-address", Kind::Ip, "0.0.0.0", "Address")
        .known(&[
            ("profiling", ""),
            ("audit-log-path", "string"),
            ("secure-port", "int"),
        ]);
    set
}

fn parse(arguments: &[&str]) -> Result<Values, Error> {
    match flags().parse(arguments.iter().copied())? {
        Invocation::Run(values) => Ok(values),
        Invocation::Print(text) => panic!("printed {text}"),
    }
}

#[test]
fn values_in_every_syntax() {
    let values = parse(&[
        "--kubeconfig",
        "/a",
        "--leader_elect=false",
        "--secure-port=0x10",
        "--sync-period=1h0.5s",
        "--controllers=a,b",
        "--controllers",
        "c",
        "--issuer=x,y",
        "--issuer=z",
        "--node-labels=a=b,c=",
        "-v=4",
    ])
    .unwrap();
    assert_eq!(values.string("kubeconfig"), "/a");
    assert!(!values.bool("leader-elect"));
    assert_eq!(values.int("secure-port"), 16);
    assert_eq!(values.duration("sync-period"), Duration::from_millis(3_600_500));
    assert_eq!(values.strings("controllers"), ["a", "b", "c"]);
    assert_eq!(values.strings("issuer"), ["x,y", "z"]);
    assert_eq!(
        values.map("node-labels").into_iter().collect::<Vec<_>>(),
        [("a".into(), "b".into()), ("c".into(), String::new())]
    );
    assert_eq!(values.int("v"), 4);
    assert!(values.changed("v") && !values.changed("bind-address"));
}

#[test]
fn defaults_hold_until_a_flag_is_given() {
    let values = parse(&[]).unwrap();
    assert!(values.bool("leader-elect"));
    assert_eq!(values.int("secure-port"), 10250);
    assert_eq!(values.strings("controllers"), ["*"]);
    assert_eq!(values.non_empty("kubeconfig"), None);
}

#[test]
fn flags_of_upstream_are_accepted_and_reported() {
    let values = parse(&["--profiling=false", "--audit-log-path", "/x"]).unwrap();
    assert_eq!(values.ignored(), ["profiling", "audit-log-path"]);
}

#[test]
fn errors_are_worded_as_upstream() {
    let check = |arguments: &[&str], expected: &str| {
        assert_eq!(parse(arguments).unwrap_err().to_string(), expected);
    };
    check(&["--nope=1"], "unknown flag: --nope");
    check(&["--kubeconfig"], "flag needs an argument: --kubeconfig");
    check(
        &["--secure-port=abc"],
        r#"invalid argument "abc" for "--secure-port" flag: strconv.ParseInt: parsing "abc": invalid syntax"#,
    );
    check(
        &["--sync-period=5"],
        r#"invalid argument "5" for "--sync-period" flag: time: missing unit in duration "5""#,
    );
    check(
        &["--bind-address=host"],
        r#"invalid argument "host" for "--bind-address" flag: failed to parse IP: "host""#,
    );
    check(
        &["--profiling=maybe"],
        r#"invalid argument "maybe" for "--profiling" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#,
    );
    check(&["--=x"], "bad flag syntax: --=x");
    check(&["serve"], r#"unknown command "serve" for "kube-thing""#);
    check(&["-x"], "unknown shorthand flag: 'x' in -x");
}

#[test]
fn help_and_version_print() {
    let print = |argument: &str| match flags().parse([argument]).unwrap() {
        Invocation::Print(text) => text,
        Invocation::Run(_) => panic!("ran"),
    };
    assert_eq!(print("--version"), "Kubernetes v1.36.2\n");
    assert!(print("--help").contains("--sync-period duration"));
    assert!(print("-h").contains("(default [*])"));
}

#[test]
fn durations() {
    assert_eq!(parse_duration("100ms").unwrap(), Duration::from_millis(100));
    assert_eq!(parse_duration("-1s").unwrap(), Duration::ZERO);
    assert_eq!(parse_duration("0").unwrap(), Duration::ZERO);
    for bad in ["", "-", "1", "s", "1x", "1..2s", "9999999999h"] {
        assert!(parse_duration(bad).is_err(), "{bad}");
    }
}
