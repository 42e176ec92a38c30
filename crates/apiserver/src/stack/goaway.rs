//! Sends a client to another server now and then: clients of HTTP/2 keep one connection for ever, and after a
//! restart all of them would stay with the servers that did not restart.

use futures_util::future::BoxFuture;
use http::Version;
use http::header::{CONNECTION, HeaderValue};

use super::{Filter, Next};
use crate::request::Request;
use crate::response::Response;

pub struct GoAway {
    /// The fraction of requests whose connection ends after the answer.
    pub chance: f64,
}

impl Filter for GoAway {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let leave = request.head.version == Version::HTTP_2 && self.draws();
            let mut response = next.run(request).await;
            if leave {
                close(&mut response);
            }
            response
        })
    }
}

impl GoAway {
    fn draws(&self) -> bool {
        // Random numbers cost a system call.
        if self.chance <= 0.0 {
            return false;
        }
        let random = uuid::Uuid::new_v4().as_u128() as u32;
        f64::from(random) / f64::from(u32::MAX) < self.chance
    }
}

/// Ends the connection after this answer and those that are under way.
pub fn close(response: &mut Response) {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}
