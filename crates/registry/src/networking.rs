//! Ingresses, policies, and the address space of services.

pub mod ingress;
pub mod ip_address;
pub mod network_policy;
