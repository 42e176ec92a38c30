//! Subresources that are not the object itself.

mod binding;
mod eviction;
mod scale;
mod token;

use std::sync::Arc;

use apimachinery::status::Status;

use crate::request::Request;
use crate::resource::Served;
use crate::response::Response;
use crate::state::Api;
use crate::{proxy, verbs};

pub use binding::bind_by_body;
pub use token::TokenIssuer;

/// Serves a request for a subresource.
pub async fn serve(api: &Arc<Api>, served: &Arc<Served>, request: &mut Request) -> Result<Response, Status> {
    let name = request.info.subresource.clone();
    match name.as_str() {
        "scale" => scale::serve(api, served, request).await,
        "binding" => binding::create(api, served, request).await,
        "eviction" => eviction::create(api, served, request).await,
        "token" => token::create(api, served, request).await,
        "log" | "exec" | "attach" | "portforward" | "proxy" => proxy::serve(api, served, request).await,
        // status, finalize, approval, resize, ephemeralcontainers: a part of the object, by the same paths.
        _ => verbs::serve(api, served, request).await,
    }
}
