//! Frees what the node holds for nobody: now and then, and at once when it runs short.

use super::{containers::ContainerGc, images::ImageGc};
use crate::{pod, pod_table::PodTable, settings::Settings, worker::Pool};
use component_base::clock::Clock;
use cri_api::{Error, Runtime};
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;

pub struct Reclaimer {
    pub runtime: Arc<dyn Runtime>,
    pub clock: Arc<dyn Clock>,
    pub pool: Arc<Pool>,
    pub pods: Arc<PodTable>,
    pub settings: Arc<Settings>,
    pub images: Mutex<ImageGc>,
}

/// Whose containers may go entirely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Of pods that nobody knows any more.
    Gone,
    /// Of pods that have ended, too.
    Ended,
}

impl Reclaimer {
    pub async fn containers(&self, of: Of) -> Result<(), Error> {
        let has_ended = |uid: &str| {
            let spec = self.pods.get(uid);
            spec.is_some_and(|spec| pod::is_terminal(&spec.status.phase))
        };
        let is_gone = |uid: &str| {
            let unknown = !self.pods.contains(uid) && !self.pool.holds(uid);
            unknown || (of == Of::Ended && !self.pool.holds(uid) && has_ended(uid))
        };
        let now = Duration::from_nanos(u64::try_from(self.clock.now().as_nanosecond()).unwrap_or(0));
        let gc = ContainerGc {
            runtime: self.runtime.clone(),
        };
        gc.collect(&self.settings.pod_logs, is_gone, now).await
    }

    /// Removes images while the disk is fuller than it should be.
    pub async fn images(&self) -> Result<(), Error> {
        self.images.lock().await.collect().await
    }

    /// Removes every image that nothing uses.
    pub async fn all_unused_images(&self) -> Result<(), Error> {
        self.images.lock().await.collect_all().await
    }
}
