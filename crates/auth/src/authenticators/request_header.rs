//! Front proxies: a trusted client certificate lets the headers name the user.

use std::collections::BTreeMap;
use std::sync::Arc;

use component_base::clock::Clock;
use futures_util::future::BoxFuture;
use http::HeaderMap;

use super::trust::Trust;
use crate::{Authenticator, Credentials, Error, UserInfo};

/// Which headers say what; from the `--requestheader-*` flags.
#[derive(Clone, Debug, Default)]
pub struct HeaderNames {
    pub username: Vec<String>,
    pub uid: Vec<String>,
    pub group: Vec<String>,
    pub extra_prefix: Vec<String>,
}

pub struct RequestHeader {
    trust: Arc<Trust>,
    /// Common names of proxies; empty: any certificate of the authority.
    allowed_names: Vec<String>,
    names: HeaderNames,
    clock: Arc<dyn Clock>,
}

impl RequestHeader {
    pub fn new(
        trust: Arc<Trust>,
        allowed_names: Vec<String>,
        names: HeaderNames,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            trust,
            allowed_names,
            names,
            clock,
        }
    }

    fn user(&self, credentials: Credentials<'_>) -> Result<Option<UserInfo>, Error> {
        if credentials.certificates.is_empty() {
            return Ok(None);
        }
        // A certificate of another authority is a client's own, not a forged proxy's: the client
        // certificate authenticator judges it. The headers count for nothing then.
        let Ok(proxy) = self.trust.verify(credentials.certificates, self.clock.now()) else {
            return Ok(None);
        };
        let name = &proxy.certificate.subject.common_name;
        if !self.allowed_names.is_empty() && !self.allowed_names.contains(name) {
            return Err(Error::FrontProxy(format!(
                "x509: subject with cn={name} is not in the allowed list"
            )));
        }
        Ok(self.names.user(credentials.headers))
    }
}

impl HeaderNames {
    fn user(&self, headers: &HeaderMap) -> Option<UserInfo> {
        let first = |names: &[String]| {
            names
                .iter()
                .flat_map(|name| values(headers, name))
                .find(|value| !value.is_empty())
        };
        let name = first(&self.username)?;
        let groups = self
            .group
            .iter()
            .flat_map(|name| values(headers, name))
            .filter(|value| !value.is_empty())
            .collect();
        Some(UserInfo {
            name,
            uid: first(&self.uid).unwrap_or_default(),
            groups,
            extra: self.extra(headers),
        })
    }

    fn extra(&self, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for prefix in &self.extra_prefix {
            let prefix = prefix.to_ascii_lowercase();
            for header in headers.keys() {
                let Some(key) = header
                    .as_str()
                    .strip_prefix(&prefix)
                    .filter(|key| !key.is_empty())
                else {
                    continue;
                };
                extra
                    .entry(unescape(key))
                    .or_default()
                    .extend(values(headers, header.as_str()));
            }
        }
        extra
    }
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect()
}

/// Keys with characters that headers can't hold come percent-encoded; a malformed key stays as it is.
fn unescape(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let hex = |digit: &u8| (*digit as char).to_digit(16);
                hex(high).zip(hex(low)).map(|(high, low)| (high * 16 + low) as u8)
            }
            _ => None,
        };
        match (first, escaped) {
            (_, Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'%', None) => return key.to_owned(),
            (byte, None) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| key.to_owned())
}

impl Authenticator for RequestHeader {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Option<UserInfo>, Error>> {
        Box::pin(std::future::ready(self.user(credentials)))
    }
}

#[cfg(test)]
mod tests {
    use component_base::clock::FakeClock;
    use jiff::Timestamp;
    use pki::certificate::{AltNames, Subject};
    use pki::{Authority, PrivateKey, Template, Usage};

    use super::*;

    fn check(common_name: &str, trusted: bool, expected: &str) {
        let end = Timestamp::from_second(4_000_000_000).unwrap();
        let authorities =
            [0, 1].map(|_| Authority::self_signed("front-proxy-ca", Timestamp::UNIX_EPOCH, end).unwrap());
        let template = Template {
            subject: Subject::new(common_name, &[]),
            alt_names: AltNames::default(),
            usages: vec![Usage::ClientAuth],
            not_before: Timestamp::UNIX_EPOCH,
            not_after: end,
        };
        let signer = &authorities[usize::from(!trusted)];
        let proxy = signer
            .issue(&template, PrivateKey::generate().unwrap().public())
            .unwrap();
        let names = HeaderNames {
            username: vec!["X-Remote-User".into()],
            uid: vec!["X-Remote-Uid".into()],
            group: vec!["X-Remote-Group".into()],
            extra_prefix: vec!["X-Remote-Extra-".into()],
        };
        let authenticator = RequestHeader::new(
            Trust::new(&[authorities[0].certificate().der.clone()]).unwrap(),
            vec!["front-proxy-client".into()],
            names,
            FakeClock::new(Timestamp::from_second(10).unwrap()),
        );
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-remote-user", "ada"),
            ("x-remote-group", "dev"),
            ("x-remote-group", "ops"),
            ("x-remote-extra-acme.com%2fscope", "view"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let credentials = Credentials {
            headers: &headers,
            certificates: &[proxy.der],
            path: "/",
        };
        let answer = match authenticator.user(credentials) {
            Ok(Some(user)) => format!("{} {:?} {:?}", user.name, user.groups, user.extra),
            Ok(None) => "nobody".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(answer, expected);
    }

    #[test]
    fn headers_count_for_an_allowed_proxy_only() {
        check(
            "front-proxy-client",
            true,
            r#"ada ["dev", "ops"] {"acme.com/scope": ["view"]}"#,
        );
        check("front-proxy-client", false, "nobody");
        check(
            "other",
            true,
            "the front proxy's certificate is refused: x509: subject with cn=other is not in the allowed list",
        );
    }

    #[test]
    fn malformed_escapes_stay() {
        assert_eq!(unescape("a%zz"), "a%zz");
        assert_eq!(unescape("a%2"), "a%2");
        assert_eq!(unescape("%ff"), "%ff");
    }
}
