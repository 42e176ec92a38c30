//! From a question to an answer: the zone, the cache, other servers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use component_base::clock::Clock;
use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::{DNSClass, LowerName, Name, Record, RecordType};
use tracing::{debug, error};

use crate::cache::{Cache, Key};
use crate::forward::Forwarder;
use crate::lookup::{Domain, Found, Lookup, authority, lookup};
use crate::message::{Request, Sections};
use crate::metrics::Metrics;
use crate::zone::Zone;

/// External names may lead to external names; more than this many is a circle.
const MAX_ALIASES: usize = 8;

pub struct Resolver {
    domain: Domain,
    zone: RwLock<Zone>,
    cache: Mutex<Cache>,
    forwarder: Forwarder,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    rotation: AtomicUsize,
    loop_guard: LoopGuard,
}

/// Finds out whether the servers that are asked ask us in turn: a name that nobody else knows goes out once at
/// start. If it comes in, every forwarded question would go round until the memory is full.
struct LoopGuard {
    name: LowerName,
    looping: AtomicBool,
}

/// What the zone and the aliases in it say.
enum Local {
    Answer(Sections),
    /// The rest has to be asked for: after these aliases, that name.
    Ask {
        aliases: Vec<Record>,
        name: Name,
    },
}

impl Resolver {
    pub fn new(
        domain: Domain,
        forwarder: Forwarder,
        metrics: Metrics,
        clock: Arc<dyn Clock>,
        loop_name: &Name,
    ) -> Self {
        Self {
            domain,
            zone: RwLock::default(),
            cache: Mutex::default(),
            forwarder,
            metrics,
            clock,
            rotation: AtomicUsize::new(0),
            loop_guard: LoopGuard {
                name: LowerName::new(loop_name),
                looping: AtomicBool::new(false),
            },
        }
    }

