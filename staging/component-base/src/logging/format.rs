//! The two line formats, as upstream's collectors expect them:
//! `I1122 12:33:45.123456    4711 server.go:93] "Serving" port=6443` and one JSON object a line.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Format;

pub(super) struct Klog {
    format: Format,
    process: u32,
}

impl Klog {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            process: std::process::id(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Klog
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let file = metadata.file().unwrap_or("unknown");
        let line = Line {
            now: Timestamp::now(),
            level: *metadata.level(),
            process: self.process,
            file: file.rsplit('/').next().unwrap_or(file),
            line: metadata.line().unwrap_or_default(),
            fields,
        };
        match self.format {
            Format::Text => line.text(&mut writer),
            Format::Json => line.json(&mut writer),
        }
    }
}

struct Line<'a> {
    now: Timestamp,
    level: Level,
    process: u32,
    file: &'a str,
    line: u32,
    fields: Fields,
}

impl Line<'_> {
    fn text(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let letter = match self.level {
            Level::ERROR => 'E',
            Level::WARN => 'W',
            _ => 'I',
        };
        let time = self.now.strftime("%m%d %H:%M:%S%.6f");
        write!(
            writer,
            "{letter}{time} {:7} {}:{}] {:?}",
            self.process, self.file, self.line, self.fields.message
        )?;
        for (name, value) in &self.fields.fields {
            match value {
                Value::String(text) => write!(writer, " {name}={text:?}")?,
                other => write!(writer, " {name}={other}")?,
            }
        }
        writeln!(writer)
    }

    fn json(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let mut object = Map::new();
        object.insert(
            "ts".to_owned(),
            Value::from(self.now.as_microsecond() as f64 / 1000.0),
        );
        object.insert(
            "caller".to_owned(),
            Value::from(format!("{}:{}", self.file, self.line)),
        );
        object.insert("msg".to_owned(), Value::from(self.fields.message.as_str()));
        match self.level {
            Level::ERROR | Level::WARN => {}
            Level::INFO => drop(object.insert("v".to_owned(), Value::from(0))),
            Level::DEBUG => drop(object.insert("v".to_owned(), Value::from(4))),
            Level::TRACE => drop(object.insert("v".to_owned(), Value::from(6))),
        }
        object.extend(self.fields.fields.iter().cloned());
        writeln!(writer, "{}", Value::Object(object))
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    fields: Vec<(String, Value)>,
}

impl Fields {
    fn push(&mut self, field: &Field, value: Value) {
        self.fields.push((field.name().to_owned(), value));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string does not fail.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.push(field, Value::from(format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.push(field, Value::from(value));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, Value::from(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(format: Format) -> String {
        let fields = Fields {
            message: "Bound \"x\"".to_owned(),
            fields: vec![
                ("pod".to_owned(), Value::from("ns/a")),
                ("attempt".to_owned(), Value::from(3)),
            ],
        };
        let now = Timestamp::from_microsecond(1_000_001).unwrap();
        let line = Line {
            now,
            level: Level::INFO,
            process: 42,
            file: "bind.rs",
            line: 7,
            fields,
        };
        let mut text = String::new();
        match format {
            Format::Text => line.text(&mut Writer::new(&mut text)).unwrap(),
            Format::Json => line.json(&mut Writer::new(&mut text)).unwrap(),
        }
        text
    }

    #[test]
    fn text_is_klogs() {
        let expected =
            "I0101 00:00:01.000001      42 bind.rs:7] \"Bound \\\"x\\\"\" pod=\"ns/a\" attempt=3\n";
        assert_eq!(render(Format::Text), expected);
    }

    #[test]
    fn json_is_one_object_a_line() {
        let value: Value = serde_json::from_str(&render(Format::Json)).unwrap();
        assert_eq!(value["msg"], "Bound \"x\"");
        assert_eq!(value["attempt"], 3);
        assert_eq!(value["ts"], 1000.001);
    }
}
