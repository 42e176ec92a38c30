//! TokenRequest: bound tokens of a service account.

use std::sync::Arc;
use std::time::Duration;

use api::authentication::v1::{TokenRequest, TokenRequestStatus};
use api::core::v1::{Node, Pod, Secret, ServiceAccount};
use api::{Message, Resource};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::gvk::{GroupKind, GroupResource};
use apimachinery::status::Status;
use apimachinery::time::Time;
use http::StatusCode;
use pki::token::{Claims, Reference, Signer};

use crate::decode::{Expected, read_message};
use crate::request::Request;
use crate::request::negotiate::Offers;
use crate::request::options::{WriteKind, WriteOptions};
use crate::resource::Served;
use crate::response::{Response, message};
use crate::state::Api;

const KIND: (&str, &str, &str) = ("authentication.k8s.io", "v1", "TokenRequest");
const EXPECTED: Expected = Expected {
    group: KIND.0,
    version: KIND.1,
    kind: KIND.2,
    ty: &api::types::authentication_v1::TOKEN_REQUEST,
    also: &[],
};

/// A token lives an hour unless asked otherwise, and ten minutes at least.
const DEFAULT_SECONDS: i64 = 3600;
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;
/// What kubelets ask for on behalf of pods that don't say: such tokens are extended.
const EXTENDABLE_SECONDS: i64 = 3607;
/// The life of an extended token.
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

/// Issues tokens, within the server's limits.
pub struct TokenIssuer {
    pub signer: Arc<Signer>,
    /// Of this server: what a token is for when the request does not say.
    pub audiences: Vec<String>,
    /// Longest life; zero: no limit.
    pub max_lifetime: Duration,
    /// Let pods' tokens live longer than asked for, so that clients which don't reload them go on.
    pub extend: bool,
}

/// POST `serviceaccounts/NAME/token`.
pub async fn create(api: &Api, served: &Served, request: &mut Request) -> Result<Response, Status> {
    let issuer = api.token_issuer.as_ref().ok_or_else(Status::path_not_found)?;
    let output = request.output(Offers::Plain)?;
    let options = WriteOptions::parse(&request.query, WriteKind::Create)?;
    let proto = read_message(request, EXPECTED, options.field_validation).await?;
    let mut asked = TokenRequest::decode(&proto).map_err(|error| Status::bad_request(error.to_string()))?;
    let (namespace, name) = (request.info.namespace.clone(), request.info.name.clone());
    let account: Box<ServiceAccount> = load(api, &namespace, &name).await?;
    crate::write::metadata::settle_namespace(&mut asked.metadata, &namespace)?;
    complete(&mut asked, &account, api)?;
    let errors = validate(&asked);
    if !errors.is_empty() {
        return Err(Status::invalid(&GroupKind::new(KIND.0, KIND.2), "", &errors));
    }
    api.admit_subresource(request, served.row, &mut asked, options.dry_run)
        .await?;
    // Admission sees what was asked: a node may leave the audience open, but not name one that its pod does not.
    if asked.spec.audiences.is_empty() {
        asked.spec.audiences.clone_from(&issuer.audiences);
    }
    let bound = bound_objects(api, &asked, &namespace, &name).await?;
    if let Some(warning) = issuer.cap(&mut asked) {
        request.warn(warning);
    }
    issuer.issue(&mut asked, &account, bound, api)?;
    message(StatusCode::CREATED, KIND, &asked, output)
}

async fn load<T: Resource>(api: &Api, namespace: &str, name: &str) -> Result<Box<T>, Status> {
    let objects = api
        .resources
        .objects(T::GROUP, T::PLURAL)
        .ok_or_else(Status::path_not_found)?;
    let found = objects.load(&objects.key(namespace, name)).await?;
    let object = found.and_then(|loaded| loaded.object.downcast::<T>().ok());
    object.ok_or_else(|| Status::not_found(&GroupResource::new(T::GROUP, T::PLURAL), name))
}

/// Fills what the request leaves to the server.
fn complete(asked: &mut TokenRequest, account: &ServiceAccount, api: &Api) -> Result<(), Status> {
    let metadata = &mut asked.metadata;
    if !metadata.uid.is_empty() && metadata.uid != account.metadata.uid {
        let resource = GroupResource::new(KIND.0, KIND.2);
        let why = format!(
            "the UID in the token request ({}) does not match the UID of the service account ({})",
            metadata.uid, account.metadata.uid
        );
        return Err(Status::conflict(&resource, &account.metadata.name, why));
    }
    if metadata.name.is_empty() {
        metadata.name.clone_from(&account.metadata.name);
    }
    metadata.uid.clone_from(&account.metadata.uid);
    metadata.creation_timestamp = Some(Time(api.clock.now()).truncated());
    asked.spec.expiration_seconds.get_or_insert(DEFAULT_SECONDS);
    asked.status = TokenRequestStatus::default();
    Ok(())
}

