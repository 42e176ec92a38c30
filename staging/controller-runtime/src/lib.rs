//! Reflector, store, informer, work queue, leader election, event recorder.
