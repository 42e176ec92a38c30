//! Requests as values: paths and bodies, built without IO.

use apimachinery::gvk::GroupVersionResource;
use bytes::Bytes;
use http::Method;

use crate::params::{Query, percent_encode};

/// The media types of answers, in the order we like them.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
pub const JSON: &str = "application/json";
pub const ACCEPT: &str = "application/vnd.kubernetes.protobuf,application/json";
pub const ACCEPT_WATCH: &str =
    "application/vnd.kubernetes.protobuf;stream=watch,application/vnd.kubernetes.protobuf,application/json";

/// A request before credentials are added. `path` is absolute and escaped.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub method: Method,
    pub path: String,
    pub query: Query,
    pub accept: &'static str,
    pub content_type: Option<&'static str>,
    pub body: Bytes,
}

impl Request {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Request {
            method,
            path: path.into(),
            query: Query::default(),
            accept: ACCEPT,
            content_type: None,
            body: Bytes::new(),
        }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.content_type = Some(content_type);
        self.body = body.into();
        self
    }

    pub fn path_and_query(&self) -> String {
        if self.query.as_str().is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query.as_str())
        }
    }
}

/// Which part of a resource a handle speaks of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Cluster-scoped objects, or those of all namespaces.
    #[default]
    All,
    Namespace(String),
}

/// The address of a resource's collection and of the objects in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourcePath {
    pub gvr: GroupVersionResource,
    pub scope: Scope,
}

impl ResourcePath {
    pub fn new(gvr: GroupVersionResource, scope: Scope) -> Self {
        ResourcePath { gvr, scope }
    }

    pub fn collection(&self) -> String {
        let GroupVersionResource {
            group,
            version,
            resource,
        } = &self.gvr;
        let mut path = if group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{group}/{version}")
        };
        if let Scope::Namespace(namespace) = &self.scope {
            path.push_str("/namespaces/");
            percent_encode(namespace, &mut path);
        }
        path.push('/');
        path.push_str(resource);
        path
    }

    pub fn object(&self, name: &str) -> String {
        let mut path = self.collection();
        path.push('/');
        percent_encode(name, &mut path);
        path
    }

    pub fn subresource(&self, name: &str, subresource: &str) -> String {
        format!("{}/{subresource}", self.object(name))
    }

    /// The address of what an object has under a name that anybody may choose.
    pub fn beneath(&self, name: &str, segment: &str) -> String {
        let mut path = self.object(name);
        path.push('/');
        percent_encode(segment, &mut path);
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{ListParams, WatchParams};

    fn path(group: &str, resource: &str, scope: Scope) -> ResourcePath {
        let gvr = GroupVersionResource {
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
        };
        ResourcePath::new(gvr, scope)
    }

    #[test]
    fn paths_of_core_group_and_named_groups() {
        let pods = path("", "pods", Scope::Namespace("default".into()));
        assert_eq!(pods.collection(), "/api/v1/namespaces/default/pods");
        assert_eq!(
            pods.subresource("a", "status"),
            "/api/v1/namespaces/default/pods/a/status"
        );
        assert_eq!(
            path("apps", "deployments", Scope::All).collection(),
            "/apis/apps/v1/deployments"
        );
        assert_eq!(
            pods.beneath("a", "rate/s?"),
            "/api/v1/namespaces/default/pods/a/rate%2Fs%3F"
        );
        let roles = path("rbac.authorization.k8s.io", "clusterroles", Scope::All);
        assert_eq!(
            roles.object("system:node/../x"),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode%2F..%2Fx"
        );
    }

    #[test]
    fn queries_are_escaped_and_leave_out_what_is_unset() {
        let list = ListParams {
            limit: Some(500),
            ..ListParams::labels("app in (a,b)")
        };
        let request = Request::get("/api/v1/pods").query(list.query());
        assert_eq!(
            request.path_and_query(),
            "/api/v1/pods?labelSelector=app%20in%20%28a%2Cb%29&limit=500"
        );
        let watch = WatchParams::from_version("7");
        assert_eq!(
            watch.query().as_str(),
            "watch=true&resourceVersion=7&allowWatchBookmarks=true"
        );
    }
}
