//! `/healthz`, `/livez` and `/readyz`: named checks, each reachable alone, excludable from the whole.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use crate::serving::{self, Response};

/// One check. It must answer at once: what takes time is done elsewhere and its outcome kept.
pub trait Check: Send + Sync {
    fn name(&self) -> &str;
    /// The reason of a failure goes to the log only: the endpoint may be public.
    fn check(&self) -> Result<(), String>;
}

/// A check made of a function.
struct FunctionCheck<F> {
    name: String,
    function: F,
}

impl<F: Fn() -> Result<(), String> + Send + Sync> Check for FunctionCheck<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self) -> Result<(), String> {
        (self.function)()
    }
}

/// A check that fails until something has happened once, such as a post-start hook.
#[derive(Clone, Debug, Default)]
pub struct Latch {
    done: Arc<AtomicBool>,
}

impl Latch {
    pub fn open(&self) {
        self.done.store(true, Ordering::Release);
    }

    pub fn is_open(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}

/// The checks behind one endpoint, in the order in which they are reported.
#[derive(Clone, Default)]
pub struct Checks {
    endpoint: String,
    checks: Vec<Arc<dyn Check>>,
}

/// What an endpoint answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub body: String,
}

impl Checks {
    /// `endpoint` without the slash: `readyz`.
    pub fn new(endpoint: &str) -> Self {
        let mut checks = Self {
            endpoint: endpoint.to_owned(),
            checks: Vec::new(),
        };
        checks.add("ping", || Ok(()));
        checks
    }

    pub fn add(
        &mut self,
        name: &str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> &mut Self {
        self.push(Arc::new(FunctionCheck {
            name: name.to_owned(),
            function: check,
        }))
    }

    /// Fails until the latch is opened.
    pub fn add_latch(&mut self, name: &str, latch: &Latch) -> &mut Self {
        let latch = latch.clone();
        self.add(name, move || {
            if latch.is_open() {
                Ok(())
            } else {
                Err("not finished".to_owned())
            }
        })
    }

    pub fn push(&mut self, check: Arc<dyn Check>) -> &mut Self {
        self.checks.push(check);
        self
    }

    /// Answers a request for this endpoint (`/readyz`, `/readyz/name`); `None` if the path is not one of
    /// its own.
    pub fn answer(&self, path: &str, query: Option<&str>) -> Option<Answer> {
        let rest = path.strip_prefix('/')?.strip_prefix(self.endpoint.as_str())?;
        match rest.strip_prefix('/') {
            None if rest.is_empty() => Some(self.whole(query.unwrap_or_default())),
            Some(name) => self
                .checks
                .iter()
                .find(|check| check.name() == name)
                .map(|check| self.single(check.as_ref())),
            None => None,
        }
    }

    /// As [`Checks::answer`], as an HTTP response.
    pub fn respond(&self, path: &str, query: Option<&str>) -> Option<Response> {
        self.answer(path, query).map(|answer| {
            let mut response = serving::body::text(answer.status, answer.body);
            let headers = response.headers_mut();
            if path.matches('/').count() == 1 {
                headers.insert(
                    "x-content-type-options",
                    http::HeaderValue::from_static("nosniff"),
                );
            }
            headers.insert(
                "cache-control",
                http::HeaderValue::from_static("no-cache, private"),
            );
            response
        })
    }

    fn whole(&self, query: &str) -> Answer {
        let mut excluded = excluded(query);
        let mut report = String::new();
        let mut failed = Vec::new();
        for check in &self.checks {
            let name = check.name();
            if let Some(index) = excluded.iter().position(|(excluded, _)| excluded == name) {
                excluded[index].1 = true;
                line(&mut report, format_args!("[+]{name} excluded: ok"));
            } else if let Err(reason) = check.check() {
                failed.push(format!("{name}: {reason}"));
                line(&mut report, format_args!("[-]{name} failed: reason withheld"));
            } else {
                line(&mut report, format_args!("[+]{name} ok"));
            }
        }
        let mut unknown: Vec<_> = excluded
            .iter()
            .filter(|(_, used)| !used)
            .map(|(name, _)| format!("{name:?}"))
            .collect();
        if !unknown.is_empty() {
            unknown.sort();
            let names = unknown.join(",");
            line(
                &mut report,
                format_args!("warn: some health checks cannot be excluded: no matches for {names}"),
            );
        }
        let endpoint = &self.endpoint;
        if !failed.is_empty() {
            tracing::info!(endpoint = %endpoint, failed = %failed.join(", "), "health check failed");
            line(&mut report, format_args!("{endpoint} check failed"));
            return Answer {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                body: report,
            };
        }
        if !has_parameter(query, "verbose") {
            return Answer {
                status: StatusCode::OK,
                body: "ok".to_owned(),
            };
        }
        line(&mut report, format_args!("{endpoint} check passed"));
        Answer {
            status: StatusCode::OK,
            body: report,
        }
    }

    fn single(&self, check: &dyn Check) -> Answer {
        match check.check() {
            Ok(()) => Answer {
                status: StatusCode::OK,
                body: "ok".to_owned(),
            },
            Err(reason) => Answer {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                body: format!("internal server error: {reason}\n"),
            },
        }
    }
}

fn line(report: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(report, "{text}");
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn has_parameter(query: &str, name: &str) -> bool {
    parameters(query).any(|(parameter, _)| parameter == name)
}

/// The names to leave out, each with whether a check bears it.
fn excluded(query: &str) -> Vec<(String, bool)> {
    let decoded = |value: &str| value.replace("%2F", "/").replace("%2f", "/");
    parameters(query)
        .filter(|(name, _)| *name == "exclude")
        .map(|(_, value)| (decoded(value), false))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(latch: &Latch) -> Checks {
        let mut checks = Checks::new("readyz");
        checks
            .add("log", || Ok(()))
            .add_latch("poststarthook/rbac", latch);
        checks
    }

    fn check(open: bool, path: &str, query: &str, status: u16, body: &str) {
        let latch = Latch::default();
        if open {
            latch.open();
        }
        let answer = checks(&latch).answer(path, Some(query)).unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (status, body));
    }

    #[test]
    fn the_whole_and_its_parts() {
        check(true, "/readyz", "", 200, "ok");
        check(
            true,
            "/readyz",
            "verbose",
            200,
            "[+]ping ok\n[+]log ok\n[+]poststarthook/rbac ok\nreadyz check passed\n",
        );
        check(true, "/readyz/poststarthook/rbac", "", 200, "ok");
        assert!(checks(&Latch::default()).answer("/readyz/none", None).is_none());
        assert!(checks(&Latch::default()).answer("/readyzz", None).is_none());
    }

    #[test]
    fn a_failure_is_named_and_its_reason_withheld() {
        check(
            false,
            "/readyz",
            "",
            500,
            "[+]ping ok\n[+]log ok\n[-]poststarthook/rbac failed: reason withheld\nreadyz check failed\n",
        );
        check(false, "/readyz", "exclude=poststarthook%2Frbac", 200, "ok");
        check(
            true,
            "/readyz",
            "verbose&exclude=none",
            200,
            "[+]ping ok\n[+]log ok\n[+]poststarthook/rbac ok\nwarn: some health checks cannot be excluded: no matches for \"none\"\nreadyz check passed\n",
        );
    }
}
