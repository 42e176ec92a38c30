//! `bench-ratios OURS UPSTREAM`: the lines of two servers, made by the same runs, as a table with ratios.
//!
//! Lines are put together by their label; of several (one a round) the medians count.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;

use serde_json::Value;

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("takes two files with the lines of bench")]
    Usage,
    #[error("{0}")]
    Read(String, #[source] std::io::Error),
    #[error("{0} holds a line that is no JSON")]
    Line(String, #[source] serde_json::Error),
}

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let table = match files.as_slice() {
        [ours, theirs] => read(ours).and_then(|ours| Ok(table(&ours, &read(theirs)?))),
        _ => Err(Error::Usage),
    };
    match table {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            eprintln!("bench-ratios: {error}{}", cause.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// The measurements of one row, a round each.
#[derive(Default)]
struct Row {
    /// Where the label came first.
    place: usize,
    rounds: Vec<Value>,
}

type Rows = BTreeMap<String, Row>;

fn read(file: &str) -> Result<Rows, Error> {
    let text = fs::read_to_string(file).map_err(|error| Error::Read(file.to_owned(), error))?;
    let mut rows = Rows::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let value: Value = serde_json::from_str(line).map_err(|error| Error::Line(file.to_owned(), error))?;
        let label = value["label"].as_str().unwrap_or_default().to_owned();
        let place = rows.len();
        let row = rows.entry(label).or_insert_with(|| Row {
            place,
            ..Row::default()
        });
        row.rounds.push(value);
    }
    Ok(rows)
}

impl Row {
    fn median(&self, of: impl Fn(&Value) -> f64) -> f64 {
        let mut numbers: Vec<f64> = self.rounds.iter().map(of).collect();
        numbers.sort_by(f64::total_cmp);
        match numbers.as_slice() {
            [] => 0.0,
            numbers if numbers.len() % 2 == 1 => numbers[numbers.len() / 2],
            numbers => (numbers[numbers.len() / 2 - 1] + numbers[numbers.len() / 2]) / 2.0,
        }
    }

    fn figure(&self, name: &str) -> f64 {
        self.median(|line| line[name].as_f64().unwrap_or_default())
    }

    /// Of all processes of a server together.
    fn of_processes(&self, name: &str) -> f64 {
        self.median(|line| {
            let processes = line["processes"].as_object();
            let numbers = processes.into_iter().flat_map(|all| all.values());
            numbers.filter_map(|process| process[name].as_f64()).sum()
        })
    }

    fn processor_us_per_operation(&self) -> f64 {
        self.of_processes("cpu_seconds") * 1e6 / self.figure("operations").max(1.0)
    }
}

/// Ours before theirs in each column, and how many times better ours is.
fn table(ours: &Rows, theirs: &Rows) -> String {
    let mut labels: Vec<(&String, &Row)> = ours.iter().collect();
    labels.sort_by_key(|(_, row)| row.place);
    let mut out = String::from(
        "| run | a second | ratio | MiB/s | p50, ms | p99, ms | CPU, µs each | ratio | peak RSS, MB | ratio | errors |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (label, our) in labels {
        let Some(their) = theirs.get(label) else { continue };
        let pair = |name: &str| both(our.figure(name), their.figure(name));
        let (our_cpu, their_cpu) = (
            our.processor_us_per_operation(),
            their.processor_us_per_operation(),
        );
        let peak = |row: &Row| row.of_processes("peak_rss_kb") / 1024.0;
        // Writing to a string cannot fail.
        _ = writeln!(
            out,
            "| {label} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            pair("per_second"),
            ratio(our.figure("per_second"), their.figure("per_second")),
            pair("mib_per_second"),
            pair("p50_ms"),
            pair("p99_ms"),
            both(our_cpu, their_cpu),
            ratio(their_cpu, our_cpu),
            both(peak(our), peak(their)),
            ratio(peak(their), peak(our)),
            pair("errors"),
        );
    }
    out
}

fn both(our: f64, their: f64) -> String {
    format!("{} / {}", short(our), short(their))
}

fn ratio(more: f64, less: f64) -> String {
    if less > 0.0 {
        format!("**{}**", short(more / less))
    } else {
        "–".to_owned()
    }
}

/// Three digits are more than such numbers are worth.
fn short(number: f64) -> String {
    match number {
        _ if number == 0.0 => "0".to_owned(),
        _ if number.abs() >= 100.0 => format!("{number:.0}"),
        _ if number.abs() >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rates: &[f64]) -> Rows {
        let line = |rate: &f64| {
            serde_json::json!({
                "label": "get", "operations": 10, "per_second": rate, "p99_ms": 2.5,
                "processes": {"a": {"cpu_seconds": 0.001, "peak_rss_kb": 1024}, "b": {"cpu_seconds": 0.001, "peak_rss_kb": 1024}}
            })
        };
        let row = Row {
            place: 0,
            rounds: rates.iter().map(line).collect(),
        };
        Rows::from([("get".to_owned(), row)])
    }

    #[test]
    fn medians_are_compared_and_processes_added_up() {
        let table = table(&rows(&[300.0, 100.0, 200.0]), &rows(&[10.0, 30.0]));
        assert_eq!(
            table.lines().last(),
            Some(
                "| get | 200 / 20.0 | **10.0** | 0 / 0 | 0 / 0 | 2.50 / 2.50 | 200 / 200 | **1.00** | 2.00 / 2.00 | **1.00** | 0 / 0 |"
            )
        );
    }
}
