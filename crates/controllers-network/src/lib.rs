//! Controllers of the network.
//!
//! In reading order: [`service_pods`] says which pods a service selects and how they appear behind it;
//! [`endpoint_slice`] writes EndpointSlices and [`endpoints`] the older Endpoints; [`endpoint_slice_mirroring`] makes
//! slices of Endpoints that users write; [`node_ipam`] gives each node its
//! range of pod addresses;
//! [`service_cidr`] watches over the ranges of service addresses.
//!
//! Each controller is observe (informer stores), plan (pure) and execute (requests). This crate must not know the
//! controller-manager that starts them, nor how proxies use what it writes.
//!
//! Upstream: staging/src/k8s.io/endpointslice, pkg/controller/{endpointslice,endpointslicemirroring,endpoint,nodeipam,
//! servicecidrs}

pub mod endpoint_slice;
pub mod endpoint_slice_mirroring;
pub mod endpoints;
pub mod node_ipam;
pub mod service_cidr;
pub mod service_pods;
