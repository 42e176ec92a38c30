//! One request on its way through the stack.

pub mod body;
pub mod info;
pub mod negotiate;
pub mod options;
pub mod query;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use auth::UserInfo;
pub use component_base::serving::Peer;
use http::HeaderMap;
use http::request::Parts;

use crate::response::Body;
use crate::stack::flow_control::WatchShare;
use info::{RequestInfo, UnknownPath};
use query::Query;

/// What filters learn about a request, and what handlers read.
pub struct Request {
    pub head: Parts,
    /// Taken by whoever reads it. In a mutex only so that the request can be shared between threads.
    body: Mutex<Option<Body>>,
    pub query: Query,
    pub info: RequestInfo,
    /// Who asks: anonymous until authentication, the impersonated user after impersonation.
    pub user: UserInfo,
    pub audit_id: String,
    pub received: Instant,
    /// Within which it is to be answered; `None` if it may last.
    pub time_limit: Option<Duration>,
    /// A watch's part in flow control, for the handler to take over.
    pub watch_share: Option<WatchShare>,
    pub peer: Peer,
    /// For the `Warning` headers of the response.
    pub warnings: Vec<String>,
}

impl Request {
    /// Reads the request line.
    pub fn new(head: Parts, body: Body, peer: Peer) -> Result<Request, UnknownPath> {
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let info = RequestInfo::parse(&head.method, head.uri.path(), &query)?;
        Ok(Request {
            head,
            body: Mutex::new(Some(body)),
            query,
            info,
            user: UserInfo::default(),
            audit_id: String::new(),
            received: Instant::now(),
            time_limit: None,
            watch_share: None,
            peer,
            warnings: Vec::new(),
        })
    }

    /// The body, for the one who reads it.
    pub fn take_body(&mut self) -> Option<Body> {
        self.body.get_mut().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Adds a warning unless the client was already told.
    pub fn warn(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Whether the client is one for people's eyes: `pretty` was asked for, or it is curl, wget or a browser.
    pub fn wants_pretty(&self) -> bool {
        if let Some(pretty) = self.query.get("pretty").filter(|value| !value.is_empty()) {
            return matches!(pretty, "1" | "t" | "T" | "true" | "TRUE" | "True");
        }
        let agent = self.header("user-agent").unwrap_or_default();
        ["curl", "Wget", "Mozilla/5.0"]
            .iter()
            .any(|human| agent.starts_with(human))
    }

    /// Negotiates the answer's form.
    pub fn output(
        &self,
        offers: negotiate::Offers,
    ) -> Result<negotiate::Output, apimachinery::status::Status> {
        let mut output = negotiate::negotiate(self.header("accept"), offers)?;
        output.pretty |= self.wants_pretty();
        Ok(output)
    }

    /// The form of errors: what was asked for if it can be given.
    pub fn error_output(&self) -> Option<negotiate::Output> {
        self.output(negotiate::Offers::Plain).ok()
    }
}
