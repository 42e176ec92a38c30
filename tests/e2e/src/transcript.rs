//! What a program writes while it runs.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::kubectl::eventually;
use crate::{Failure, Outcome};

/// Collects everything that is read, from a thread of its own that ends with the source.
pub struct Transcript {
    text: Arc<Mutex<String>>,
    /// What was expected before ends here.
    read_to: usize,
}

impl Transcript {
    pub fn of(mut source: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let collected = text.clone();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal whose other side is closed answers with an error, a pipe with nothing.
            while let Ok(length @ 1..) = source.read(&mut bytes) {
                if let Ok(mut text) = collected.lock() {
                    text.push_str(&String::from_utf8_lossy(&bytes[..length]));
                }
            }
        });
        Self { text, read_to: 0 }
    }

    pub fn text(&self) -> Result<String, Failure> {
        self.text
            .lock()
            .map(|text| text.clone())
            .map_err(|error| error.to_string())
    }

    /// Waits until `words` come after what was expected before.
    pub fn expect(&mut self, words: &str) -> Outcome {
        let from = self.read_to;
        self.read_to = eventually("output", || {
            let text = self.text()?;
            let rest = text.get(from..).unwrap_or_default();
            rest.find(words)
                .map(|at| from + at + words.len())
                .ok_or_else(|| format!("no {words:?} in what came last:\n{rest}"))
        })?;
        Ok(())
    }
}
