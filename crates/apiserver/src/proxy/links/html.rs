//! Links in HTML that arrives in pieces. Everything but the values of link attributes passes through unchanged.

/// A tag longer than this passes as it is, so that what is held back has a bound.
const MAX_TAG_BYTES: usize = 64 * 1024;

/// Attributes that hold a link, by element.
const LINKS: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];

/// Elements whose content is no markup.
const RAW: &[&str] = &[
    "script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes",
];

/// What the text that comes next is part of.
#[derive(Debug, Default)]
enum Inside {
    #[default]
    Markup,
    /// Until this text, whatever its case.
    Until(&'static str),
}

#[derive(Debug, Default)]
pub struct Rewriter {
    inside: Inside,
    /// The beginning of something whose end has not come yet.
    held: Vec<u8>,
}

impl Rewriter {
    /// Takes the next piece; what can be passed on.
    pub fn push(&mut self, piece: &[u8], link: &dyn Fn(&str) -> Option<String>) -> Vec<u8> {
        let mut input = std::mem::take(&mut self.held);
        input.extend_from_slice(piece);
        let mut output = Vec::with_capacity(input.len());
        let mut rest = input.as_slice();
        while let Some(taken) = self.step(rest, &mut output, link) {
            rest = &rest[taken..];
        }
        self.held = rest.to_vec();
        output
    }

