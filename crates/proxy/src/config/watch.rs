//! Noticing that the configuration file changed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use component_base::clock::Clock;

/// How often the file is looked at. Reading a few hundred bytes costs less than following the links by which
/// kubelet swaps the files of a ConfigMap.
const PERIOD: Duration = Duration::from_secs(5);

/// A file and what it contained.
#[derive(Clone, Debug)]
pub struct Watched {
    path: PathBuf,
    content: String,
}

impl Watched {
    pub fn new(path: PathBuf) -> Result<Self, component_base::config::Error> {
        let content = component_base::config::read(&path)?;
        Ok(Self { path, content })
    }

    /// Completes when the content is another. A file that can't be read, perhaps just now, is no other content.
    pub async fn changed(&self, clock: Arc<dyn Clock>) {
        loop {
            clock.sleep(PERIOD).await;
            if component_base::config::read(&self.path).is_ok_and(|content| content != self.content) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use component_base::clock::FakeClock;

    use super::*;

    #[tokio::test]
    async fn another_content_is_noticed() {
        let path = std::env::temp_dir().join(format!("proxy-config-{}", std::process::id()));
        std::fs::write(&path, "mode: iptables").unwrap();
        let watched = Watched::new(path.clone()).unwrap();
        let clock = FakeClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let task = tokio::spawn({
            let clock = clock.clone();
            async move { watched.changed(clock).await }
        });
        let pass = async || {
            tokio::task::yield_now().await;
            clock.advance(PERIOD);
            tokio::task::yield_now().await;
        };
        pass().await;
        std::fs::remove_file(&path).unwrap();
        pass().await;
        assert!(
            !task.is_finished(),
            "neither the same content nor a missing file is a change"
        );
        std::fs::write(&path, "mode: nftables").unwrap();
        pass().await;
        task.await.unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
