//! Whatever users write, evaluation ends and the stack lasts.

use proptest::prelude::*;

use super::run;

fn is_too_deep(source: &str) {
    let (found, _) = run(source);
    assert!(
        found.contains("expression recursion limit exceeded: 250"),
        "{found}"
    );
}

#[test]
fn nesting_is_bounded() {
    is_too_deep(&format!("{}1{}", "(".repeat(1000), ")".repeat(1000)));
    is_too_deep(&format!("1{}", " + 1".repeat(1000)));
    is_too_deep(&format!("object{}", ".a".repeat(1000)));
    is_too_deep(&format!(
        "{}1{}",
        "[".repeat(100_000 / 4),
        "]".repeat(100_000 / 4)
    ));
    let many = format!("true{}", " && true".repeat(5000));
    assert_eq!(run(&many).0, "true");
    assert_eq!(run(&format!("{}true", "!".repeat(2000))).0, "true");
}

#[test]
fn as_deep_as_it_may_be_is_evaluated() {
    let nested = format!("{}[1]{}", "[1].map(x, ".repeat(120), ")".repeat(120));
    assert!(run(&nested).0.starts_with("[[["));
    let parens = format!("{}1{}", "(1 + ".repeat(110), ")".repeat(110));
    assert_eq!(run(&parens).0, "111");
    let chain = format!("optional.of(1){}", ".optMap(x, x)".repeat(200));
    assert_eq!(run(&chain).0, "some(1)");
}

const WORDS: &[&str] = &[
    "object",
    "pod",
    "x",
    "1",
    "2u",
    "1.5",
    "'a'",
    "b'x'",
    "true",
    "null",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ".",
    ",",
    ":",
    "?",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "<",
    "in",
    "&&",
    "||",
    "!",
    "all(x,",
    "map(x,",
    "has(",
    "size(",
    ".name",
    ".spec",
    ".replace('', 'a')",
    "quantity(",
    "ip(",
    "cidr(",
    "url(",
    "semver(",
    ".format([",
    "timestamp(",
    "duration(",
    ".split('')",
    ".flatten()",
    "lists.range(",
    "optional.of(",
    ".?a",
    "[?0]",
    "`a-b`",
    "\\",
    "\"",
    "\u{e4}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn words_in_any_order_do_no_harm(words in prop::collection::vec(prop::sample::select(WORDS), 0..24)) {
        run(&words.concat());
        run(&words.join(" "));
    }

    #[test]
    fn any_text_does_no_harm(text in "\\PC{0,60}") {
        run(&text);
        run(&format!("'{text}'.matches('{text}')"));
        run(&format!("isURL(r\"{text}\") || isIP(r\"{text}\") || isCIDR(r\"{text}\") || isSemver(r\"{text}\", true) || isQuantity(r\"{text}\")"));
        run(&format!("r\"{text}\".format([1, 'a', 1.5])"));
    }
}