    /// What was held back, when nothing more comes.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Deals with the first part of `rest` and says how long it was; `None`: its end has not come yet.
    fn step(
        &mut self,
        rest: &[u8],
        output: &mut Vec<u8>,
        link: &dyn Fn(&str) -> Option<String>,
    ) -> Option<usize> {
        let mut pass = |length: usize| {
            output.extend_from_slice(&rest[..length]);
            (length > 0).then_some(length)
        };
        if let Inside::Until(end) = self.inside {
            return match find(rest, end) {
                Some(at) => {
                    self.inside = Inside::Markup;
                    output.extend_from_slice(&rest[..at + end.len()]);
                    Some(at + end.len())
                }
                // The end may have begun.
                None => pass(rest.len().saturating_sub(end.len() - 1)),
            };
        }
        match rest.iter().position(|byte| *byte == b'<') {
            None => return pass(rest.len()),
            Some(0) => {}
            Some(before) => return pass(before),
        }
        if rest.starts_with(b"<!--") {
            self.inside = Inside::Until("-->");
            return pass(4);
        }
        if rest.len() < 4 && b"<!--".starts_with(rest) {
            return None;
        }
        if !rest[1].is_ascii_alphabetic() {
            return pass(1);
        }
        let Some(end) = tag_end(rest) else {
            return if rest.len() > MAX_TAG_BYTES {
                pass(rest.len())
            } else {
                None
            };
        };
        let (name, tag) = rewrite_tag(&rest[..end], link);
        output.extend_from_slice(&tag);
        if let Some(at) = RAW.iter().position(|raw| *raw == name) {
            self.inside = Inside::Until(RAW_ENDS[at]);
        }
        Some(end)
    }
}

/// What ends each of [`RAW`].
const RAW_ENDS: &[&str] = &[
    "</script",
    "</style",
    "</textarea",
    "</title",
    "</xmp",
    "</iframe",
    "</noembed",
    "</noframes",
];

/// Where `text`, in whatever case, begins.
fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes
        .windows(text.len())
        .position(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

/// Length of the tag that `bytes` begin with: to the first `>` that is in no quotes.
fn tag_end(bytes: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

/// The name of the element and the tag with its links rewritten.
fn rewrite_tag(tag: &[u8], link: &dyn Fn(&str) -> Option<String>) -> (String, Vec<u8>) {
    let is_name_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>');
    let name_end = tag.iter().position(is_name_end).unwrap_or(tag.len());
    let name = String::from_utf8_lossy(&tag[1..name_end]).to_ascii_lowercase();
    let Some((_, attributes)) = LINKS.iter().find(|(element, _)| *element == name) else {
        return (name, tag.to_vec());
    };
    let mut output = tag[..name_end].to_vec();
    let mut at = name_end;
    while at < tag.len() {
        let (key, value) = attribute(tag, at);
        let wanted = attributes
            .iter()
            .any(|attribute| tag[key.clone()].eq_ignore_ascii_case(attribute.as_bytes()));
        let rewritten = std::str::from_utf8(&tag[value.clone()])
            .ok()
            .filter(|_| wanted)
            .and_then(link);
        output.extend_from_slice(&tag[at..value.start]);
        match rewritten {
            Some(link) => output.extend_from_slice(link.as_bytes()),
            None => output.extend_from_slice(&tag[value.clone()]),
        }
        // At least one byte further, whatever stands there.
        let end = value.end.max(at + 1);
        output.extend_from_slice(&tag[value.end..end]);
        at = end;
    }
    (name, output)
}

/// Where the key and the value of the attribute at or after `at` stand; an empty value at the key's end if it has none.
fn attribute(tag: &[u8], at: usize) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    let skip = |from: usize, skipped: fn(&u8) -> bool| {
        tag[from..]
            .iter()
            .position(|byte| !skipped(byte))
            .map_or(tag.len(), |found| from + found)
    };
    let space = |byte: &u8| byte.is_ascii_whitespace();
    let key = skip(at, |byte| {
        byte.is_ascii_whitespace() || matches!(byte, b'/' | b'"' | b'\'')
    });
    let key_end = skip(key, |byte| {
        !byte.is_ascii_whitespace() && !matches!(byte, b'=' | b'>' | b'/')
    });
    let equals = skip(key_end, space);
    if tag.get(equals) != Some(&b'=') {
        return (key..key_end, key_end..key_end);
    }
    let start = skip(equals + 1, space);
    match tag.get(start) {
        Some(quote @ (b'"' | b'\'')) => {
            let end = tag[start + 1..].iter().position(|byte| byte == quote);
            let end = end.map_or(tag.len(), |found| start + 1 + found);
            (key..key_end, start + 1..end)
        }
        _ => {
            let end = skip(start, |byte| !byte.is_ascii_whitespace() && *byte != b'>');
            (key..key_end, start..end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole, and byte by byte.
    #[track_caller]
    fn check(page: &str, expected: &str) {
        let link = |link: &str| link.strip_prefix('/').map(|rest| format!("/P/{rest}"));
        for size in [page.len(), 1, 3] {
            let mut rewriter = Rewriter::default();
            let mut output = Vec::new();
            for piece in page.as_bytes().chunks(size) {
                output.extend(rewriter.push(piece, &link));
            }
            output.extend(rewriter.finish());
            assert_eq!(
                String::from_utf8(output).unwrap(),
                expected,
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn links_change_and_nothing_else() {
        check(
            r#"<a href="/rewriteme">test</a>"#,
            r#"<a href="/P/rewriteme">test</a>"#,
        );
        check(
            "<!DOCTYPE html><A  class=x HREF = '/a' id=\"b\">1 < 2</A><img src=/i.png alt=''/>",
            "<!DOCTYPE html><A  class=x HREF = '/P/a' id=\"b\">1 < 2</A><img src=/P/i.png alt=''/>",
        );
        check(
            "<p href='/a'><a title='>' href=b>x</a><a href>",
            "<p href='/a'><a title='>' href=b>x</a><a href>",
        );
    }

    #[test]
    fn what_is_no_markup_stays() {
        check(
            "<!-- <a href='/a'> --><a href='/a'>",
            "<!-- <a href='/a'> --><a href='/P/a'>",
        );
        check(
            "<script src='/s.js'>x = \"<a href='/a'>\"</SCRIPT><a href='/a'>",
            "<script src='/P/s.js'>x = \"<a href='/a'>\"</SCRIPT><a href='/P/a'>",
        );
        check("text <a href='/a", "text <a href='/a");
    }
}
