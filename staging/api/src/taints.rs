//! Taints and tolerations: which repel which.

use crate::core::v1::{Taint, Toleration};

/// Whether one toleration covers the taint: same effect (or any), same key (or any), and `Exists` or the same value.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let same_effect = toleration.effect.is_empty() || toleration.effect == taint.effect;
    let same_key = toleration.key.is_empty() || toleration.key == taint.key;
    same_effect
        && same_key
        && match toleration.operator.as_str() {
            "" | "Equal" => toleration.value == taint.value,
            "Exists" => true,
            _ => false,
        }
}

/// Whether any of the tolerations covers the taint.
pub fn tolerated(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_match_by_effect_key_and_value() {
        let taint = Taint {
            key: "k".into(),
            value: "v".into(),
            effect: "NoSchedule".into(),
            ..Taint::default()
        };
        let check = |key: &str, operator: &str, value: &str, effect: &str, expected: bool| {
            let toleration = Toleration {
                key: key.into(),
                operator: operator.into(),
                value: value.into(),
                effect: effect.into(),
                ..Toleration::default()
            };
            assert_eq!(tolerates(&toleration, &taint), expected, "{toleration:?}");
        };
        check("k", "Equal", "v", "NoSchedule", true);
        check("k", "", "v", "", true);
        check("k", "Equal", "w", "NoSchedule", false);
        check("k", "Exists", "", "NoExecute", false);
        check("", "Exists", "", "", true);
        check("other", "Exists", "", "", false);
    }
}
