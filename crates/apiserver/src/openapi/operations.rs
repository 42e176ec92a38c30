//! What can be asked of each path, apart from either version's way to write it.

mod parameters;

use api::catalogue::{Resource, Subresource, kind};
use api::types::{Form, Type};

use super::names;
use parameters::{CREATE, DELETE, LIST, PATCH, connect};
pub use parameters::{Parameter, Place};

/// A path with its methods.
pub struct PathItem {
    pub path: String,
    /// Those that every method takes.
    pub parameters: Vec<Parameter>,
    pub operations: Vec<Operation>,
}

pub struct Operation {
    /// `get`, `put`, …
    pub method: &'static str,
    pub id: String,
    pub tag: String,
    /// `list`, `connect`, …; empty for paths that serve no resource.
    pub action: &'static str,
    pub kind: Option<Gvk>,
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
    pub produces: Produces,
    /// Status codes with what they answer.
    pub responses: Vec<(u16, Answer)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gvk {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
}

#[derive(Clone, Copy)]
pub enum Body {
    /// An object; whether it has to be there.
    Object(&'static Type, bool),
    /// An object of a custom resource.
    Custom(&'static Resource),
    Patch,
    CustomPatch,
}

#[derive(Clone, Copy)]
pub enum Answer {
    Object(&'static Type),
    /// An object of a custom resource, or a list of such.
    Custom(&'static Resource),
    CustomList(&'static Resource),
    Text,
    Version,
    Nothing,
}

/// Media types of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Produces {
    Objects,
    /// Objects of custom resources.
    Custom,
    /// As `Objects`, without CBOR.
    Groups,
    Watchable,
    Text,
    Anything,
    Json,
}

impl Produces {
    pub fn media_types(self) -> &'static [&'static str] {
        const JSON: &str = "application/json";
        const YAML: &str = "application/yaml";
        const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
        match self {
            Self::Objects => &[JSON, YAML, PROTOBUF],
            Self::Custom => &[JSON, YAML],
            Self::Groups => &[JSON, YAML, PROTOBUF],
            Self::Watchable => &[
                JSON,
                YAML,
                PROTOBUF,
                "application/json;stream=watch",
                "application/vnd.kubernetes.protobuf;stream=watch",
            ],
            Self::Text => &["text/plain", JSON, YAML, PROTOBUF],
            Self::Anything => &["*/*"],
            Self::Json => &[JSON],
        }
    }
}

pub const PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Patches of custom resources.
pub const CUSTOM_PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
];

/// What operations take and answer.
#[derive(Clone, Copy)]
enum Shape {
    Type(&'static Type),
    Custom(&'static Resource),
}

impl Shape {
    fn body(self) -> Body {
        match self {
            Self::Type(ty) => Body::Object(ty, true),
            Self::Custom(row) => Body::Custom(row),
        }
    }

    fn answer(self) -> Answer {
        match self {
            Self::Type(ty) => Answer::Object(ty),
            Self::Custom(row) => Answer::Custom(row),
        }
    }
}

/// Every path of a resource, its subresources and its (deprecated) watches.
pub fn resource_paths(row: &'static Resource) -> Vec<PathItem> {
    let resource = Paths::new(row);
    let mut paths = Vec::new();
    paths.extend(resource.everywhere());
    paths.push(resource.collection());
    if row.verbs.contains(&"get") {
        paths.push(resource.item());
    }
    for sub in row.subresources {
        paths.push(resource.subresource(sub, ""));
        if sub.name == "proxy" {
            paths.push(resource.subresource(sub, "/{path}"));
        }
    }
    if row.verbs.contains(&"watch") && !resource.is_custom() {
        paths.extend(resource.watches());
    }
    paths.retain(|path| !path.operations.is_empty());
    paths
}

struct Paths {
    row: &'static Resource,
    /// `/apis/apps/v1`
    root: String,
}

impl Paths {
    fn new(row: &'static Resource) -> Self {
        let root = match row.group {
            "" => format!("/api/{}", row.version),
            group => format!("/apis/{group}/{}", row.version),
        };
        Self { row, root }
    }

    fn path(&self, below: &str) -> String {
        let namespace = if self.row.namespaced {
            "/namespaces/{namespace}"
        } else {
            ""
        };
        format!("{}{namespace}/{}{below}", self.root, self.row.plural)
    }

    fn has(&self, verb: &str) -> bool {
        self.row.verbs.contains(&verb)
    }

    fn own(&self) -> Gvk {
        Gvk {
            group: self.row.group,
            version: self.row.version,
            kind: self.row.kind,
        }
    }

    /// `VERBGroupVersionREST`
    fn id(&self, verb: &str, rest: &str) -> String {
        format!(
            "{verb}{}{rest}",
            names::group_version(self.row.group, self.row.version)
        )
    }

    /// `NamespacedPod` or `Node`
    fn noun(&self) -> String {
        format!(
            "{}{}",
            if self.row.namespaced { "Namespaced" } else { "" },
            self.row.kind
        )
    }

    fn operation(&self, method: &'static str, action: &'static str, id: String) -> Operation {
        Operation {
            method,
            id,
            tag: names::tag(self.row.group, self.row.version),
            action,
            kind: Some(self.own()),
            parameters: Vec::new(),
            body: None,
            produces: if self.is_custom() {
                Produces::Custom
            } else {
                Produces::Objects
            },
            responses: vec![(401, Answer::Nothing)],
        }
    }

    fn scope(&self, named: bool) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        if named {
            parameters.push(Parameter::path("name"));
        }
        if self.row.namespaced {
            parameters.push(Parameter::path("namespace"));
        }
        parameters.push(Parameter::query("pretty", "string"));
        parameters
    }

    fn is_custom(&self) -> bool {
        self.row.ty.form == Form::Open
    }

    fn shape(&self) -> Shape {
        if self.is_custom() {
            Shape::Custom(self.row)
        } else {
            Shape::Type(self.row.ty)
        }
    }

    /// The resource's lists.
    fn lists(&self) -> Answer {
        if self.is_custom() {
            return Answer::CustomList(self.row);
        }
        let list = kind(self.row.group, self.row.version, self.row.list_kind);
        Answer::Object(list.map_or(self.row.ty, |info| info.ty))
    }

    /// The collection across namespaces.
    fn everywhere(&self) -> Option<PathItem> {
        if !self.row.namespaced || !self.has("list") {
            return None;
        }
        let id = self.id("list", &format!("{}ForAllNamespaces", self.row.kind));
        Some(PathItem {
            path: format!("{}/{}", self.root, self.row.plural),
            parameters: vec![Parameter::query("pretty", "string")],
            operations: vec![self.list(id)],
        })
    }

    fn list(&self, id: String) -> Operation {
        let mut operation = self.operation("get", "list", id);
        operation.parameters = LIST.to_vec();
        if !self.is_custom() {
            operation.produces = Produces::Watchable;
        }
        operation.responses.insert(0, (200, self.lists()));
        operation
    }

    fn collection(&self) -> PathItem {
        let noun = self.noun();
        let mut operations = Vec::new();
        if self.has("list") {
            operations.push(self.list(self.id("list", &noun)));
        }
        if self.has("create") {
            operations.push(self.create(self.id("create", &noun), self.shape(), self.own()));
        }
        if self.has("deletecollection") {
            let id = self.id("delete", &format!("Collection{noun}"));
            let mut operation = self.operation("delete", "deletecollection", id);
            let status = kind("", "v1", "Status").map(|info| info.ty);
            operation.parameters = parameters::delete_collection();
            operation.body = kind("", "v1", "DeleteOptions").map(|info| Body::Object(info.ty, false));
            operation
                .responses
                .insert(0, (200, status.map_or(Answer::Nothing, Answer::Object)));
            operations.push(operation);
        }
        PathItem {
            path: self.path(""),
            parameters: self.scope(false),
            operations,
        }
    }

    fn create(&self, id: String, shape: Shape, kind: Gvk) -> Operation {
        let mut operation = self.operation("post", "post", id);
        operation.kind = Some(kind);
        operation.parameters = CREATE.to_vec();
        operation.body = Some(shape.body());
        for (index, code) in [200, 201, 202].into_iter().enumerate() {
            operation.responses.insert(index, (code, shape.answer()));
        }
        operation
    }

    fn item(&self) -> PathItem {
        let noun = self.noun();
        let mut operations = self.modifications(self.row.verbs, self.shape(), self.own(), &noun);
        if self.has("delete") {
            operations.push(self.delete(&noun));
        }
        PathItem {
            path: self.path("/{name}"),
            parameters: self.scope(true),
            operations,
        }
    }

    /// GET, PUT and PATCH, as far as the verbs allow.
    fn modifications(&self, verbs: &[&str], shape: Shape, kind: Gvk, noun: &str) -> Vec<Operation> {
        let mut operations = Vec::new();
        let object = shape.answer();
        if verbs.contains(&"get") {
            let mut operation = self.operation("get", "get", self.id("read", noun));
            operation.responses.insert(0, (200, object));
            operations.push(operation);
        }
        if verbs.contains(&"update") {
            let mut operation = self.operation("put", "put", self.id("replace", noun));
            operation.parameters = CREATE.to_vec();
            operation.body = Some(shape.body());
            operation.responses = vec![(200, object), (201, object), (401, Answer::Nothing)];
            operations.push(operation);
        }
        if verbs.contains(&"patch") {
            let mut operation = self.operation("patch", "patch", self.id("patch", noun));
            operation.parameters = PATCH.to_vec();
            operation.body = Some(if self.is_custom() {
                Body::CustomPatch
            } else {
                Body::Patch
            });
            operation.responses = vec![(200, object), (201, object), (401, Answer::Nothing)];
            operations.push(operation);
        }
        for operation in &mut operations {
            operation.kind = Some(kind);
        }
        operations
    }

    fn delete(&self, noun: &str) -> Operation {
        let mut operation = self.operation("delete", "delete", self.id("delete", noun));
        // A few kinds are answered with the deleted object.
        let answer = match self.row.plural {
            "pods"
            | "services"
            | "serviceaccounts"
            | "persistentvolumes"
            | "persistentvolumeclaims"
            | "podtemplates"
            | "resourcequotas" => Some(self.row.ty),
            _ if self.row.group == "storage.k8s.io" && self.row.plural != "csistoragecapacities" => {
                Some(self.row.ty)
            }
            _ if matches!(self.row.group, "resource.k8s.io") => Some(self.row.ty),
            _ => kind("", "v1", "Status").map(|info| info.ty),
        };
        let answer = answer.map_or(Answer::Nothing, Answer::Object);
        operation.parameters = DELETE.to_vec();
        operation.body = kind("", "v1", "DeleteOptions").map(|info| Body::Object(info.ty, false));
        operation.responses = vec![(200, answer), (202, answer), (401, Answer::Nothing)];
        operation
    }

    fn subresource(&self, sub: &'static Subresource, rest: &str) -> PathItem {
        let noun = format!("{}{}", self.noun(), names::capitalized(sub.name));
        let info = kind(sub.group, sub.version, sub.kind);
        let shape = info.map_or(self.shape(), |info| Shape::Type(info.ty));
        let gvk = Gvk {
            group: sub.group,
            version: sub.version,
            kind: sub.kind,
        };
        let mut scope = self.scope(true);
        let operations = match sub.name {
            "exec" | "attach" | "portforward" | "proxy" => {
                scope.retain(|parameter| parameter.name != "pretty");
                scope.extend(connect(sub.kind));
                if !rest.is_empty() {
                    scope.push(Parameter::path("path"));
                }
                self.connections(
                    sub,
                    gvk,
                    &format!("{noun}{}", if rest.is_empty() { "" } else { "WithPath" }),
                )
            }
            "log" => {
                scope.extend(connect("PodLogOptions"));
                let mut operation = self.operation("get", "get", self.id("read", &noun));
                operation.produces = Produces::Text;
                operation.responses.insert(0, (200, Answer::Text));
                vec![operation]
            }
            _ => {
                let mut operations = self.modifications(sub.verbs, shape, gvk, &noun);
                if sub.verbs.contains(&"create") {
                    operations.push(self.create(self.id("create", &noun), shape, gvk));
                }
                operations
            }
        };
        PathItem {
            path: self.path(&format!("/{{name}}/{}{rest}", sub.name)),
            parameters: scope,
            operations,
        }
    }

    /// The methods of a connection, which carries whatever the other side speaks.
    fn connections(&self, sub: &Subresource, gvk: Gvk, noun: &str) -> Vec<Operation> {
        let methods: &[&'static str] = match sub.name {
            "proxy" => &["get", "put", "post", "delete", "options", "head", "patch"],
            _ => &["get", "post"],
        };
        let connect = |method: &&'static str| {
            let id = self.id("connect", &format!("{}{noun}", names::capitalized(method)));
            let mut operation = self.operation(method, "connect", id);
            operation.kind = Some(gvk);
            operation.produces = Produces::Anything;
            operation.responses.insert(0, (200, Answer::Text));
            operation
        };
        methods.iter().map(connect).collect()
    }

    /// The paths that watch without a query parameter.
    fn watches(&self) -> Vec<PathItem> {
        let namespace = if self.row.namespaced {
            "/namespaces/{namespace}"
        } else {
            ""
        };
        let base = format!("{}/watch{namespace}/{}", self.root, self.row.plural);
        let (noun, kind) = (self.noun(), self.row.kind);
        let mut paths = vec![
            self.watch(
                base.clone(),
                "watchlist",
                self.id("watch", &format!("{noun}List")),
                self.scope(false),
            ),
            self.watch(
                format!("{base}/{{name}}"),
                "watch",
                self.id("watch", &noun),
                self.scope(true),
            ),
        ];
        if self.row.namespaced {
            let path = format!("{}/watch/{}", self.root, self.row.plural);
            let id = self.id("watch", &format!("{kind}ListForAllNamespaces"));
            paths.push(self.watch(path, "watchlist", id, vec![Parameter::query("pretty", "string")]));
        }
        paths
    }

    fn watch(&self, path: String, action: &'static str, id: String, parameters: Vec<Parameter>) -> PathItem {
        let mut operation = self.operation("get", action, id);
        operation.produces = Produces::Watchable;
        let event = kind("", "v1", "WatchEvent").map(|info| Answer::Object(info.ty));
        operation
            .responses
            .insert(0, (200, event.unwrap_or(Answer::Nothing)));
        operation.parameters = LIST.to_vec();
        PathItem {
            path,
            parameters,
            operations: vec![operation],
        }
    }
}

/// A path that serves a discovery document or the version.
pub fn plain(path: String, id: String, tag: String, produces: Produces, answer: Answer) -> PathItem {
    let operation = Operation {
        method: "get",
        id,
        tag,
        action: "",
        kind: None,
        parameters: Vec::new(),
        body: None,
        produces,
        responses: vec![(200, answer), (401, Answer::Nothing)],
    };
    PathItem {
        path,
        parameters: Vec::new(),
        operations: vec![operation],
    }
}
