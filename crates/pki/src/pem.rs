//! PEM blocks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;

pub const CERTIFICATE: &str = "CERTIFICATE";
pub const CERTIFICATE_REQUEST: &str = "CERTIFICATE REQUEST";
pub const PRIVATE_KEY: &str = "PRIVATE KEY";
pub const RSA_PRIVATE_KEY: &str = "RSA PRIVATE KEY";
pub const EC_PRIVATE_KEY: &str = "EC PRIVATE KEY";
pub const PUBLIC_KEY: &str = "PUBLIC KEY";
pub const RSA_PUBLIC_KEY: &str = "RSA PUBLIC KEY";

/// One block: its label and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub label: String,
    pub der: Vec<u8>,
}

/// The blocks of a text, in order; what stands between them is ignored.
pub fn parse(text: &[u8]) -> Result<Vec<Block>, Error> {
    let text = std::str::from_utf8(text).map_err(|_| Error::Pem)?;
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.strip_suffix("-----"))
        else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let mut body = String::new();
        loop {
            match lines.next() {
                None => return Err(Error::Pem),
                Some(line) if line == end => break,
                // Headers (`Proc-Type: …`) come before the body.
                Some(line) if line.contains(':') => {}
                Some(line) => body.push_str(line),
            }
        }
        let der = STANDARD.decode(&body).map_err(|_| Error::Pem)?;
        blocks.push(Block {
            label: label.to_owned(),
            der,
        });
    }
    Ok(blocks)
}

/// A block as text.
pub fn encode(label: &str, der: &[u8]) -> String {
    const COLUMNS: usize = 64;
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(COLUMNS));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_survive_and_noise_does_not() {
        let text = format!(
            "noise\n{}between\n{}",
            encode(CERTIFICATE, &[7; 100]),
            encode(PUBLIC_KEY, b"x")
        );
        let blocks = parse(text.as_bytes()).unwrap();
        let labels: Vec<_> = blocks
            .iter()
            .map(|block| (block.label.as_str(), block.der.len()))
            .collect();
        assert_eq!(labels, [(CERTIFICATE, 100), (PUBLIC_KEY, 1)]);
        assert!(parse(b"-----BEGIN X-----\nAAAA").is_err());
        assert!(parse(b"-----BEGIN X-----\n!!\n-----END X-----").is_err());
    }
}
