//! Generic API server: stack, request, catalogue, verbs, write path, responses, discovery.

pub mod strategy;
