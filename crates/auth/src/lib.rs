//! Who is asking (authenticators) and may they (authorizers).
//!
//! Reading order: [`user`] (identities), [`credentials`] (what a request presents, [`Authenticator`]),
//! [`attributes`] (what a request wants, [`Authorizer`]), [`objects`] (how API objects are read and
//! followed), then the [`authenticators`] and their [`configuration`], the [`authorizers`], [`bootstrap`] (the
//! roles and bindings of a fresh cluster), [`escalation`] (who may grant what), [`review`] (TokenReview,
//! SubjectAccessReview).
//!
//! It knows nothing of HTTP responses, of the store or of the server: requests come as headers and
//! attributes, objects through [`Objects`].
//!
//! Upstream: `k8s.io/apiserver/pkg/{authentication,authorization}`, `pkg/serviceaccount`, `plugin/pkg/auth`,
//! `pkg/registry/rbac`.

pub mod attributes;
pub mod authenticators;
pub mod authorizers;
pub mod bootstrap;
pub mod configuration;
pub mod credentials;
pub mod escalation;
pub mod objects;
pub mod review;
pub mod user;

pub use attributes::{Attributes, Authorizer, Decision};
pub use credentials::{Authenticator, Credentials, Error, TokenAuthenticator, TokenIdentity};
pub use objects::{Change, Follower, Objects};
pub use user::UserInfo;
