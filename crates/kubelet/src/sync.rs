//! One pass over one pod: look, decide, act.
//!
//! - [`plan`] decides, purely: which sandbox and containers to kill, create and start. The rules are upstream's
//!   `computePodActions`.
//! - [`init_plan`] is the part of it about init containers and sidecars.
//! - [`back_off`] keeps how long a crashing container waits.
//! - [`execute`] carries a plan out against the runtime; [`start`] starts one container, [`kill`] ends them.
//! - [`resize`] changes containers that run.
//! - [`termination_order`] holds sidecars back until the containers that they serve have ended.
//!
//! Observing is `runtime::inspect`; what comes out of a pass is turned into a pod's status by `status`.

pub mod back_off;
pub mod execute;
mod init_plan;
pub mod kill;
pub mod plan;
mod resize;
pub mod start;
pub mod termination_order;
