//! Costs are facts that users meet: they decide what the limits let pass.

use super::run;

fn cost(source: &str, expected: u64) {
    let (found, cost) = run(source);
    assert_eq!(cost, expected, "{source} gives {found}");
}

#[test]
fn reading_and_calling() {
    cost("true", 0);
    cost("object.metadata.name == 'web'", 4);
    cost("has(object.metadata)", 1);
    cost("1 + 1 == 2", 2);
    cost("[1, 2, 3].all(x, true)", 10);
    cost("[1, 2, 3].map(x, x)", 40);
    cost("'abc'.contains('b')", 1);
    cost("'abc'.matches('b')", 1);
    cost("1 in [1, 2]", 2);
}

#[test]
fn what_costs_too_much_ends() {
    let ten = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
    let mut source = "true".to_owned();
    for _ in 0..7 {
        source = format!("{ten}.all(x, {source})");
    }
    assert_eq!(run(&source).0, "operation cancelled: actual cost limit exceeded");
    let grown = "'aaaaaaaaaa'.replace('a', 'aaaaaaaaaaaaaaaaaaaa')";
    let grown = format!("{grown}.replace('a', {grown}).replace('a', {grown}).replace('a', {grown})");
    assert_eq!(run(&grown).0, "operation cancelled: actual cost limit exceeded");
}
