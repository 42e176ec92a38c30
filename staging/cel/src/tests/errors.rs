//! What users are told of expressions that are none.

use expect_test::{Expect, expect};

use super::run;

fn says(source: &str, expected: Expect) {
    expected.assert_eq(&run(source).0);
}

#[test]
fn syntax() {
    says(
        "1 +",
        expect![[r#"
        ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
         | 1 +
         | ...^"#]],
    );
    says(
        "a | b",
        expect![[r#"
        ERROR: <input>:1:3: Syntax error: token recognition error at: '| '
         | a | b
         | ..^
        ERROR: <input>:1:5: Syntax error: extraneous input 'b' expecting <EOF>
         | a | b
         | ....^"#]],
    );
    says(
        "[1, 2].all(1, true)",
        expect![[r#"
        ERROR: <input>:1:12: argument must be a simple name
         | [1, 2].all(1, true)
         | ...........^"#]],
    );
    says(
        "has(object)",
        expect![[r#"
        ERROR: <input>:1:5: invalid argument to has() macro
         | has(object)
         | ....^"#]],
    );
    says(
        "for",
        expect![[r#"
        ERROR: <input>:1:1: reserved identifier: for
         | for
         | ^"#]],
    );
    says(
        "99999999999999999999",
        expect![[r#"
        ERROR: <input>:1:1: invalid int literal
         | 99999999999999999999
         | ^"#]],
    );
}

#[test]
fn types() {
    says(
        "missing.name == 'x'",
        expect![[r#"
        ERROR: <input>:1:1: undeclared reference to 'missing' (in container '')
         | missing.name == 'x'
         | ^"#]],
    );
    says(
        "nothing(1)",
        expect![[r#"
        ERROR: <input>:1:8: undeclared reference to 'nothing' (in container '')
         | nothing(1)
         | .......^"#]],
    );
    says(
        "pod.missing",
        expect![[r#"
        ERROR: <input>:1:4: undefined field 'missing'
         | pod.missing
         | ...^"#]],
    );
    says(
        "pod.replicas + 'x'",
        expect![[r#"
        ERROR: <input>:1:14: found no matching overload for '_+_' applied to '(int, string)'
         | pod.replicas + 'x'
         | .............^"#]],
    );
    says(
        "pod.name.startsWith(1)",
        expect![[r#"
        ERROR: <input>:1:20: found no matching overload for 'startsWith' applied to 'string.(int)'
         | pod.name.startsWith(1)
         | ...................^"#]],
    );
    says(
        "pod.name.first",
        expect![[r#"
        ERROR: <input>:1:9: type 'string' does not support field selection
         | pod.name.first
         | ........^"#]],
    );
    says(
        "pod.name.all(x, true)",
        expect![[r#"
        ERROR: <input>:1:4: expression of type 'string' cannot be range of a comprehension (must be list, map, or dynamic)
         | pod.name.all(x, true)
         | ...^"#]],
    );
    says(
        "[1, 'a']",
        expect![[r#"
        ERROR: <input>:1:5: expected type 'int' but found 'string'
         | [1, 'a']
         | ....^"#]],
    );
    says(
        "pod.name && true",
        expect![[r#"
        ERROR: <input>:1:4: expected type 'bool' but found 'string'
         | pod.name && true
         | ...^"#]],
    );
    says(
        "duration('x') == duration('1s')",
        expect![[r#"
        ERROR: <input>:1:10: invalid duration argument
         | duration('x') == duration('1s')
         | .........^"#]],
    );
    says(
        "pod.name.matches('[')",
        expect![[r#"
        ERROR: <input>:1:18: invalid matches argument
         | pod.name.matches('[')
         | .................^"#]],
    );
    says(
        "pod.start == 1",
        expect![[r#"
        ERROR: <input>:1:11: found no matching overload for '_==_' applied to '(timestamp, int)'
         | pod.start == 1
         | ..........^"#]],
    );
}
