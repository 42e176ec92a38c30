//! Controllers that keep pods running.
//!
//! In reading order: [`pods`] is what they share; [`replica_set`] keeps a number of pods (and [`replica_set::kinds`]
//! the same for replication controllers); [`deployment`] rolls replica sets; [`revisions`] is the history that
//! [`daemon_set`], which keeps a pod on each node, and [`stateful_set`], whose pods have names and volumes of their own,
//! roll by; [`job`] runs pods to their end, [`cron_job`] starts jobs by the clock, and [`finished_jobs`] deletes what has long ended;
//! [`pod_autoscaler`] sets the number of pods of whatever can be scaled, by metrics.
//!
//! Each controller is observe (informer stores), plan (pure) and execute (requests). This crate must not know the
//! controller-manager that starts them, nor any other component.
//!
//! Upstream: pkg/controller/{replicaset,replication,deployment,daemon,statefulset,history,
//! job,cronjob,ttlafterfinished,podautoscaler}

pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod finished_jobs;
pub mod job;
pub mod pod_autoscaler;
pub mod pods;
pub mod replica_set;
pub mod revisions;
pub mod stateful_set;