    /// Changes or reads the zone.
    pub fn update<T>(&self, change: impl FnOnce(&mut Zone) -> T) -> T {
        change(&mut self.zone.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn is_ready(&self) -> bool {
        self.zone
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_synced()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, if the zone has it: without waiting, which nearly all questions allow.
    pub fn answer_now(&self, request: &Request) -> Option<Vec<u8>> {
        let begin = self.clock.monotonic();
        self.count(request);
        match self.local(&request.question) {
            Local::Answer(sections) => Some(self.finish(request, sections, begin)),
            Local::Ask { .. } => None,
        }
    }

    /// The answer, asking other servers where needed.
    pub async fn answer(&self, request: &Request) -> Vec<u8> {
        let begin = self.clock.monotonic();
        let sections = match self.local(&request.question) {
            Local::Answer(sections) => sections,
            Local::Ask { aliases, name } => {
                let mut question = request.question.clone();
                question.set_name(name);
                let mut sections = self.ask(&question, request.dnssec_ok()).await;
                sections.answers.splice(0..0, aliases);
                sections
            }
        };
        self.finish(request, sections, begin)
    }

    fn count(&self, request: &Request) {
        let question = &request.question;
        let kind = question.query_type().to_string();
        self.metrics.request(
            self.zone_label(question.name()),
            request.transport.as_str(),
            &kind,
        );
    }

    fn finish(&self, request: &Request, sections: Sections, begin: std::time::Duration) -> Vec<u8> {
        let seconds = self.clock.monotonic().saturating_sub(begin).as_secs_f64();
        let code = if sections.code == ResponseCode::NoError {
            "NOERROR"
        } else {
            code_name(sections.code)
        };
        self.metrics
            .response(self.zone_label(request.question.name()), code, seconds);
        request.answer(sections)
    }

    /// Names are unbounded, so metrics only tell the cluster's zone from the rest.
    fn zone_label(&self, name: &Name) -> &'static str {
        if self.domain.name.zone_of(name) {
            "cluster"
        } else {
            "."
        }
    }

    /// Follows aliases as far as the zone goes.
    fn local(&self, question: &Query) -> Local {
        if question.query_class() != DNSClass::IN {
            return Local::Answer(Sections::failure(ResponseCode::Refused));
        }
        let zone = self.zone.read().unwrap_or_else(PoisonError::into_inner);
        let (mut name, mut aliases) = (question.name().clone(), Vec::new());
        for _ in 0..MAX_ALIASES {
            match lookup(&zone, &self.domain, &name, question.query_type()) {
                // A zone that isn't complete yet can't say that something doesn't exist.
                Lookup::NameError if !zone.is_synced() => {
                    return Local::Answer(Sections::failure(ResponseCode::ServFail));
                }
                Lookup::NameError => return Local::Answer(self.denial(ResponseCode::NXDomain, aliases)),
                Lookup::Found(found) => return Local::Answer(self.found(found, aliases)),
                Lookup::Outside => return Local::Ask { aliases, name },
                Lookup::Alias(alias) if question.query_type() == RecordType::CNAME => {
                    let found = Found {
                        answers: vec![alias.record],
                        additionals: Vec::new(),
                    };
                    return Local::Answer(self.found(found, aliases));
                }
                Lookup::Alias(alias) => {
                    aliases.push(alias.record);
                    name = alias.target;
                }
            }
        }
        Local::Answer(Sections::failure(ResponseCode::ServFail))
    }

    fn denial(&self, code: ResponseCode, aliases: Vec<Record>) -> Sections {
        Sections {
            code,
            authoritative: true,
            answers: aliases,
            authorities: authority(&self.domain).into_iter().collect(),
            additionals: Vec::new(),
        }
    }

    fn found(&self, mut found: Found, mut aliases: Vec<Record>) -> Sections {
        if found.answers.is_empty() {
            return self.denial(ResponseCode::NoError, aliases);
        }
        // Clients mostly take the first address: each answer begins with another.
        let turn = self.rotation.fetch_add(1, Ordering::Relaxed) % found.answers.len();
        found.answers.rotate_left(turn);
        aliases.append(&mut found.answers);
        Sections {
            code: ResponseCode::NoError,
            authoritative: true,
            answers: aliases,
            authorities: Vec::new(),
            additionals: found.additionals,
        }
    }

    async fn ask(&self, question: &Query, dnssec: bool) -> Sections {
        let key = Key {
            name: LowerName::new(question.name()),
            kind: question.query_type(),
            dnssec,
        };
        if key.name == self.loop_guard.name {
            self.note_loop();
            return Sections::failure(ResponseCode::NXDomain);
        }
        if self.loop_guard.looping.load(Ordering::Relaxed) {
            return Sections::failure(ResponseCode::ServFail);
        }
        if let Some(sections) = self.cache().get(&key, self.clock.monotonic()) {
            self.metrics.cache_hit(!sections.answers.is_empty());
            return sections;
        }
        self.metrics.cache_miss(self.cache().len());
        match self.forwarder.ask(question, dnssec).await {
            Ok(sections) => {
                self.cache().insert(key, &sections, self.clock.monotonic());
                sections
            }
            Err(problem) => {
                debug!(name = %question.name(), error = %problem, "no other server has an answer");
                self.metrics.forward_failure();
                Sections::failure(ResponseCode::ServFail)
            }
        }
    }

    fn note_loop(&self) {
        if !self.loop_guard.looping.swap(true, Ordering::Relaxed) {
            error!(servers = ?self.forwarder.servers(), "forwarded questions come back: forwarding stops");
        }
    }

    /// Sends the name out that must not come back.
    pub async fn probe_for_loop(&self) {
        let question = Query::query(Name::from(&self.loop_guard.name), RecordType::HINFO);
        if let Err(problem) = self.forwarder.ask(&question, false).await {
            debug!(error = %problem, "no answer to the loop probe");
        }
    }
}

fn code_name(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::Refused => "REFUSED",
        _ => "OTHER",
    }
}
