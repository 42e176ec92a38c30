//! What upstream's daemons accept, as tables: a daemon of ours takes the flags and gates it knows from its
//! own options, and accepts the rest of upstream's without acting on them.

pub mod flags;
mod gates;

pub use gates::GATES;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FeatureGates;
    use crate::options::{FlagSet, Invocation};

    #[test]
    fn a_daemon_accepts_upstreams_flags() {
        let mut set = FlagSet::new("kube-apiserver", "Serves the API.");
        set.int("secure-port", 6443, "Port").known(flags::KUBE_APISERVER);
        let arguments = [
            "--audit-log-maxage=3",
            "--allow-privileged",
            "--oidc-required-claim=a=b",
            "--secure-port",
            "1",
        ];
        let Invocation::Run(values) = set.parse(arguments).unwrap() else {
            panic!("printed")
        };
        assert_eq!(values.int("secure-port"), 1);
        assert_eq!(values.ignored().len(), 3);
    }

    #[test]
    fn gates_have_distinct_names_and_alpha_is_off() {
        assert_eq!(FeatureGates::new(GATES).iter().count(), GATES.len());
        assert!(
            GATES
                .iter()
                .all(|gate| gate.stage != crate::features::Stage::Alpha || !gate.default)
        );
    }
}
