//! Roles and their bindings.

use api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use apimachinery::validation::name_is_path_segment;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Roles.
pub struct Roles;

impl Rules for Roles {
    type Object = Role;
    const CREATE_ON_UPDATE: bool = true;

    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_path_segment(name, prefix)
    }

    fn row(object: &Role, _now: Timestamp) -> Vec<Value> {
        table::name_and_creation(&object.metadata)
    }
}

/// ClusterRoles.
pub struct ClusterRoles;

impl Rules for ClusterRoles {
    type Object = ClusterRole;
    const CREATE_ON_UPDATE: bool = true;

    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_path_segment(name, prefix)
    }

    fn row(object: &ClusterRole, _now: Timestamp) -> Vec<Value> {
        table::name_and_creation(&object.metadata)
    }
}

/// RoleBindings.
pub struct RoleBindings;

impl Rules for RoleBindings {
    type Object = RoleBinding;
    const CREATE_ON_UPDATE: bool = true;

    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_path_segment(name, prefix)
    }

    fn row(object: &RoleBinding, now: Timestamp) -> Vec<Value> {
        table::cluster::binding(&object.metadata, &object.role_ref, &object.subjects, now)
    }
}

/// ClusterRoleBindings.
pub struct ClusterRoleBindings;

impl Rules for ClusterRoleBindings {
    type Object = ClusterRoleBinding;
    const CREATE_ON_UPDATE: bool = true;

    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_path_segment(name, prefix)
    }

    fn row(object: &ClusterRoleBinding, now: Timestamp) -> Vec<Value> {
        table::cluster::binding(&object.metadata, &object.role_ref, &object.subjects, now)
    }
}
