//! What tokens state.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The issuer of tokens kept in secrets.
pub const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

const LEGACY_NAMESPACE: &str = "kubernetes.io/serviceaccount/namespace";
const LEGACY_SECRET: &str = "kubernetes.io/serviceaccount/secret.name";
const LEGACY_NAME: &str = "kubernetes.io/serviceaccount/service-account.name";
const LEGACY_UID: &str = "kubernetes.io/serviceaccount/service-account.uid";

/// An object that a token belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    pub name: String,
    pub uid: String,
}

/// The claims of a service-account token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub audiences: Vec<String>,
    pub issued_at: Timestamp,
    pub not_before: Timestamp,
    pub expires: Timestamp,
    /// The token's own id, unique.
    pub id: String,
    pub namespace: String,
    pub service_account: Reference,
    pub pod: Option<Reference>,
    pub secret: Option<Reference>,
    pub node: Option<Reference>,
    /// From when on the use of the token is reported as stale: such a token lives longer than was asked
    /// for, to spare clients that do not read theirs again.
    pub warn_after: Option<Timestamp>,
}

impl Claims {
    /// Claims as of `now`, with a new id.
    pub fn new(
        namespace: &str,
        service_account: Reference,
        audiences: Vec<String>,
        now: Timestamp,
        lifetime: std::time::Duration,
    ) -> Self {
        Self {
            audiences,
            issued_at: now,
            not_before: now,
            expires: now.saturating_add(lifetime).unwrap_or(Timestamp::MAX),
            id: uuid::Uuid::new_v4().to_string(),
            namespace: namespace.to_owned(),
            service_account,
            pod: None,
            secret: None,
            node: None,
            warn_after: None,
        }
    }

    pub fn subject(&self) -> String {
        subject(&self.namespace, &self.service_account.name)
    }

    pub(super) fn to_json(&self, issuer: &str) -> Value {
        let reference = |to: &Reference| json!({ "name": to.name, "uid": to.uid });
        let mut private = Map::new();
        private.insert("namespace".to_owned(), self.namespace.clone().into());
        private.insert("serviceaccount".to_owned(), reference(&self.service_account));
        for (name, bound) in [("pod", &self.pod), ("secret", &self.secret), ("node", &self.node)] {
            if let Some(bound) = bound {
                private.insert(name.to_owned(), reference(bound));
            }
        }
        if let Some(at) = self.warn_after {
            private.insert("warnafter".to_owned(), at.as_second().into());
        }
        json!({
            "aud": self.audiences,
            "exp": self.expires.as_second(),
            "iat": self.issued_at.as_second(),
            "iss": issuer,
            "jti": self.id,
            "kubernetes.io": private,
            "nbf": self.not_before.as_second(),
            "sub": self.subject(),
        })
    }

    /// Reads the claims of a token; `None` if they are not those of a bound token.
    pub fn from_json(claims: &Map<String, Value>) -> Option<Self> {
        let time = |value: &Value| Timestamp::from_second(value.as_f64()? as i64).ok();
        let private = claims.get("kubernetes.io")?.as_object()?;
        let reference = |name: &str| -> Option<Reference> {
            let object = private.get(name)?.as_object()?;
            Some(Reference {
                name: text(object, "name"),
                uid: text(object, "uid"),
            })
        };
        let issued_at = claims.get("iat").and_then(time)?;
        let this = Self {
            audiences: audiences(claims),
            issued_at,
            not_before: claims.get("nbf").and_then(time).unwrap_or(issued_at),
            expires: claims.get("exp").and_then(time)?,
            id: text(claims, "jti"),
            namespace: text(private, "namespace"),
            service_account: reference("serviceaccount")?,
            pod: reference("pod"),
            secret: reference("secret"),
            node: reference("node"),
            warn_after: private.get("warnafter").and_then(time),
        };
        (text(claims, "sub") == this.subject()).then_some(this)
    }
}

/// The claims of a token kept in a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyClaims {
    pub namespace: String,
    pub service_account: Reference,
    pub secret: String,
}

impl LegacyClaims {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "iss": LEGACY_ISSUER,
            LEGACY_NAMESPACE: self.namespace,
            LEGACY_SECRET: self.secret,
            LEGACY_NAME: self.service_account.name,
            LEGACY_UID: self.service_account.uid,
            "sub": subject(&self.namespace, &self.service_account.name),
        })
    }

    pub fn from_json(claims: &Map<String, Value>) -> Option<Self> {
        let this = Self {
            namespace: text(claims, LEGACY_NAMESPACE),
            secret: text(claims, LEGACY_SECRET),
            service_account: Reference {
                name: text(claims, LEGACY_NAME),
                uid: text(claims, LEGACY_UID),
            },
        };
        let complete = ![
            &this.namespace,
            &this.secret,
            &this.service_account.name,
            &this.service_account.uid,
        ]
        .iter()
        .any(|part| part.is_empty());
        (complete && text(claims, "sub") == subject(&this.namespace, &this.service_account.name))
            .then_some(this)
    }
}

fn subject(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

fn text(object: &Map<String, Value>, name: &str) -> String {
    object
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// `aud` is a list, or one string.
fn audiences(claims: &Map<String, Value>) -> Vec<String> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
