//! Expressions in policies and match conditions: what they may name, and how they are compiled.
//!
//! [`inputs`] gives the names their values in a request, [`conditions`] decides by `matchConditions`, [`answers`]
//! asks the authorizer for what expressions want to know.
//!
//! Upstream: `k8s.io/apiserver/pkg/admission/plugin/cel`.

pub mod answers;
pub mod conditions;
pub mod inputs;

use std::sync::Arc;

use cel::{Environment, Program, Type, authorizer};

/// All expressions of one policy, or all conditions of one webhook, cost no more.
pub const BUDGET: u64 = 10_000_000;
pub const CONDITIONS_BUDGET: u64 = 2_500_000;

/// The places of the names, as [`Names::environment`] declares them.
mod slot {
    pub const OBJECT: usize = 0;
    pub const OLD_OBJECT: usize = 1;
    pub const NAMESPACE: usize = 2;
    pub const REQUEST: usize = 3;
    pub const PARAMS: usize = 4;
    pub const AUTHORIZER: usize = 5;
    pub const REQUEST_RESOURCE: usize = 6;
    pub const VARIABLES: usize = 7;
    /// From here on, each variable of a policy.
    pub const FIRST_VARIABLE: usize = 8;
}

/// A compiled expression, or why it is none.
pub type Compiled = Result<Program, String>;

/// What expressions may name besides the request and its objects.
#[derive(Clone, Copy)]
struct Names {
    params: bool,
    authorizer: bool,
}

impl Names {
    /// The names with their types, for expressions without variables.
    fn environment(self) -> Environment {
        let mut environment = Environment::new()
            .with("object", Type::Dyn)
            .with("oldObject", Type::Dyn)
            .with("namespaceObject", namespace())
            .with("request", request());
        environment.declare_types();
        // A name that must not be used keeps its place under one that cannot be written.
        let mut declare = |name: &str, shown: bool, of: Type| match shown {
            true => environment.declare(name, of),
            false => environment.declare(&format!("@{name}"), of),
        };
        declare("params", self.params, Type::Dyn);
        let (asks, checks) = (authorizer::AUTHORIZER, authorizer::RESOURCE_CHECK);
        declare("authorizer", self.authorizer, Type::opaque(asks));
        declare(
            "authorizer.requestResource",
            self.authorizer,
            Type::opaque(checks),
        );
        environment
    }
}

fn strings() -> Type {
    Type::list(Type::String)
}

fn object(name: &str, fields: &[(&str, Type)]) -> Type {
    let fields = fields.iter().map(|(name, of)| ((*name).to_owned(), of.clone()));
    Type::object(name, fields)
}

