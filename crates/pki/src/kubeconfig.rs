//! Writing kubeconfig files with embedded credentials.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One cluster, one user.
#[derive(Clone, Debug)]
pub struct Kubeconfig<'a> {
    pub cluster: &'a str,
    pub server: &'a str,
    /// PEM.
    pub authority: &'a str,
    pub user: &'a str,
    pub credentials: Credentials<'a>,
}

#[derive(Clone, Debug)]
pub enum Credentials<'a> {
    /// PEM, both.
    Certificate {
        certificate: &'a str,
        key: &'a str,
    },
    Token(&'a str),
}

impl Kubeconfig<'_> {
    pub fn to_yaml(&self) -> String {
        let context = quoted(&format!("{}@{}", self.user, self.cluster));
        let (cluster, user, server) = (quoted(self.cluster), quoted(self.user), quoted(self.server));
        let credentials = match &self.credentials {
            Credentials::Certificate { certificate, key } => format!(
                "    client-certificate-data: {}\n    client-key-data: {}\n",
                STANDARD.encode(certificate),
                STANDARD.encode(key)
            ),
            Credentials::Token(token) => format!("    token: {}\n", quoted(token)),
        };
        let authority = STANDARD.encode(self.authority);
        format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {authority}\n    server: {server}\n  name: {cluster}\n\
             contexts:\n- context:\n    cluster: {cluster}\n    user: {user}\n  name: {context}\n\
             current-context: {context}\nkind: Config\npreferences: {{}}\nusers:\n- name: {user}\n  user:\n{credentials}"
        )
    }
}

/// A YAML scalar: plain where that is safe, else in JSON's quotes, which YAML takes.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    let safe = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with(':');
    if safe {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_reads_back() {
        let credentials = Credentials::Certificate {
            certificate: "C",
            key: "K",
        };
        let kubeconfig = Kubeconfig {
            cluster: "kubernetes",
            server: "https://10.0.0.1:6443",
            authority: "A",
            user: "system:node: \"a\"",
            credentials,
        };
        let value = component_base::config::yaml(&kubeconfig.to_yaml()).unwrap();
        assert_eq!(value["users"][0]["name"], "system:node: \"a\"");
        assert_eq!(value["users"][0]["user"]["client-key-data"], "Sw==");
        assert_eq!(value["clusters"][0]["cluster"]["server"], "https://10.0.0.1:6443");
        assert_eq!(value["current-context"], value["contexts"][0]["name"]);
    }
}
