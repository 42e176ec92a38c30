//! Headers that any response bears: caching is off, and warnings are told.

use futures_util::future::BoxFuture;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, WARNING};

use super::{Filter, Next};
use crate::request::Request;
use crate::response::Response;

/// Bytes of warnings in one response; the rest is cut, then left out.
const MAX_TOTAL_BYTES: usize = 4 * 1024;
/// Once the total would be passed, a warning is cut to that many characters.
const TRUNCATED_CHARS: usize = 256;

pub struct ResponseHeaders;

impl Filter for ResponseHeaders {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let mut response = next.run(request).await;
            let headers = response.headers_mut();
            if !headers.contains_key(CACHE_CONTROL) {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
            }
            for value in warning_values(&request.warnings) {
                headers.append(WARNING, value);
            }
            response
        })
    }
}

/// Warnings as `299 - "text"`, bounded in total.
fn warning_values(warnings: &[String]) -> Vec<HeaderValue> {
    let total: usize = warnings.iter().map(String::len).sum();
    let mut left = MAX_TOTAL_BYTES;
    let mut values = Vec::new();
    for warning in warnings {
        let text: String = match total > MAX_TOTAL_BYTES {
            true => warning.chars().take(TRUNCATED_CHARS).collect(),
            false => warning.clone(),
        };
        if text.len() > left {
            break;
        }
        left -= text.len();
        values.extend(HeaderValue::from_bytes(
            format!("299 - {}", quoted(&text)).as_bytes(),
        ));
    }
    values
}

/// An HTTP quoted-string; control characters become spaces.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if char.is_control() => out.push(' '),
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted_and_bounded() {
        let values = warning_values(&["unknown field \"spec.x\"".to_owned()]);
        assert_eq!(
            values[0].to_str().expect("ascii"),
            r#"299 - "unknown field \"spec.x\"""#
        );
        assert_eq!(
            warning_values(&vec!["w".repeat(1000); 40]).len(),
            MAX_TOTAL_BYTES / TRUNCATED_CHARS
        );
    }
}
