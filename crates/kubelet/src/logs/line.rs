//! One line of a log: `2016-10-06T00:17:09.669794202Z stdout F text`.

use jiff::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub time: Timestamp,
    pub stream: Stream,
    /// The text goes on in the next line.
    pub partial: bool,
    /// Without the line's end.
    pub text: &'a [u8],
}

/// A line without its end; nothing when it isn't one.
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    let (time, rest) = split(line)?;
    let (stream, rest) = split(rest)?;
    // A line without text may lack the blank after its tag.
    let (tags, text) = split(rest).unwrap_or((rest, &[]));
    Some(Line {
        time: std::str::from_utf8(time).ok()?.parse().ok()?,
        stream: match stream {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        },
        partial: tags.split(|byte| *byte == b':').next() == Some(b"P"),
        text,
    })
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b' ')?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_lines() {
        let line = parse(b"2016-10-06T00:17:09.669794202Z stdout F hello world").unwrap();
        assert_eq!(
            (line.stream, line.partial, line.text),
            (Stream::Stdout, false, b"hello world".as_slice())
        );
        assert!(parse(b"2016-10-06T00:17:09Z stderr P x").unwrap().partial);
        assert_eq!(parse(b"2016-10-06T00:17:09Z stderr F").unwrap().text, b"");
        assert_eq!(
            parse(b"2016-10-06T00:17:09+02:00 stdout F x")
                .unwrap()
                .time
                .to_string(),
            "2016-10-05T22:17:09Z"
        );
        assert_eq!(parse(b"garbage"), None);
        assert_eq!(parse(b"2016-10-06T00:17:09Z elsewhere F x"), None);
    }
}
