//! Test support: builders, fake clock, a whole control plane in one process.
