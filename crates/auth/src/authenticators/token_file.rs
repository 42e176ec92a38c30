//! `--token-auth-file`: lines of `token,user,uid[,"group1,group2"]`.

use std::collections::HashMap;
use std::path::Path;

use component_base::config;
use futures_util::future::BoxFuture;

use crate::{Error, TokenAuthenticator, TokenIdentity, UserInfo};

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Read(#[from] config::Error),
    #[error(
        "line {line}: token file must have at least 3 columns (token, user name, user uid), found {columns}"
    )]
    Columns { line: usize, columns: usize },
    #[error("line {0}: the token is empty")]
    EmptyToken(usize),
    #[error("line {0}: a quote is not closed")]
    Quote(usize),
}

pub struct TokenFile {
    users: HashMap<String, UserInfo>,
}

impl TokenFile {
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Self::parse(&config::read(path)?)
    }

    fn parse(text: &str) -> Result<Self, LoadError> {
        let mut users = HashMap::new();
        for (index, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let number = index + 1;
            let columns = columns(line).ok_or(LoadError::Quote(number))?;
            let [token, name, uid, rest @ ..] = columns.as_slice() else {
                return Err(LoadError::Columns {
                    line: number,
                    columns: columns.len(),
                });
            };
            if token.is_empty() {
                return Err(LoadError::EmptyToken(number));
            }
            let groups = rest
                .first()
                .map(|groups| groups.split(',').map(str::to_owned).collect())
                .unwrap_or_default();
            let user = UserInfo {
                name: name.clone(),
                uid: uid.clone(),
                groups,
                ..UserInfo::default()
            };
            users.insert(token.clone(), user);
        }
        Ok(Self { users })
    }
}

/// Splits a line of comma separated values with optional double quotes.
fn columns(line: &str) -> Option<Vec<String>> {
    let mut columns = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let column = columns.last_mut()?;
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                column.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => columns.push(String::new()),
            ' ' if column.is_empty() && !quoted => {}
            c => column.push(c),
        }
    }
    (!quoted).then_some(columns)
}

impl TokenAuthenticator for TokenFile {
    fn authenticate_token<'a>(
        &'a self,
        token: &'a str,
        _audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<TokenIdentity>, Error>> {
        let user = self.users.get(token).cloned();
        Box::pin(std::future::ready(Ok(user.map(|user| TokenIdentity {
            user,
            audiences: Vec::new(),
        }))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_users() {
        let file = TokenFile::parse("t1,ada,1,\"dev,ops\"\n\nt2, bob, 2\n").unwrap();
        assert_eq!(file.users["t1"].groups, ["dev", "ops"]);
        assert_eq!(file.users["t2"].name, "bob");
        assert!(matches!(
            TokenFile::parse("t,ada"),
            Err(LoadError::Columns { line: 1, columns: 2 })
        ));
        assert!(matches!(
            TokenFile::parse("\n,ada,1"),
            Err(LoadError::EmptyToken(2))
        ));
        assert!(matches!(TokenFile::parse("t,\"ada,1"), Err(LoadError::Quote(1))));
    }
}
