//! Controllers of the network.
//!
//! In reading order: [`service_pods`] says which pods a service selects and how they appear behind it;
//! [`endpoint_slice`] writes EndpointSlices and [`endpoints`] the older Endpoints; [`node_ipam`] gives each node its
//! range of pod addresses.
//!
//! Each controller is observe (informer stores), plan (pure) and execute (requests). This crate must not know the
//! controller-manager that starts them, nor how proxies use what it writes.
//!
//! Upstream: staging/src/k8s.io/endpointslice, pkg/controller/{endpointslice,endpoint,nodeipam}

pub mod endpoint_slice;
pub mod endpoints;
pub mod node_ipam;
pub mod service_pods;
