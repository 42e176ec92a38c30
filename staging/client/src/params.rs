//! Options of requests and the query parameters that they become.

use api::meta::v1::{DeleteOptions, Preconditions};

/// Options of a list. The empty strings of upstream are `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListParams {
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
    pub resource_version: Option<String>,
    /// `Exact` or `NotOlderThan`.
    pub resource_version_match: Option<String>,
    /// Items a page; the answer's `continue_` asks for the next one.
    pub limit: Option<u32>,
    pub continue_: Option<String>,
    pub timeout_seconds: Option<u32>,
}

impl ListParams {
    pub fn labels(selector: impl Into<String>) -> Self {
        ListParams {
            label_selector: Some(selector.into()),
            ..Self::default()
        }
    }

    pub fn fields(selector: impl Into<String>) -> Self {
        ListParams {
            field_selector: Some(selector.into()),
            ..Self::default()
        }
    }

    pub(crate) fn query(&self) -> Query {
        let mut query = Query::default();
        query.add("labelSelector", self.label_selector.as_deref());
        query.add("fieldSelector", self.field_selector.as_deref());
        query.add("resourceVersion", self.resource_version.as_deref());
        query.add("resourceVersionMatch", self.resource_version_match.as_deref());
        query.add_number("limit", self.limit);
        query.add("continue", self.continue_.as_deref());
        query.add_number("timeoutSeconds", self.timeout_seconds);
        query
    }
}

/// Options of a watch. Bookmarks are asked for unless `no_bookmarks`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WatchParams {
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
    pub resource_version: Option<String>,
    pub timeout_seconds: Option<u32>,
    pub no_bookmarks: bool,
}

impl WatchParams {
    pub fn from_version(resource_version: impl Into<String>) -> Self {
        WatchParams {
            resource_version: Some(resource_version.into()),
            ..Self::default()
        }
    }

    pub(crate) fn query(&self) -> Query {
        let mut query = Query::default();
        query.add("watch", Some("true"));
        query.add("labelSelector", self.label_selector.as_deref());
        query.add("fieldSelector", self.field_selector.as_deref());
        query.add("resourceVersion", self.resource_version.as_deref());
        query.add_number("timeoutSeconds", self.timeout_seconds);
        query.add("allowWatchBookmarks", (!self.no_bookmarks).then_some("true"));
        query
    }
}

/// Options of create and update.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PostParams {
    pub dry_run: bool,
    pub field_manager: Option<String>,
    /// `Ignore`, `Warn` or `Strict`.
    pub field_validation: Option<String>,
}

impl PostParams {
    pub(crate) fn query(&self) -> Query {
        let mut query = Query::default();
        query.add("dryRun", self.dry_run.then_some("All"));
        query.add("fieldManager", self.field_manager.as_deref());
        query.add("fieldValidation", self.field_validation.as_deref());
        query
    }
}

/// Options of a patch; `force` only means something for apply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PatchParams {
    pub dry_run: bool,
    pub field_manager: Option<String>,
    pub force: bool,
}

impl PatchParams {
    pub(crate) fn query(&self) -> Query {
        let mut query = Query::default();
        query.add("dryRun", self.dry_run.then_some("All"));
        query.add("fieldManager", self.field_manager.as_deref());
        query.add("force", self.force.then_some("true"));
        query
    }
}

/// A patch document, by its content type.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    Json(serde_json::Value),
    Merge(serde_json::Value),
    Strategic(serde_json::Value),
    Apply(serde_json::Value),
}

impl Patch {
    pub fn content_type(&self) -> &'static str {
        match self {
            Patch::Json(_) => "application/json-patch+json",
            Patch::Merge(_) => "application/merge-patch+json",
            Patch::Strategic(_) => "application/strategic-merge-patch+json",
            Patch::Apply(_) => "application/apply-patch+yaml",
        }
    }

    pub fn document(&self) -> &serde_json::Value {
        match self {
            Patch::Json(value) | Patch::Merge(value) | Patch::Strategic(value) | Patch::Apply(value) => value,
        }
    }
}

/// Short forms of `DeleteOptions`.
pub struct DeleteParams;

impl DeleteParams {
    pub fn background() -> DeleteOptions {
        DeleteOptions {
            propagation_policy: Some("Background".into()),
            ..DeleteOptions::default()
        }
    }

    pub fn grace(seconds: i64) -> DeleteOptions {
        DeleteOptions {
            grace_period_seconds: Some(seconds),
            ..DeleteOptions::default()
        }
    }

    /// Delete only the object with this UID, never a successor of the same name.
    pub fn uid(uid: &str) -> DeleteOptions {
        let preconditions = Preconditions {
            uid: Some(uid.to_owned()),
            ..Preconditions::default()
        };
        DeleteOptions {
            preconditions: Some(Box::new(preconditions)),
            ..DeleteOptions::default()
        }
    }
}

/// Query parameters, percent-encoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query(String);

impl Query {
    pub fn add(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        percent_encode(value, &mut self.0);
    }

    fn add_number(&mut self, name: &str, value: Option<u32>) {
        self.add(name, value.map(|number| number.to_string()).as_deref());
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Escapes everything but RFC 3986's unreserved characters.
pub(crate) fn percent_encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}
