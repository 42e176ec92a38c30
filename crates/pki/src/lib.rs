//! Certificates, signing requests and service-account tokens.
