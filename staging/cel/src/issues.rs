//! What is wrong with an expression, as users are told.

use std::fmt::Write;

/// As many are told; of the rest only the number.
const MOST_ISSUES: usize = 100;
/// Longer lines of an expression are not shown.
const LONGEST_SNIPPET: usize = 16384;

/// One thing wrong, and the code point of the expression where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// `None`: the expression as a whole.
    pub at: Option<u32>,
    pub message: String,
}

/// Everything wrong with an expression. `Display` shows each with its line and a mark below the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issues {
    source: String,
    pub list: Vec<Issue>,
}

impl std::error::Error for Issues {}

impl Issues {
    pub(crate) fn new(source: &str, mut list: Vec<Issue>) -> Self {
        list.sort_by_key(|issue| issue.at);
        Self {
            source: source.to_owned(),
            list,
        }
    }

    /// Line (from 1), column (from 0, in code points) and the line's text.
    fn place(&self, at: u32) -> (usize, usize, &str) {
        let mut left = at as usize;
        for (number, line) in self.source.split('\n').enumerate() {
            let length = line.chars().count();
            if left <= length {
                return (number + 1, left, line);
            }
            left -= length + 1;
        }
        (1, 0, "")
    }
}

impl std::fmt::Display for Issues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, issue) in self.list.iter().take(MOST_ISSUES).enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            let Some(at) = issue.at else {
                write!(f, "ERROR: <input>:-1:0: {}", issue.message)?;
                continue;
            };
            let (line, column, text) = self.place(at);
            write!(f, "ERROR: <input>:{line}:{}: {}", column + 1, issue.message)?;
            if text.chars().count() <= LONGEST_SNIPPET {
                let shown = text.replace('\t', " ");
                write!(f, "\n | {shown}\n | ")?;
                let mut chars = shown.chars();
                for before in chars.by_ref().take(column) {
                    f.write_char(if before.is_ascii() { '.' } else { '\u{ff0e}' })?;
                }
                let under = chars.next().unwrap_or(' ');
                f.write_char(if under.is_ascii() { '^' } else { '\u{ff3e}' })?;
            }
        }
        if self.list.len() > MOST_ISSUES {
            write!(
                f,
                "\n{} more errors were truncated",
                self.list.len() - MOST_ISSUES
            )?;
        }
        Ok(())
    }
}
