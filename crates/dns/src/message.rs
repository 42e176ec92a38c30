//! Answers as bytes.

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

/// Largest UDP answer without fragments on the way (DNS flag day 2020).
pub const EDNS_PAYLOAD: u16 = 1232;
/// Largest UDP answer to a client that doesn't know EDNS.
const PLAIN_PAYLOAD: u16 = 512;

/// How a query came: decides how long an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

/// A query that can be answered.
#[derive(Clone, Debug)]
pub struct Request {
    pub metadata: Metadata,
    pub question: Query,
    pub edns: Option<Edns>,
    pub transport: Transport,
}

/// What becomes of a datagram.
#[derive(Debug)]
pub enum Parsed {
    Request(Box<Request>),
    /// An answer that says why there is none.
    Refusal(Vec<u8>),
    /// Not a query at all; an answer could start an echo between two servers.
    Noise,
}

/// Reads a query.
pub fn parse(bytes: &[u8], transport: Transport) -> Parsed {
    let Ok(message) = Message::from_vec(bytes) else {
        return malformed(bytes);
    };
    let Message {
        metadata,
        mut queries,
        edns,
        ..
    } = message;
    if metadata.message_type != MessageType::Query {
        return Parsed::Noise;
    }
    let question = queries.pop();
    let refusal = match (&question, &edns) {
        (_, Some(edns)) if edns.version() != 0 => Some(ResponseCode::BADVERS),
        _ if metadata.op_code != OpCode::Query => Some(ResponseCode::NotImp),
        (Some(_), _) if queries.is_empty() => None,
        _ => Some(ResponseCode::FormErr),
    };
    match (question, refusal) {
        (Some(question), None) => Parsed::Request(Box::new(Request {
            metadata,
            question,
            edns,
            transport,
        })),
        (question, code) => {
            let mut answer = Message::response(metadata.id, metadata.op_code);
            answer.metadata = Metadata::response_from_request(&metadata);
            answer.metadata.response_code = code.unwrap_or(ResponseCode::FormErr);
            answer.add_queries(question);
            if edns.is_some() {
                answer.set_edns(own_edns());
            }
            answer.to_vec().map_or(Parsed::Noise, Parsed::Refusal)
        }
    }
}

/// Bytes that are no message get an answer if they at least begin like a query.
fn malformed(bytes: &[u8]) -> Parsed {
    match bytes {
        [a, b, flags, ..] if bytes.len() >= 12 && flags & 0x80 == 0 => {
            let answer =
                Message::error_msg(u16::from_be_bytes([*a, *b]), OpCode::Query, ResponseCode::FormErr);
            answer.to_vec().map_or(Parsed::Noise, Parsed::Refusal)
        }
        _ => Parsed::Noise,
    }
}

/// The sections of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sections {
    pub code: ResponseCode,
    pub authoritative: bool,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
}

impl Sections {
    pub fn failure(code: ResponseCode) -> Self {
        Self {
            code,
            ..Self::default()
        }
    }
}

fn own_edns() -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(EDNS_PAYLOAD).set_version(0);
    edns
}

impl Request {
    pub fn dnssec_ok(&self) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok)
    }

    fn max_payload(&self) -> u16 {
        match (self.transport, &self.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, Some(edns)) => edns.max_payload().clamp(PLAIN_PAYLOAD, EDNS_PAYLOAD),
            (Transport::Udp, None) => PLAIN_PAYLOAD,
        }
    }

    /// The answer's bytes; records that don't fit are left out and the truncation flag says so.
    pub fn answer(&self, sections: Sections) -> Vec<u8> {
        let mut message = Message::response(self.metadata.id, self.metadata.op_code);
        message.metadata = Metadata::response_from_request(&self.metadata);
        message.metadata.recursion_available = true;
        message.metadata.authoritative = sections.authoritative;
        message.metadata.response_code = sections.code;
        message.add_query(self.question.clone());
        message.answers = sections.answers;
        message.authorities = sections.authorities;
        message.additionals = sections.additionals;
        if self.edns.is_some() {
            let mut edns = own_edns();
            edns.set_dnssec_ok(self.dnssec_ok());
            message.set_edns(edns);
        }
        self.encode(&message)
    }

    fn encode(&self, message: &Message) -> Vec<u8> {
        let limit = self.max_payload();
        if let Some(whole) = encode(message, limit) {
            return whole;
        }
        // Additional records are a courtesy: an answer without them is complete.
        let mut shorter = message.clone();
        shorter.additionals.clear();
        encode(&shorter, limit).unwrap_or_else(|| truncated(&shorter, limit))
    }
}

