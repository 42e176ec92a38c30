//! Formats of names, labels, ports and addresses. Each check returns what is wrong, in upstream's words; an empty
//! list is a valid value.
//!
//! Hand-written instead of by regular expression: these run for every label of every write.
//! Upstream: `k8s.io/apimachinery/pkg/util/validation`, `pkg/api/validate/content` and `pkg/api/validation`.

mod address;
mod dns;
mod key;
mod message;
mod name;
mod number;
mod object_name;

pub use address::{
    canonical_ip, is_cidr, is_cidr_legacy, is_interface_address, is_ip, is_ip_legacy, masked,
    parse_cidr_sloppy, parse_ip_sloppy,
};
pub use dns::{
    is_dns1035_label, is_dns1123_label, is_dns1123_subdomain, is_dns1123_subdomain_with_underscore,
    is_fully_qualified_domain_name, is_fully_qualified_name, is_wildcard_dns1123_subdomain,
};
pub use key::{
    is_domain_prefixed_key, is_domain_prefixed_path, is_label_key, is_qualified_name, is_valid_label_value,
    is_valid_path_segment_name, is_valid_path_segment_prefix,
};
pub use message::{empty_error, inclusive_range_error, max_len_bytes_error, max_len_error, regex_error};
pub use name::{
    is_c_identifier, is_config_map_key, is_env_var_name, is_http_header_name, is_relaxed_env_var_name,
    is_valid_percent, is_valid_port_name,
};
pub use number::{is_decimal_integer, is_in_range, is_valid_group_id, is_valid_port_num, is_valid_user_id};
pub use object_name::{
    NameCheck, name_is_dns_label, name_is_dns_subdomain, name_is_dns1035_label, name_is_path_segment,
};

#[cfg(test)]
mod tests;
