//! What controllers are made of: caches fed by watches, queues of keys, workers, one leader, and events.
//!
//! In reading order: [`key`] names an object; [`backoff`] spaces retries; [`causes`] prints errors; [`watcher`] is the list-and-watch
//! machine; [`store`] the indexed cache; [`informer`] drives a watcher into a store and tells handlers, and
//! [`informers`] shares them within a process;
//! [`work_queue`] holds the keys that handlers add and [`driver`] the workers that take them out;
//! [`generations`] is a bounded map; [`expectations`] and [`ownership`] are for controllers that create and adopt children;
//! [`leader_election`] lets one replica of a daemon act; [`event_recorder`] tells users what happened; [`context`]
//! is all of that as a controller gets it.
//!
//! This crate must not know any particular controller or kind, and starts nothing on its own.
//!
//! Upstream: client-go/tools/{cache,leaderelection,record}, client-go/util/workqueue,
//! pkg/controller/controller_{utils,ref_manager}.go

pub mod backoff;
pub mod causes;
pub mod context;
pub mod driver;
pub mod event_recorder;
pub mod expectations;
pub mod generations;
pub mod informer;
pub mod informers;
pub mod key;
pub mod leader_election;
pub mod ownership;
pub mod store;
pub mod watcher;
pub mod work_queue;

pub use context::Context;
pub use event_recorder::Recorder;
pub use informer::{Event, Informer};
pub use informers::Informers;
pub use key::ObjectKey;
pub use store::Store;
pub use work_queue::WorkQueue;
