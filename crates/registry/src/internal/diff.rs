//! What changed between two texts, as `diff -u` shows it without its head.
//!
//! The lines that stay are found as Go's difflib, and Python's before it, finds them: the longest run of equal lines,
//! then the same to the left and to the right of it. Messages of refused changes carry such a text.

use std::collections::HashMap;

/// Lines that show beside a change.
const CONTEXT: usize = 3;
/// From so many lines on, lines that repeat often start no run.
const MANY: usize = 200;

/// Lines `a..a + size` of the old text that are lines `b..b + size` of the new one.
#[derive(Clone, Copy)]
struct Run {
    a: usize,
    b: usize,
    size: usize,
}

/// A stretch of both texts: `a` of the old one, `b` of the new one. They are equal, or one replaces the other.
#[derive(Clone, Copy)]
struct Stretch {
    equal: bool,
    a: (usize, usize),
    b: (usize, usize),
}

/// The change from the old text to the new one, each line with its line break.
pub(super) fn unified(old: &str, new: &str) -> String {
    let (a, b) = (lines(old), lines(new));
    let mut out = String::new();
    for group in groups(&stretches(&a, &b)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let (from, to) = (range(first.a.0, last.a.1), range(first.b.0, last.b.1));
        out.push_str(&format!("@@ -{from} +{to} @@\n"));
        for stretch in group {
            let (was, is) = (&a[stretch.a.0..stretch.a.1], &b[stretch.b.0..stretch.b.1]);
            let marked: &[(char, &[String])] = if stretch.equal {
                &[(' ', was)]
            } else {
                &[('-', was), ('+', is)]
            };
            for (mark, lines) in marked {
                for line in *lines {
                    out.push(*mark);
                    out.push_str(line);
                }
            }
        }
    }
    out
}

fn lines(text: &str) -> Vec<String> {
    text.split('\n').map(|line| format!("{line}\n")).collect()
}

fn range(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        length => format!("{},{length}", start + 1),
    }
}

/// Where each line stands in the new text, but for lines that are everywhere.
fn places(b: &[String]) -> HashMap<&str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, line) in b.iter().enumerate() {
        places.entry(line).or_default().push(index);
    }
    if b.len() >= MANY {
        let most = b.len() / 100 + 1;
        places.retain(|_, at| at.len() <= most);
    }
    places
}

fn longest(
    a: &[String],
    b: &[String],
    places: &HashMap<&str, Vec<usize>>,
    within: (usize, usize, usize, usize),
) -> Run {
    let (a_low, a_high, b_low, b_high) = within;
    let mut best = Run {
        a: a_low,
        b: b_low,
        size: 0,
    };
    let mut ending: HashMap<usize, usize> = HashMap::new();
    for (i, line) in a.iter().enumerate().take(a_high).skip(a_low) {
        let mut next = HashMap::new();
        let at = places.get(line.as_str()).map_or(&[][..], Vec::as_slice);
        for &j in at.iter().filter(|j| (b_low..b_high).contains(*j)) {
            let before = j.checked_sub(1).and_then(|before| ending.get(&before));
            let size = before.copied().unwrap_or(0) + 1;
            next.insert(j, size);
            if size > best.size {
                best = Run {
                    a: i + 1 - size,
                    b: j + 1 - size,
                    size,
                };
            }
        }
        ending = next;
    }
    while best.a > a_low && best.b > b_low && a[best.a - 1] == b[best.b - 1] {
        best = Run {
            a: best.a - 1,
            b: best.b - 1,
            size: best.size + 1,
        };
    }
    while best.a + best.size < a_high
        && best.b + best.size < b_high
        && a[best.a + best.size] == b[best.b + best.size]
    {
        best.size += 1;
    }
    best
}

