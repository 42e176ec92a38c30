//! The range of node ports: one object in the store, with a bit for each port.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::Message;
use api::codec::TypeMeta;
use api::codec::envelope;
use api::core::v1::RangeAllocation;
use bytes::Bytes;
use storage::{Expect, KeyValue, Store, Write};

use super::node_ports::{HealthCheck, Plan};

const KEY: &[u8] = b"/registry/ranges/servicenodeports";
const TYPE: TypeMeta<'static> = TypeMeta {
    api_version: "v1",
    kind: "RangeAllocation",
};

/// Why ports were not allotted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `index` of the service's ports, where one was asked for there.
    #[error("provided port is already allocated")]
    Taken { index: Option<usize>, port: i32 },
    #[error("provided port is not in the valid range. The range of valid ports is {range}")]
    OutOfRange {
        index: Option<usize>,
        port: i32,
        range: String,
    },
    #[error("range is full")]
    Full,
    #[error("the provided port range does not match the current port range")]
    OtherRange,
    #[error("the range of node ports can't be read")]
    Malformed,
    #[error(transparent)]
    Store(#[from] storage::Error),
}

/// The ports from which nodes forward to services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    pub first: u16,
    pub count: u16,
}

impl PortRange {
    /// Whether the port is one of the range.
    pub fn contains(self, port: i32) -> bool {
        self.offset(port).is_some()
    }

    fn offset(self, port: i32) -> Option<usize> {
        let offset = usize::try_from(port.checked_sub(i32::from(self.first))?).ok()?;
        (offset < usize::from(self.count)).then_some(offset)
    }

    fn port(self, offset: usize) -> i32 {
        i32::from(self.first) + i32::try_from(offset).unwrap_or(0)
    }

    /// How many of the first ports are left to those who ask for one by number, as long as there are others.
    fn reserved(self) -> usize {
        let size = usize::from(self.count);
        if size < 16 { 0 } else { (size / 32).clamp(16, 128) }
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}-{}",
            self.first,
            u32::from(self.first) + u32::from(self.count) - 1
        )
    }
}

/// One bit for each port of the range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bitmap(Vec<u64>);

impl Bitmap {
    pub(super) fn new(size: usize) -> Bitmap {
        Bitmap(vec![0; size.div_ceil(64)])
    }

    /// Reads the bytes of a big-endian number, which is how upstream keeps its bits.
    pub(super) fn from_bytes(size: usize, bytes: &[u8]) -> Bitmap {
        let mut bitmap = Bitmap::new(size);
        for (index, byte) in bytes.iter().rev().enumerate() {
            if let Some(word) = bitmap.0.get_mut(index / 8) {
                *word |= u64::from(*byte) << (index % 8 * 8);
            }
        }
        bitmap
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let bytes: Vec<u8> = self.0.iter().rev().flat_map(|word| word.to_be_bytes()).collect();
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        bytes[zeros..].to_vec()
    }

    pub(super) fn has(&self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    pub(super) fn set(&mut self, index: usize, on: bool) {
        if let Some(word) = self.0.get_mut(index / 64) {
            let bit = 1 << (index % 64);
            *word = if on { *word | bit } else { *word & !bit };
        }
    }

    /// A free bit: from a random place in the upper part on, then in the lower one.
    fn free(&self, range: PortRange, random: u64) -> Option<usize> {
        let (size, reserved) = (usize::from(range.count), range.reserved());
        let search = |from: usize, to: usize| {
            let count = to.checked_sub(from).filter(|&count| count > 0)?;
            let start = usize::try_from(random % count as u64).unwrap_or(0);
            (0..count)
                .map(|step| from + (start + step) % count)
                .find(|&index| !self.has(index))
        };
        search(reserved, size).or_else(|| search(0, reserved))
    }
}

/// What was allotted: for each [`super::node_ports::Pick`] its port, and the port for health checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allotted {
    pub picked: Vec<i32>,
    pub health_check: Option<i32>,
    /// All ports that are newly taken.
    pub taken: Vec<i32>,
}

/// The ports that were recorded as taken when they were read.
pub struct Recorded {
    standing: Option<Arc<KeyValue>>,
    pub ports: BTreeSet<i32>,
}

/// The node ports of a cluster.
pub struct NodePorts {
    store: Arc<dyn Store>,
    range: PortRange,
}

impl NodePorts {
    pub fn new(store: Arc<dyn Store>, range: PortRange) -> NodePorts {
        NodePorts { store, range }
    }

    /// Takes all ports that the plan reserves and picks, or none. A dry run takes none, and does not ask whether those
    /// that are named are of the range.
    pub async fn allot(&self, plan: &Plan, dry_run: bool) -> Result<Allotted, Error> {
        if plan.reserve.is_empty() && plan.pick.is_empty() && plan.health_check.is_none() {
            return Ok(Allotted::default());
        }
        loop {
            let (standing, mut bitmap) = self.load().await?;
            let allotted = apply(plan, &mut bitmap, self.range, dry_run)?;
            if dry_run || self.save(standing.as_deref(), &bitmap).await? {
                return Ok(allotted);
            }
        }
    }

