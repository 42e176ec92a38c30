//! Many seeds on one site: a line each, and what was found.

use std::path::PathBuf;

use crate::Error;
use crate::run::{Figures, Report, run};
use crate::schedule::Schedule;
use crate::site::{Settings, Site};

/// The outcome of a row of seeds.
#[derive(Debug, Default)]
pub struct Summary {
    pub runs: u64,
    pub figures: Figures,
    /// Seeds with violations.
    pub failed: Vec<u64>,
}

/// Runs the seeds; what fails is written to a file beside its seed. `None` if the store is not installed.
pub async fn run_all(
    settings: &Settings,
    schedules: impl Iterator<Item = Schedule>,
    is_verbose: bool,
) -> Result<Option<Summary>, Error> {
    let Some(site) = Site::start(settings).await? else {
        return Ok(None);
    };
    let mut summary = Summary::default();
    for schedule in schedules {
        let seed = schedule.seed;
        let report = match run(&site, schedule).await {
            Ok(report) => report,
            Err(error) => {
                let log = site.log(0).await;
                return Err(Error::Found(format!(
                    "seed {seed}: {error}; the server's log:\n{log}"
                )));
            }
        };
        let verdict = if report.violations.is_empty() {
            "ok"
        } else {
            "VIOLATIONS"
        };
        if is_verbose || !report.violations.is_empty() {
            println!(
                "{} seed {seed}: {verdict}: {}",
                settings.backend.name(),
                report.figures
            );
        }
        if !report.violations.is_empty() {
            summary.failed.push(seed);
            println!("{}", tell(&report, settings)?);
        }
        summary.runs += 1;
        summary.figures.add(report.figures);
    }
    Ok(Some(summary))
}

fn tell(report: &Report, settings: &Settings) -> Result<String, Error> {
    let name = format!("history-{}-{}.txt", settings.backend.name(), report.seed);
    let path: PathBuf = std::env::temp_dir().join(name);
    let mut text: String = report
        .violations
        .iter()
        .map(|violation| format!("{violation}\n"))
        .collect();
    let shown = text.clone();
    text.push_str(&format!("{:#?}\n", report.history));
    std::fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
    Ok(format!("{shown}the history: {}", path.display()))
}
