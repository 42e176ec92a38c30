use super::*;

#[track_caller]
fn check(text: &str, expected: &str) {
    let found = match Selector::parse(text) {
        Ok(selector) => selector.to_string(),
        Err(error) => format!("error: {error}"),
    };
    assert_eq!(found, expected, "for {text:?}");
}

#[test]
fn parses_and_prints_canonically() {
    check("", "");
    check("b=2, a==1", "a==1,b=2");
    check("x in (b,a,b),!y,z,w!=3", "w!=3,x in (a,b),!y,z");
    check("x notin ()", "x notin ()");
    check("x in (,a)", "x in (,a)");
    check("in in (in)", "in in (in)");
    check("x>1,y<2", "x>1,y<2");
    check("x=", "x=");
}

#[test]
fn reports_errors_as_upstream() {
    check("x=a=b", "error: found '=', expected: ',' or 'end of string'");
    check(
        ",",
        "error: found ',', expected: !, identifier, or 'end of string'",
    );
    check("a,", "error: found '', expected: identifier after ','");
    check("!x=a", "error: found '=', expected: ',' or 'end of string'");
    check(
        "x in a",
        "error: unable to parse requirement: found 'a' expected: '('",
    );
    check(
        "x y",
        "error: unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt",
    );
    check(
        "x>a",
        "error: unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
    );
}

#[test]
fn matches_labels() {
    let labels: BTreeMap<String, String> = [("app", "web"), ("size", "5")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    for (selector, expected) in [
        ("", true),
        ("app=web,size>4", true),
        ("size<5", false),
        ("app in (web,api)", true),
        ("app notin (web)", false),
        ("tier!=x", true),
        ("!app", false),
        ("app", true),
        ("tier", false),
        ("app>1", false),
    ] {
        assert_eq!(
            Selector::parse(selector).unwrap().matches(&labels),
            expected,
            "{selector}"
        );
    }
    assert!(
        !Selector::nothing()
            .with(Requirement::exists("app"))
            .matches(&labels)
    );
}

#[test]
fn finds_the_exact_value() {
    let selector = Selector::parse("a=1,b in (2),c in (3,4),d!=5").unwrap();
    let exact: Vec<_> = ["a", "b", "c", "d"]
        .map(|key| selector.requires_exact_match(key))
        .into();
    assert_eq!(exact, [Some("1"), Some("2"), None, None]);
}
