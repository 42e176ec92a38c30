//! `--authentication-config`: who may come without credentials, and where.
//!
//! The document may list JWT authenticators as well (OpenID Connect). Those are not built, so a list of them
//! is an error: users would be locked out silently.

use std::path::Path;

use component_base::config::{self, Document, Object};

use crate::authenticators::Anonymous;

const KIND: &str = "AuthenticationConfiguration";
const VERSIONS: [&str; 3] = [
    "apiserver.config.k8s.io/v1",
    "apiserver.config.k8s.io/v1beta1",
    "apiserver.config.k8s.io/v1alpha1",
];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("jwt: JWT authenticators are not supported")]
    Jwt,
    #[error(
        "anonymous.conditions: Forbidden: conditions must not be set when anonymous authentication is disabled"
    )]
    ConditionsOfNobody,
}

/// What the document configures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// `None`: the document does not say.
    pub anonymous: Option<AnonymousAccess>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AnonymousAccess {
    #[default]
    Nowhere,
    Everywhere,
    Paths(Vec<String>),
}

impl AnonymousAccess {
    pub fn authenticator(&self) -> Option<Anonymous> {
        match self {
            Self::Nowhere => None,
            Self::Everywhere => Some(Anonymous::everywhere()),
            Self::Paths(paths) => Some(Anonymous::limited_to(paths.clone())),
        }
    }
}

impl Configuration {
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::read(config::load(path)?)
    }

    fn read(document: Document) -> Result<Self, Error> {
        let mut root = document.expect(KIND, &VERSIONS)?;
        if root.objects("jwt")?.is_some_and(|list| !list.is_empty()) {
            return Err(Error::Jwt);
        }
        let anonymous = root.object("anonymous")?.map(anonymous).transpose()?;
        root.finish()?;
        Ok(Self { anonymous })
    }
}

fn anonymous(mut object: Object) -> Result<AnonymousAccess, Error> {
    let enabled = object.bool("enabled")?.unwrap_or_default();
    let mut paths = Vec::new();
    for mut condition in object.objects("conditions")?.unwrap_or_default() {
        let path = condition.string("path")?.unwrap_or_default();
        if path.is_empty() {
            return Err(condition
                .invalid("path", "Required value: must specify a path")
                .into());
        }
        paths.push(path);
        condition.finish()?;
    }
    object.finish()?;
    match (enabled, paths.is_empty()) {
        (true, true) => Ok(AnonymousAccess::Everywhere),
        (true, false) => Ok(AnonymousAccess::Paths(paths)),
        (false, true) => Ok(AnonymousAccess::Nowhere),
        (false, false) => Err(Error::ConditionsOfNobody),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Configuration, String> {
        let text =
            format!("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n{body}");
        let document = Document::parse(&text).map_err(|error| error.to_string())?;
        Configuration::read(document).map_err(|error| error.to_string())
    }

    #[test]
    fn anonymous_access_can_be_limited_to_paths() {
        assert_eq!(read("").unwrap().anonymous, None);
        assert_eq!(
            read("anonymous: {enabled: true}").unwrap().anonymous,
            Some(AnonymousAccess::Everywhere)
        );
        assert_eq!(
            read("anonymous: {enabled: false}").unwrap().anonymous,
            Some(AnonymousAccess::Nowhere)
        );
        let health =
            read("anonymous:\n  enabled: true\n  conditions: [{path: /livez}, {path: /readyz}]\n").unwrap();
        let anonymous = health.anonymous.unwrap().authenticator().unwrap();
        assert!(anonymous.user("/livez").is_some() && anonymous.user("/livez/ping").is_none());
    }

    #[test]
    fn what_cannot_be_honoured_is_an_error() {
        let check = |body: &str, expected: &str| assert_eq!(read(body).unwrap_err(), expected);
        check(
            "jwt: [{issuer: {url: https://x}}]",
            "jwt: JWT authenticators are not supported",
        );
        check(
            "anonymos: {}",
            r#"strict decoding error: unknown field "anonymos""#,
        );
        check(
            "anonymous: {enabled: true, conditions: [{}]}",
            "anonymous.conditions[0].path: Required value: must specify a path",
        );
        check(
            "anonymous: {enabled: false, conditions: [{path: /x}]}",
            "anonymous.conditions: Forbidden: conditions must not be set when anonymous authentication is disabled",
        );
    }
}
