//! The Kubernetes API as descriptor tables, a codec and typed structs.
