//! Names with values, packed in one allocation: labels and selectable fields of a cached object.

/// An immutable, small map of strings. Lookups scan: objects have a handful of labels.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pairs(Box<[u8]>);

impl Pairs {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// All pairs, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || Some((take_text(&mut rest)?, take_text(&mut rest)?)))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes on the heap.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut packed = Vec::new();
        for (name, value) in pairs {
            put_text(&mut packed, name.as_ref());
            put_text(&mut packed, value.as_ref());
        }
        Self(packed.into_boxed_slice())
    }
}

impl std::fmt::Debug for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Length as a base-128 varint, then the text.
fn put_text(packed: &mut Vec<u8>, text: &str) {
    let mut len = text.len();
    while len >= 0x80 {
        packed.push(len as u8 | 0x80);
        len >>= 7;
    }
    packed.push(len as u8);
    packed.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let mut len = 0usize;
    let mut shift = 0;
    loop {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        len |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    let (text, tail) = rest.split_at(len);
    *rest = tail;
    Some(std::str::from_utf8(text).expect("invariant: packed from str"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_finds() {
        let long = "x".repeat(300);
        let pairs: Pairs = [("app", "web"), ("", "empty name"), ("tier", ""), ("long", &long)]
            .into_iter()
            .collect();
        assert_eq!(pairs.get("app"), Some("web"));
        assert_eq!(pairs.get(""), Some("empty name"));
        assert_eq!(pairs.get("tier"), Some(""));
        assert_eq!(pairs.get("long"), Some(long.as_str()));
        assert_eq!(pairs.get("ap"), None);
        assert_eq!(pairs.iter().count(), 4);
        assert!(Pairs::default().is_empty());
    }
}
