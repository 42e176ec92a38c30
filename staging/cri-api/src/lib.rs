//! Messages and client of the container runtime interface v1.