/// The runs of equal lines, in order.
fn runs(a: &[String], b: &[String]) -> Vec<Run> {
    let places = places(b);
    let mut found = Vec::new();
    let mut todo = vec![(0, a.len(), 0, b.len())];
    while let Some(within) = todo.pop() {
        let run = longest(a, b, &places, within);
        if run.size == 0 {
            continue;
        }
        let (a_low, a_high, b_low, b_high) = within;
        found.push(run);
        if a_low < run.a && b_low < run.b {
            todo.push((a_low, run.a, b_low, run.b));
        }
        if run.a + run.size < a_high && run.b + run.size < b_high {
            todo.push((run.a + run.size, a_high, run.b + run.size, b_high));
        }
    }
    found.sort_by_key(|run| run.a);
    let mut joined: Vec<Run> = Vec::new();
    for run in found {
        match joined.last_mut() {
            Some(last) if last.a + last.size == run.a && last.b + last.size == run.b => last.size += run.size,
            _ => joined.push(run),
        }
    }
    joined
}

fn stretches(a: &[String], b: &[String]) -> Vec<Stretch> {
    let end = Run {
        a: a.len(),
        b: b.len(),
        size: 0,
    };
    let (mut i, mut j) = (0, 0);
    let mut all = Vec::new();
    for run in runs(a, b).into_iter().chain([end]) {
        if i < run.a || j < run.b {
            all.push(Stretch {
                equal: false,
                a: (i, run.a),
                b: (j, run.b),
            });
        }
        (i, j) = (run.a + run.size, run.b + run.size);
        if run.size > 0 {
            all.push(Stretch {
                equal: true,
                a: (run.a, i),
                b: (run.b, j),
            });
        }
    }
    all
}

/// Changes that are near each other, with the lines around them.
fn groups(stretches: &[Stretch]) -> Vec<Vec<Stretch>> {
    let mut groups = Vec::new();
    let mut group: Vec<Stretch> = Vec::new();
    for (index, stretch) in stretches.iter().enumerate() {
        if !stretch.equal {
            group.push(*stretch);
            continue;
        }
        let (length, is_last) = (stretch.a.1 - stretch.a.0, index + 1 == stretches.len());
        let head = Stretch {
            a: (stretch.a.0, stretch.a.0 + length.min(CONTEXT)),
            b: (stretch.b.0, stretch.b.0 + length.min(CONTEXT)),
            equal: true,
        };
        let tail = Stretch {
            a: (stretch.a.1 - length.min(CONTEXT), stretch.a.1),
            b: (stretch.b.1 - length.min(CONTEXT), stretch.b.1),
            equal: true,
        };
        if index == 0 {
            group.push(tail);
        } else if is_last {
            group.push(head);
        } else if length > 2 * CONTEXT {
            group.push(head);
            groups.push(std::mem::replace(&mut group, vec![tail]));
        } else {
            group.push(*stretch);
        }
    }
    if group.iter().any(|stretch| !stretch.equal) {
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, expected: &str) {
        assert_eq!(unified(old, new), expected);
    }

    #[test]
    fn shows_changes_with_what_is_around_them() {
        check("a\nb", "a\nb", "");
        check("a\nb\nc", "a\nx\nc", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        check(
            "1\n2\n3\n4\n5\n6",
            "1\n2\n3\n4\n5\n6\n7",
            "@@ -4,3 +4,4 @@\n 4\n 5\n 6\n+7\n",
        );
        check("1", "2", "@@ -1 +1 @@\n-1\n+2\n");
    }

    #[test]
    fn changes_far_from_each_other_stand_apart() {
        let old: Vec<String> = (0..20).map(|line| line.to_string()).collect();
        let mut new = old.clone();
        new[2] = "x".to_owned();
        new[15] = "y".to_owned();
        check(
            &old.join("\n"),
            &new.join("\n"),
            "@@ -1,6 +1,6 @@\n 0\n 1\n-2\n+x\n 3\n 4\n 5\n@@ -13,7 +13,7 @@\n 12\n 13\n 14\n-15\n+y\n 16\n 17\n 18\n",
        );
    }
}