/// An AdmissionRequest; its objects are variables of their own.
fn request() -> Type {
    let kind = object(
        "kubernetes.GroupVersionKind",
        &[
            ("group", Type::String),
            ("version", Type::String),
            ("kind", Type::String),
        ],
    );
    let resource = object(
        "kubernetes.GroupVersionResource",
        &[
            ("group", Type::String),
            ("version", Type::String),
            ("resource", Type::String),
        ],
    );
    let user = object(
        "kubernetes.UserInfo",
        &[
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", strings()),
            ("extra", Type::map(Type::String, strings())),
        ],
    );
    object(
        "kubernetes.AdmissionRequest",
        &[
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", Type::String),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
}

/// What expressions see of a namespace.
fn namespace() -> Type {
    let labels = || Type::map(Type::String, Type::String);
    let metadata = object(
        "kubernetes.NamespaceMetadata",
        &[
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", labels()),
            ("annotations", labels()),
            ("UID", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", strings()),
        ],
    );
    let condition = object(
        "kubernetes.NamespaceCondition",
        &[
            ("status", Type::String),
            ("type", Type::String),
            ("lastTransitionTime", Type::Timestamp),
            ("message", Type::String),
            ("reason", Type::String),
        ],
    );
    let status = object(
        "kubernetes.NamespaceStatus",
        &[("conditions", Type::list(condition)), ("phase", Type::String)],
    );
    object(
        "kubernetes.Namespace",
        &[
            ("metadata", metadata),
            (
                "spec",
                object("kubernetes.NamespaceSpec", &[("finalizers", strings())]),
            ),
            ("status", status),
        ],
    )
}

/// Compiles the expressions of one policy, whose variables may name the ones before them.
pub struct Compiler {
    /// With the authorizer and without.
    environments: [Environment; 2],
    variables: Vec<(String, Type)>,
}

impl Compiler {
    /// Of expressions that may name a policy's parameters or not.
    pub fn new(params: bool) -> Self {
        let names = Names {
            params,
            authorizer: true,
        };
        let without = Names {
            params,
            authorizer: false,
        };
        Self {
            environments: [names.environment(), without.environment()],
            variables: Vec::new(),
        }
    }

    /// Lets expressions name `variables`, of which there are none yet.
    pub fn with_variables(mut self) -> Self {
        self.declare_variables();
        self
    }

    fn declare_variables(&mut self) {
        let all = Type::object("kubernetes.variables", self.variables.iter().cloned());
        for environment in &mut self.environments {
            environment.declare("variables", all.clone());
        }
    }

    /// Compiles a variable and declares it for what comes after it; one that is wrong is of any type.
    pub fn variable(&mut self, name: &str, source: &str) -> Compiled {
        let compiled = self.any(source);
        let of = match &compiled {
            Ok(program) => declared(program.output()),
            Err(_) => Type::Dyn,
        };
        self.variables.push((name.to_owned(), of.clone()));
        self.declare_variables();
        for environment in &mut self.environments {
            environment.declare(&format!("variables.{name}"), of.clone());
        }
        compiled
    }

    fn any(&self, source: &str) -> Compiled {
        cel::compile(&self.environments[0], source).map_err(|issues| format!("compilation failed: {issues}"))
    }

    /// What is true or false.
    pub fn condition(&self, source: &str) -> Compiled {
        returns(self.any(source)?, &[Type::Bool])
    }

    /// A message, which does not depend on what somebody may do.
    pub fn message(&self, source: &str) -> Compiled {
        let compiled = cel::compile(&self.environments[1], source)
            .map_err(|issues| format!("compilation failed: {issues}"));
        returns(compiled?, &[Type::String])
    }

    /// What is laid over an object.
    pub fn configuration(&self, source: &str) -> Compiled {
        returns(self.mutation(source)?, &[Type::open_object(cel::OBJECT)])
    }

    /// Operations of a JSON patch.
    pub fn json_patch(&self, source: &str) -> Compiled {
        let operation = Type::open_object(cel::JSON_PATCH);
        returns(self.mutation(source)?, &[Type::list(operation)])
    }

    fn mutation(&self, source: &str) -> Compiled {
        let environment = self.environments[0].clone().with_patches();
        cel::compile(&environment, source).map_err(|issues| format!("compilation failed: {issues}"))
    }

    /// An audit annotation: a string, or null for none.
    pub fn annotation(&self, source: &str) -> Compiled {
        returns(self.any(source)?, &[Type::String, Type::Null])
    }
}

fn returns(program: Program, types: &[Type]) -> Compiled {
    let found = program.output();
    if types.contains(found) {
        return Ok(program);
    }
    Err(match types {
        [only] => format!("must evaluate to {only} but got {found}"),
        several => {
            let several: Vec<_> = several.iter().map(Type::to_string).collect();
            format!("must evaluate to one of [{}] but got {found}", several.join(" "))
        }
    })
}

/// A variable's type as others see it: what is neither plain nor a list or map of such can be anything.
fn declared(of: &Type) -> Type {
    match of {
        Type::Bool
        | Type::Bytes
        | Type::Double
        | Type::Duration
        | Type::Int
        | Type::Null
        | Type::String
        | Type::Timestamp
        | Type::Uint => of.clone(),
        Type::List(element) => Type::List(Arc::new(declared(element))),
        Type::Map(key, value) => Type::Map(Arc::new(declared(key)), Arc::new(declared(value))),
        _ => Type::Dyn,
    }
}
