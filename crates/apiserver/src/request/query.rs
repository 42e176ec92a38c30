//! Query strings and percent decoding, as `net/url` reads them.

/// Decoded parameters of a URL in their order; a name may occur more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses what follows the `?`. Malformed pairs are dropped, as `url.Query()` does.
    pub fn parse(raw: &str) -> Query {
        let pairs = raw
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.contains(';'));
        Query(
            pairs
                .filter_map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    Some((decode(name, Plus::IsSpace)?, decode(value, Plus::IsSpace)?))
                })
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Sets a parameter to one value.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(key, _)| key != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Whether no parameter was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What `+` means: a space in a query, itself in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    IsSpace,
    IsItself,
}

/// Percent-decodes one component; `None` when an escape is malformed or the result is not UTF-8.
pub fn decode(text: &str, plus: Plus) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let digits = bytes.get(at + 1..at + 3)?;
                let high = (digits[0] as char).to_digit(16)?;
                let low = (digits[1] as char).to_digit(16)?;
                out.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            b'+' if plus == Plus::IsSpace => out.push(b' '),
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_in_order() {
        let query = Query::parse("labelSelector=a%3Db%2Cc&limit=5&x=1&x=2&bad=%zz&plus=a+b&&flag");
        assert_eq!(query.get("labelSelector"), Some("a=b,c"));
        assert_eq!(query.get("plus"), Some("a b"));
        assert_eq!(query.all("x").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.get("bad"), None);
        assert_eq!(query.get("flag"), Some(""));
    }

    #[test]
    fn a_plus_in_a_path_stays() {
        assert_eq!(decode("a+b%20c", Plus::IsItself).as_deref(), Some("a+b c"));
    }
}