/// As many answers as fit: some clients never ask again over TCP and use what they get.
fn truncated(message: &Message, limit: u16) -> Vec<u8> {
    let first = |count: usize| {
        let mut part = message.truncate();
        part.answers = message.answers.iter().take(count).cloned().collect();
        encode(&part, limit)
    };
    let (mut fits, mut too_many) = (0, message.answers.len());
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        if first(middle).is_some() {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    first(fits).unwrap_or_default()
}

/// `None` when it doesn't fit.
fn encode(message: &Message, limit: u16) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::from(PLAIN_PAYLOAD));
    let mut encoder = BinEncoder::new(&mut bytes);
    message.emit(&mut encoder).ok()?;
    (bytes.len() <= usize::from(limit)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{Name, RData, RecordType};
    use proptest::prelude::*;

    use super::*;

    fn request(edns: Option<u16>, transport: Transport) -> Request {
        let mut query = Message::query();
        query.add_query(Query::query(
            Name::from_ascii("Db.ns.svc.cluster.local.").unwrap(),
            RecordType::A,
        ));
        if let Some(payload) = edns {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            query.set_edns(edns);
        }
        match parse(&query.to_vec().unwrap(), transport) {
            Parsed::Request(request) => *request,
            other => panic!("{other:?}"),
        }
    }

    fn sections(count: u8) -> Sections {
        let name = Name::from_ascii("Db.ns.svc.cluster.local.").unwrap();
        let record = |i| Record::from_rdata(name.clone(), 30, RData::A(A::new(10, 0, 0, i)));
        Sections {
            answers: (0..count).map(record).collect(),
            ..Sections::default()
        }
    }

    #[test]
    fn an_answer_fits_what_the_client_takes() {
        let shape = |edns, transport, count| {
            let bytes = request(edns, transport).answer(sections(count));
            let message = Message::from_vec(&bytes).unwrap();
            (
                message.answers.len(),
                message.metadata.truncation,
                message.edns.is_some(),
            )
        };
        assert_eq!(shape(None, Transport::Udp, 10), (10, false, false));
        assert_eq!(shape(None, Transport::Udp, 60), (29, true, false));
        assert_eq!(shape(Some(4096), Transport::Udp, 60), (60, false, true));
        assert_eq!(shape(Some(4096), Transport::Udp, 100), (73, true, true));
        assert_eq!(shape(None, Transport::Tcp, 200), (200, false, false));
    }

    #[test]
    fn the_case_of_the_question_is_kept() {
        let bytes = request(None, Transport::Udp).answer(sections(1));
        let message = Message::from_vec(&bytes).unwrap();
        assert_eq!(message.queries[0].name().to_ascii(), "Db.ns.svc.cluster.local.");
    }

    #[test]
    fn what_cannot_be_answered_is_refused_or_ignored() {
        let mut update = Message::new(7, MessageType::Query, OpCode::Update);
        update.add_query(Query::query(Name::root(), RecordType::SOA));
        let code = |bytes: &[u8]| match parse(bytes, Transport::Udp) {
            Parsed::Refusal(bytes) => Some(Message::from_vec(&bytes).unwrap().metadata.response_code),
            _ => None,
        };
        assert_eq!(code(&update.to_vec().unwrap()), Some(ResponseCode::NotImp));
        assert_eq!(
            code(&Message::query().to_vec().unwrap()),
            Some(ResponseCode::FormErr)
        );
        assert_eq!(
            code(&[0, 7, 1, 0, 0, 9, 0, 0, 0, 0, 0, 0]),
            Some(ResponseCode::FormErr)
        );
        assert!(matches!(
            parse(
                &Message::response(1, OpCode::Query).to_vec().unwrap(),
                Transport::Udp
            ),
            Parsed::Noise
        ));
        assert!(matches!(parse(b"short", Transport::Udp), Parsed::Noise));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Parsed::Request(request) = parse(&bytes, Transport::Udp) {
                request.answer(sections(3));
            }
        }
    }
}
