//! ServiceAccounts.

use api::core::v1::{ObjectReference, ServiceAccount};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{MetadataChecks, Rules};
use crate::table;

const ENFORCE_MOUNTABLE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

/// ServiceAccounts. Of the secrets that one lists, only the names count.
pub struct ServiceAccounts;

impl Rules for ServiceAccounts {
    type Object = ServiceAccount;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;

    fn prepare_create(_cx: &Context<'_>, account: &mut ServiceAccount) {
        keep_names(account);
    }

    fn prepare_update(_cx: &Context<'_>, account: &mut ServiceAccount, _old: &ServiceAccount) {
        keep_names(account);
    }

    fn warnings(account: &ServiceAccount, old: Option<&ServiceAccount>) -> Vec<String> {
        let marked = |account: &ServiceAccount| {
            account
                .metadata
                .annotations
                .contains_key(ENFORCE_MOUNTABLE_SECRETS)
        };
        if !marked(account) || old.is_some_and(marked) {
            return Vec::new();
        }
        vec![format!(
            "metadata.annotations[{ENFORCE_MOUNTABLE_SECRETS}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        )]
    }

    fn row(account: &ServiceAccount, now: Timestamp) -> Vec<Value> {
        table::name_and_age(&account.metadata, now)
    }
}

fn keep_names(account: &mut ServiceAccount) {
    for secret in &mut account.secrets {
        *secret = ObjectReference {
            name: std::mem::take(&mut secret.name),
            ..ObjectReference::default()
        };
    }
}