fn validate(asked: &TokenRequest) -> ErrorList {
    let path = Path::new("spec").child("expirationSeconds");
    let seconds = asked.spec.expiration_seconds.unwrap_or(DEFAULT_SECONDS);
    let mut errors = ErrorList::new();
    if seconds < MIN_SECONDS {
        errors.push(Error::invalid(
            &path,
            seconds,
            "may not specify a duration less than 10 minutes",
        ));
    }
    if seconds > MAX_SECONDS {
        errors.push(Error::invalid(
            &path,
            seconds,
            "may not specify a duration larger than 2^32 seconds",
        ));
    }
    errors
}

/// What a token's life depends on, beside the account.
#[derive(Default)]
struct Bound {
    pod: Option<Reference>,
    node: Option<Reference>,
    secret: Option<Reference>,
}

async fn bound_objects(
    api: &Api,
    asked: &TokenRequest,
    namespace: &str,
    account: &str,
) -> Result<Bound, Status> {
    let Some(reference) = &asked.spec.bound_object_ref else {
        return Ok(Bound::default());
    };
    let mut bound = Bound::default();
    let uid = match (reference.api_version.as_str(), reference.kind.as_str()) {
        ("" | "v1", "Pod") => {
            let pod: Box<Pod> = load(api, namespace, &reference.name).await?;
            if pod.spec.service_account_name != account {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
                )));
            }
            bound.node = node_of(api, &pod).await?;
            bound.pod.insert(reference_to(&*pod)).uid.clone()
        }
        ("" | "v1", "Node") => bound
            .node
            .insert(reference_to(&*load::<Node>(api, "", &reference.name).await?))
            .uid
            .clone(),
        ("" | "v1", "Secret") => bound
            .secret
            .insert(reference_to(
                &*load::<Secret>(api, namespace, &reference.name).await?,
            ))
            .uid
            .clone(),
        (api_version, kind) => {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    if !reference.uid.is_empty() && reference.uid != uid {
        let why = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted and then recreated",
            reference.uid
        );
        return Err(Status::conflict(
            &GroupResource::new("", &reference.kind),
            &reference.name,
            why,
        ));
    }
    Ok(bound)
}

/// The pod's node, by name alone if it is gone.
async fn node_of(api: &Api, pod: &Pod) -> Result<Option<Reference>, Status> {
    let name = &pod.spec.node_name;
    if name.is_empty() {
        return Ok(None);
    }
    match load::<Node>(api, "", name).await {
        Ok(node) => Ok(Some(reference_to(&*node))),
        Err(status) if status.is_not_found() => Ok(Some(Reference {
            name: name.clone(),
            uid: String::new(),
        })),
        Err(status) => Err(status),
    }
}

fn reference_to(object: &dyn api::Object) -> Reference {
    let metadata = object.metadata();
    Reference {
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
    }
}

impl TokenIssuer {
    /// Shortens a life beyond the server's limit; the warning says so.
    fn cap(&self, asked: &mut TokenRequest) -> Option<String> {
        let limit = i64::try_from(self.max_lifetime.as_secs()).unwrap_or(i64::MAX);
        let seconds = asked.spec.expiration_seconds.as_mut()?;
        if limit == 0 || *seconds <= limit {
            return None;
        }
        let warning = format!("requested expiration of {seconds} seconds shortened to {limit} seconds");
        *seconds = limit;
        Some(warning)
    }

    fn issue(
        &self,
        asked: &mut TokenRequest,
        account: &ServiceAccount,
        bound: Bound,
        api: &Api,
    ) -> Result<(), Status> {
        let now = api.clock.now();
        let seconds = asked.spec.expiration_seconds.unwrap_or(DEFAULT_SECONDS);
        let ours = asked
            .spec
            .audiences
            .iter()
            .all(|audience| self.audiences.contains(audience));
        let extended = self.extend && bound.pod.is_some() && seconds == EXTENDABLE_SECONDS && ours;
        let lifetime = Duration::from_secs(if extended { EXTENDED_SECONDS } else { seconds }.unsigned_abs());
        let audiences = asked.spec.audiences.clone();
        let mut claims = Claims::new(
            &account.metadata.namespace,
            reference_to(account),
            audiences,
            now,
            lifetime,
        );
        let asked_end = Time(now).plus(Duration::from_secs(seconds.unsigned_abs()));
        claims.warn_after = extended.then_some(asked_end.0);
        claims.pod = bound.pod;
        claims.node = bound.node;
        claims.secret = bound.secret;
        let token = self
            .signer
            .sign(&claims)
            .map_err(|error| Status::internal(format!("failed to generate token: {error}")))?;
        asked.status = TokenRequestStatus {
            token,
            expiration_timestamp: Some(asked_end.truncated()),
        };
        Ok(())
    }
}
