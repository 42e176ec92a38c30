use super::*;

fn check(text: &str, printed: &str) {
    assert_eq!(
        Quantity::parse(text).map(|q| q.to_string()),
        Ok(printed.to_owned()),
        "{text}"
    );
}

#[test]
fn texts_print_canonically() {
    for text in [
        "0",
        "1",
        "100m",
        "1Gi",
        "128Mi",
        "500k",
        "1e3",
        "-5",
        "1n",
        "123456789012345678",
    ] {
        check(text, text);
    }
    check("0.5", "500m");
    check("1.5Gi", "1536Mi");
    check("1024Ki", "1Mi");
    check("1000", "1k");
    check("1000m", "1");
    check("0.5Gi", "512Mi");
    check("0.1Ki", "102400m");
    check("100Ki", "100Ki");
    check("512Ki", "512Ki");
    check("1000Ki", "1000Ki");
    check("0.0001n", "1n");
    check("1E", "1E");
    check("1E3", "1E3");
    check("1000e3", "1e6");
    check("9223372036854775807Ki", "9223372036854775807");
    check("-0", "0");
    check("+", "0");
    check(".5", "500m");
    check("1.", "1.");
    check("00012", "00012");
    check("1.500", "1.500");
    check("1e100", "10e99");
    check("8Ki", "8Ki");
    check("1Ei", "1Ei");
    check("99999999999999999999", "99999999999999999999");
}

#[test]
fn what_is_no_quantity_is_refused_in_upstreams_words() {
    let error = |text: &str| Quantity::parse(text).map(|q| q.to_string());
    assert_eq!(error(""), Err(ParseError::Format));
    assert_eq!(error("abc"), Err(ParseError::Format));
    assert_eq!(error("1x"), Err(ParseError::Format));
    assert_eq!(error("1mm"), Err(ParseError::Suffix));
    assert_eq!(error("1e"), Err(ParseError::Suffix));
    assert_eq!(error("1 Gi"), Err(ParseError::Format));
    assert_eq!(error("1.2.3"), Err(ParseError::Format));
}

#[test]
fn values_round_away_from_zero() {
    let q = |text: &str| Quantity::parse(text).expect("valid");
    assert_eq!(q("1500m").value(), 2);
    assert_eq!(q("-1500m").value(), -2);
    assert_eq!(q("1n").milli_value(), 1);
    assert_eq!(q("1Gi").value(), 1 << 30);
    assert_eq!(q("2.5").milli_value(), 2500);
    assert_eq!(q("1e30").value(), i64::MAX);
}

#[test]
fn quantities_compare_and_add_by_value() {
    let q = |text: &str| Quantity::parse(text).expect("valid");
    assert_eq!(q("1"), q("1000m"));
    assert!(q("1Ki") > q("1k"));
    assert!(q("1e100") > q("9E"));
    assert!(q("-1e100") < q("-9E"));
    let mut sum = q("1Gi");
    sum.add(&q("512Mi"));
    assert_eq!(sum.to_string(), "1536Mi");
    sum.sub(&q("1536Mi"));
    assert!(sum.is_zero());
    sum.add(&q("100m"));
    assert_eq!(sum.to_string(), "100m", "zero takes the format of what is added");
}
