//! Frees disk space from images that nothing uses. Upstream: `images/image_gc_manager.go`.

use super::plan::{self, ImageUse};
use crate::{config::Config, events::Events, node::machine::Disk};
use component_base::clock::Clock;
use cri_api::{Error, Runtime, v1};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

pub struct ImageGc {
    runtime: Arc<dyn Runtime>,
    clock: Arc<dyn Clock>,
    events: Events,
    config: Arc<Config>,
    image_dir: PathBuf,
    known: BTreeMap<String, ImageUse>,
}

impl ImageGc {
    pub fn new(
        runtime: Arc<dyn Runtime>,
        clock: Arc<dyn Clock>,
        events: Events,
        config: Arc<Config>,
        image_dir: PathBuf,
    ) -> Self {
        Self {
            runtime,
            clock,
            events,
            config,
            image_dir,
            known: BTreeMap::new(),
        }
    }

    /// Notes which images there are and which are used.
    async fn observe(&mut self) -> Result<BTreeSet<String>, Error> {
        let images = self
            .runtime
            .list_images(v1::ListImagesRequest::default())
            .await?
            .images;
        let containers = self
            .runtime
            .list_containers(v1::ListContainersRequest::default())
            .await?
            .containers;
        let now = self.clock.monotonic();
        let mut in_use = BTreeSet::new();
        for container in &containers {
            in_use.insert(container.image_ref.clone());
            in_use.extend(container.image.iter().map(|image| image.image.clone()));
            in_use.insert(container.image_id.clone());
        }
        let listed: BTreeSet<&str> = images.iter().map(|image| image.id.as_str()).collect();
        self.known.retain(|id, _| listed.contains(id.as_str()));
        let mut used_ids = BTreeSet::new();
        for image in &images {
            let names = image
                .repo_tags
                .iter()
                .chain(&image.repo_digests)
                .chain(std::iter::once(&image.id));
            let used = names.into_iter().any(|name| in_use.contains(name));
            let entry = self.known.entry(image.id.clone()).or_insert_with(|| ImageUse {
                id: image.id.clone(),
                bytes: image.size,
                first_seen: now,
                last_used: now,
                pinned: image.pinned,
            });
            entry.pinned = image.pinned;
            if used {
                entry.last_used = now;
                used_ids.insert(image.id.clone());
            }
        }
        Ok(used_ids)
    }

    /// One round: removes images only while the disk is fuller than it should be.
    pub async fn collect(&mut self) -> Result<(), Error> {
        let in_use = self.observe().await?;
        let disk = match Disk::of(&self.image_dir) {
            Ok(disk) => disk,
            Err(error) => {
                tracing::warn!(path = %self.image_dir.display(), %error, "cannot measure the image file system");
                return Ok(());
            }
        };
        let (high, low) = (
            self.config.image_gc_high_threshold_percent,
            self.config.image_gc_low_threshold_percent,
        );
        let Some(bytes) = plan::bytes_to_free(disk.total_bytes, disk.available_bytes, high, low) else {
            return Ok(());
        };
        let freed = self.free(&in_use, bytes, self.config.image_minimum_gc_age).await;
        if freed < bytes {
            let words = format!(
                "Failed to garbage collect required amount of images. Attempted to free {bytes} bytes, but only found \
                 {freed} bytes eligible to free."
            );
            self.events.node_warning("FreeDiskSpaceFailed", words);
        }
        Ok(())
    }

    /// Removes every image that nothing uses, however young.
    pub async fn collect_all(&mut self) -> Result<(), Error> {
        let in_use = self.observe().await?;
        let freed = self.free(&in_use, u64::MAX, Duration::ZERO).await;
        tracing::info!(freed, "removed all unused images");
        Ok(())
    }

    /// Removes unused images until so much is freed; gives how much was.
    async fn free(&mut self, in_use: &BTreeSet<String>, bytes: u64, min_age: Duration) -> u64 {
        let known: Vec<ImageUse> = self.known.values().cloned().collect();
        let remove = plan::images(&known, in_use, bytes, min_age, self.clock.monotonic());
        let mut freed = 0;
        for id in remove {
            let spec = v1::ImageSpec {
                image: id.clone(),
                ..v1::ImageSpec::default()
            };
            match self
                .runtime
                .remove_image(v1::RemoveImageRequest { image: Some(spec) })
                .await
            {
                Ok(_) => freed += self.known.remove(&id).map_or(0, |image| image.bytes),
                Err(error) => tracing::warn!(image = id, %error, "cannot remove image"),
            }
        }
        freed
    }
}
