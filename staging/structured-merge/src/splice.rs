//! Putting fields into a set that stays as it is written: most of it is copied, nothing of it is read into a tree.

use crate::fields_v1::{is_plain, write, write_field};
use crate::path::PathElement;
use crate::set::{Node, Set};
use std::cmp::Ordering;

/// A written set with the fields of another one; `None` where either is not of the simple kind: named fields without
/// escapes, in order and without white space, as servers write them.
pub fn splice(json: &[u8], set: &Set) -> Option<Vec<u8>> {
    if json == b"{}" {
        return Some(set.to_json());
    }
    let mut out = Vec::with_capacity(json.len() + 256);
    let mut text = Text { json, at: 0 };
    text.merge(set, false, &mut out)?;
    (text.at == json.len()).then_some(out)
}

/// A document while it is copied.
struct Text<'j> {
    json: &'j [u8],
    at: usize,
}

impl<'j> Text<'j> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// The name of a member, as it is written.
    fn name(&mut self) -> Option<&'j [u8]> {
        self.take(b'"')?;
        let start = self.at;
        while self.peek()? != b'"' {
            self.at += if self.peek()? == b'\\' { 2 } else { 1 };
        }
        let name = self.json.get(start..self.at)?;
        self.at += 1;
        self.take(b':')?;
        Some(name)
    }

    /// Passes over an object.
    fn skip(&mut self) -> Option<()> {
        self.take(b'{')?;
        let (mut depth, mut quoted) = (1, false);
        while depth > 0 {
            match self.peek()? {
                b'\\' => self.at += 1,
                b'"' => quoted = !quoted,
                b'{' if !quoted => depth += 1,
                b'}' if !quoted => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Some(())
    }

    /// Copies an object and adds a set to it; the place may be stated by either.
    fn merge(&mut self, set: &Set, is_member: bool, out: &mut Vec<u8>) -> Option<()> {
        let mut nodes = set.nodes().iter().peekable();
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            // Without anything below it a place can only be there for its own sake.
            write(set, !set.is_empty(), out);
            return Some(());
        }
        out.push(b'{');
        let open = out.len();
        if self.json[self.at..].starts_with(b"\".\":{}") {
            self.at += b"\".\":{}".len();
            out.extend_from_slice(b"\".\":{}");
            self.between()?;
        } else if is_member {
            out.extend_from_slice(b"\".\":{}");
        }
        let mut last: Option<&[u8]> = None;
        while self.peek()? == b'"' {
            let start = self.at;
            let name = self.name()?;
            let Some(field) = name.strip_prefix(b"f:") else {
                // Names come first: what is left is not among those that are added.
                self.at = start;
                break;
            };
            if last.is_some_and(|last| field <= last) || !field.iter().copied().all(is_plain) {
                return None;
            }
            last = Some(field);
            while let Some(node) = nodes.next_if(|node| order(node, field).is_lt()) {
                separate(open, out);
                push(node, out)?;
            }
            separate(open, out);
            let same = nodes.next_if(|node| order(node, field).is_eq());
            match same {
                Some(node) => {
                    out.extend_from_slice(&self.json[start..self.at]);
                    self.merge(&node.below, node.is_member, out)?;
                }
                None => {
                    self.skip()?;
                    out.extend_from_slice(&self.json[start..self.at]);
                }
            }
            self.between()?;
        }
        for node in nodes {
            separate(open, out);
            push(node, out)?;
        }
        while self.peek()? == b'"' {
            let start = self.at;
            matches!(self.name()?, [b'k' | b'v' | b'i', b':', ..]).then_some(())?;
            self.skip()?;
            separate(open, out);
            out.extend_from_slice(&self.json[start..self.at]);
            self.between()?;
        }
        self.take(b'}')?;
        out.push(b'}');
        Some(())
    }

    /// What stands between two members, or behind the last.
    fn between(&mut self) -> Option<()> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                (self.peek()? == b'"').then_some(())
            }
            b'}' => Some(()),
            _ => None,
        }
    }
}

fn separate(open: usize, out: &mut Vec<u8>) {
    if out.len() > open {
        out.push(b',');
    }
}

fn order(node: &Node, field: &[u8]) -> Ordering {
    match &node.element {
        PathElement::Field(name) => name.as_bytes().cmp(field),
        _ => Ordering::Greater,
    }
}

/// Writes a node that the document does not have.
fn push(node: &Node, out: &mut Vec<u8>) -> Option<()> {
    let PathElement::Field(name) = &node.element else {
        return None;
    };
    write_field(name, out);
    out.push(b':');
    write(&node.below, node.is_member && !node.below.is_empty(), out);
    Some(())
}