    /// Gives ports back. Ports out of the range belong to an earlier range and are left alone.
    pub async fn release(&self, ports: &[i32]) -> Result<(), Error> {
        let offsets: Vec<usize> = ports.iter().filter_map(|&port| self.range.offset(port)).collect();
        if offsets.is_empty() {
            return Ok(());
        }
        loop {
            let (standing, mut bitmap) = self.load().await?;
            offsets.iter().for_each(|&offset| bitmap.set(offset, false));
            if self.save(standing.as_deref(), &bitmap).await? {
                return Ok(());
            }
        }
    }

    /// The ports that are recorded as taken; a record of another range holds none of this one's.
    pub async fn recorded(&self) -> Result<Recorded, Error> {
        let (_, standing) = self.store.get(KEY, None).await?;
        let bitmap = match standing.as_deref().map(|standing| self.read(standing)) {
            None | Some(Err(Error::OtherRange)) => Bitmap::new(usize::from(self.range.count)),
            Some(read) => read?,
        };
        let taken = (0..usize::from(self.range.count)).filter(|&offset| bitmap.has(offset));
        let ports = taken.map(|offset| self.range.port(offset)).collect();
        Ok(Recorded { standing, ports })
    }

    /// Records exactly these ports as taken; `false` if anybody wrote since `before` was read.
    pub async fn rewrite(&self, before: &Recorded, ports: &BTreeSet<i32>) -> Result<bool, Error> {
        let mut bitmap = Bitmap::new(usize::from(self.range.count));
        let offsets = ports.iter().filter_map(|&port| self.range.offset(port));
        offsets.for_each(|offset| bitmap.set(offset, true));
        self.save(before.standing.as_deref(), &bitmap).await
    }

    async fn load(&self) -> Result<(Option<Arc<KeyValue>>, Bitmap), Error> {
        let (_, found) = self.store.get(KEY, None).await?;
        let Some(standing) = found else {
            return Ok((None, Bitmap::new(usize::from(self.range.count))));
        };
        let bitmap = self.read(&standing)?;
        Ok((Some(standing), bitmap))
    }

    fn read(&self, standing: &KeyValue) -> Result<Bitmap, Error> {
        let value = standing.value.bytes();
        let raw = envelope::unwrap(&value).map_err(|_| Error::Malformed)?;
        let object = RangeAllocation::decode(raw.raw).map_err(|_| Error::Malformed)?;
        if !object.range.is_empty() && object.range != self.range.to_string() {
            return Err(Error::OtherRange);
        }
        Ok(Bitmap::from_bytes(usize::from(self.range.count), &object.data))
    }

    /// Whether nobody else wrote in between.
    async fn save(&self, standing: Option<&KeyValue>, bitmap: &Bitmap) -> Result<bool, Error> {
        let object = RangeAllocation {
            range: self.range.to_string(),
            data: bitmap.to_bytes(),
            ..RangeAllocation::default()
        };
        let value = Bytes::from(envelope::wrap(TYPE, &object.encode_to_vec()));
        let expect = standing.map_or(Expect::Absent, |standing| {
            Expect::Unchanged(standing.mod_revision)
        });
        match self
            .store
            .commit(KEY, expect, Write::Put { value, ttl: None })
            .await
        {
            Ok(_) => Ok(true),
            Err(storage::Error::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn apply(plan: &Plan, bitmap: &mut Bitmap, range: PortRange, dry_run: bool) -> Result<Allotted, Error> {
    let mut allotted = Allotted::default();
    let mut take = |bitmap: &mut Bitmap, index: Option<usize>, port: i32| {
        let offset = range.offset(port);
        if offset.is_none() && !dry_run {
            return Err(Error::OutOfRange {
                index,
                port,
                range: range.to_string(),
            });
        }
        let is_taken = offset.map_or_else(|| allotted.taken.contains(&port), |offset| bitmap.has(offset));
        if is_taken {
            return Err(Error::Taken { index, port });
        }
        if let Some(offset) = offset {
            bitmap.set(offset, true);
        }
        allotted.taken.push(port);
        Ok(())
    };
    for wanted in &plan.reserve {
        take(bitmap, Some(wanted.index), wanted.port)?;
    }
    let pick = |bitmap: &Bitmap| {
        let random = uuid::Uuid::new_v4().as_u64_pair().1;
        bitmap
            .free(range, random)
            .map(|offset| range.port(offset))
            .ok_or(Error::Full)
    };
    let mut picked = Vec::with_capacity(plan.pick.len());
    for _ in &plan.pick {
        let port = pick(bitmap)?;
        take(bitmap, None, port)?;
        picked.push(port);
    }
    let mut health_check = None;
    if let Some(wanted) = plan.health_check {
        let port = match wanted {
            HealthCheck::Named(port) => port,
            HealthCheck::Any => pick(bitmap)?,
        };
        take(bitmap, None, port)?;
        health_check = Some(port);
    }
    allotted.picked = picked;
    allotted.health_check = health_check;
    Ok(allotted)
}
