//! Asking several authenticators in turn.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Anonymous;
use crate::{Authenticator, Credentials, Error, TokenAuthenticator, TokenIdentity, UserInfo};

/// The first that knows the credentials decides; errors count only if none does. Whoever is known belongs
/// to `system:authenticated`. Requests without any credentials may pass as anonymous; requests with bad
/// ones may not.
pub struct Union {
    authenticators: Vec<Arc<dyn Authenticator>>,
    anonymous: Option<Anonymous>,
}

impl Union {
    pub fn new(authenticators: Vec<Arc<dyn Authenticator>>, anonymous: Option<Anonymous>) -> Self {
        Self {
            authenticators,
            anonymous,
        }
    }

    async fn ask(&self, credentials: Credentials<'_>) -> Result<Option<UserInfo>, Error> {
        let mut errors = Vec::new();
        for authenticator in &self.authenticators {
            match authenticator.authenticate(credentials).await {
                Ok(Some(user)) => return Ok(Some(user.into_authenticated())),
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        match (errors.is_empty(), &self.anonymous) {
            (false, _) => Err(one(errors)),
            (true, Some(anonymous)) => Ok(anonymous.user(credentials.path)),
            (true, None) => Ok(None),
        }
    }
}

impl Authenticator for Union {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Option<UserInfo>, Error>> {
        Box::pin(self.ask(credentials))
    }
}

fn one(mut errors: Vec<Error>) -> Error {
    match errors.len() {
        1 => errors.swap_remove(0),
        _ => Error::Several(format!(
            "[{}]",
            errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
}

/// Asks several token authenticators in turn.
pub struct TokenUnion {
    authenticators: Vec<Arc<dyn TokenAuthenticator>>,
}

impl TokenUnion {
    pub fn new(authenticators: Vec<Arc<dyn TokenAuthenticator>>) -> Self {
        Self { authenticators }
    }
}

impl TokenAuthenticator for TokenUnion {
    fn authenticate_token<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<TokenIdentity>, Error>> {
        Box::pin(async move {
            let mut errors = Vec::new();
            for authenticator in &self.authenticators {
                match authenticator.authenticate_token(token, audiences).await {
                    Ok(Some(identity)) => return Ok(Some(identity)),
                    Ok(None) => {}
                    Err(error) => errors.push(error),
                }
            }
            if errors.is_empty() {
                Ok(None)
            } else {
                Err(one(errors))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    /// Answers by the request's header `x-test`.
    struct ByHeader(&'static str);

    impl Authenticator for ByHeader {
        fn authenticate<'a>(
            &'a self,
            credentials: Credentials<'a>,
        ) -> BoxFuture<'a, Result<Option<UserInfo>, Error>> {
            let said = credentials
                .headers
                .get("x-test")
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            let answer = match said {
                "bad" => Err(Error::Token(self.0.to_owned())),
                name if name == self.0 => Ok(Some(UserInfo::new(name, &[]))),
                _ => Ok(None),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    async fn ask(said: &'static str, path: &str) -> String {
        let anonymous = Anonymous::limited_to(vec!["/healthz".to_owned()]);
        let union = Union::new(
            vec![Arc::new(ByHeader("a")), Arc::new(ByHeader("b"))],
            Some(anonymous),
        );
        let mut headers = HeaderMap::new();
        headers.insert("x-test", said.parse().unwrap());
        match union
            .authenticate(Credentials {
                headers: &headers,
                certificates: &[],
                path,
            })
            .await
        {
            Ok(Some(user)) => format!("{} {}", user.name, user.groups.join(",")),
            Ok(None) => "nobody".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn the_first_to_know_decides_and_bad_credentials_are_not_anonymous() {
        assert_eq!(ask("b", "/api").await, "b system:authenticated");
        assert_eq!(
            ask("bad", "/healthz").await,
            "[invalid bearer token: a, invalid bearer token: b]"
        );
        assert_eq!(
            ask("none", "/healthz").await,
            "system:anonymous system:unauthenticated"
        );
        assert_eq!(ask("none", "/api").await, "nobody");
    }
}
