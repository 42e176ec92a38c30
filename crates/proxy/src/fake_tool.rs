//! Stands in for the packet filter's tools in tests: notes what it is told, and fails while it should.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::command::Runner;

pub struct FakeTool {
    folder: TempDir,
}

impl FakeTool {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Runs nothing: `sh` notes the words and the input, and prints the file `output` if there is one.
    pub fn runner(&self) -> Runner {
        let folder = self.folder.path().display();
        let script = format!(
            "echo \"$@\" >>{folder}/calls; cat >>{folder}/input; cat {folder}/output 2>/dev/null; \
             test ! -e {folder}/failing"
        );
        Runner::prefixed(&["sh", "-c", &script, "fake"])
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What was written to standard input since the last look.
    pub fn take_input(&self) -> String {
        self.take("input")
    }

    /// The command lines since the last look.
    pub fn take_calls(&self) -> Vec<String> {
        self.take("calls").lines().map(str::to_owned).collect()
    }

    fn take(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.file(name)).unwrap_or_default();
        let _ = std::fs::remove_file(self.file(name));
        text
    }

    pub fn fail(&self, failing: bool) {
        if failing {
            std::fs::write(self.file("failing"), "").unwrap();
        } else {
            std::fs::remove_file(self.file("failing")).unwrap();
        }
    }

    pub fn print(&self, output: &str) {
        std::fs::write(self.file("output"), output).unwrap();
    }
}
