//! Who may have which names: within a group each resource and each kind is named once, and who came first keeps it.
//!
//! Pure. Upstream: `apiextensions-apiserver/pkg/controller/{status/naming,establish}`.

use std::collections::BTreeSet;

use api::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition as Condition,
    CustomResourceDefinitionNames as Names,
};
use apimachinery::quote::quote;

use crate::conditions::{ESTABLISHED, NAMES_ACCEPTED, condition, find, is_same};

/// What a definition's status should say.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub accepted: Names,
    pub names: Condition,
    pub established: Condition,
}

/// What each of the definitions should say, in their order; `None`: it does.
pub fn decide(definitions: &[&CustomResourceDefinition]) -> Vec<Option<Decision>> {
    let mut accepted: Vec<(&str, Names)> = definitions
        .iter()
        .map(|definition| {
            (
                definition.spec.group.as_str(),
                definition.status.accepted_names.clone(),
            )
        })
        .collect();
    let mut decisions = Vec::with_capacity(definitions.len());
    for (index, definition) in definitions.iter().enumerate() {
        let decision = decide_one(definition, &Taken::in_group(&definition.spec.group, &accepted));
        if let Some(decision) = &decision {
            accepted[index].1.clone_from(&decision.accepted);
        }
        decisions.push(decision);
    }
    decisions
}

/// Names that somebody has.
struct Taken<'a> {
    resources: BTreeSet<&'a str>,
    kinds: BTreeSet<&'a str>,
}

impl<'a> Taken<'a> {
    fn in_group(group: &str, accepted: &'a [(&str, Names)]) -> Taken<'a> {
        let mut taken = Taken {
            resources: BTreeSet::new(),
            kinds: BTreeSet::new(),
        };
        for (_, names) in accepted.iter().filter(|(of, _)| *of == group) {
            taken
                .resources
                .extend([names.plural.as_str(), names.singular.as_str()]);
            taken
                .resources
                .extend(names.short_names.iter().map(String::as_str));
            taken
                .kinds
                .extend([names.kind.as_str(), names.list_kind.as_str()]);
        }
        taken
    }
}

fn decide_one(definition: &CustomResourceDefinition, taken: &Taken<'_>) -> Option<Decision> {
    let (accepted, names) = judge(definition, taken);
    let established = established(definition, names.status == "True");
    let is = |new: &Condition| find(definition, &new.type_).is_some_and(|known| is_same(known, new));
    let stands = accepted == definition.status.accepted_names && is(&names) && is(&established);
    (!stands).then_some(Decision {
        accepted,
        names,
        established,
    })
}

/// The names that a definition gets, and whether these are all that it wants. The last conflict is the one that is told.
fn judge(definition: &CustomResourceDefinition, taken: &Taken<'_>) -> (Names, Condition) {
    let (wanted, has) = (&definition.spec.names, &definition.status.accepted_names);
    let mut accepted = has.clone();
    let mut conflict = None;
    let fresh = |wanted: &str, has: &str, taken: &BTreeSet<&str>| wanted == has || !taken.contains(wanted);
    let in_use = |name: &str| format!("{} is already in use", quote(name));
    let mut settle = |wanted: &str, has: &mut String, taken: &BTreeSet<&str>, reason: &'static str| {
        if fresh(wanted, has, taken) {
            wanted.clone_into(has);
        } else {
            conflict = Some((reason, in_use(wanted)));
        }
    };
    settle(
        &wanted.plural,
        &mut accepted.plural,
        &taken.resources,
        "PluralConflict",
    );
    settle(
        &wanted.singular,
        &mut accepted.singular,
        &taken.resources,
        "SingularConflict",
    );
    if wanted.short_names != has.short_names {
        let new = wanted
            .short_names
            .iter()
            .filter(|name| !has.short_names.contains(name));
        let mut conflicts: Vec<String> = new
            .filter(|name| taken.resources.contains(name.as_str()))
            .map(|name| in_use(name))
            .collect();
        conflicts.dedup();
        match conflicts.as_slice() {
            [] => accepted.short_names.clone_from(&wanted.short_names),
            [one] => conflict = Some(("ShortNamesConflict", one.clone())),
            several => conflict = Some(("ShortNamesConflict", format!("[{}]", several.join(", ")))),
        }
    }
    let mut settle = |wanted: &str, has: &mut String, taken: &BTreeSet<&str>, reason: &'static str| {
        if fresh(wanted, has, taken) {
            wanted.clone_into(has);
        } else {
            conflict = Some((reason, in_use(wanted)));
        }
    };
    settle(&wanted.kind, &mut accepted.kind, &taken.kinds, "KindConflict");
    settle(
        &wanted.list_kind,
        &mut accepted.list_kind,
        &taken.kinds,
        "ListKindConflict",
    );
    accepted.categories.clone_from(&wanted.categories);
    let condition = match conflict {
        None => condition(NAMES_ACCEPTED, true, "NoConflicts", "no conflicts found"),
        Some((reason, message)) => condition(NAMES_ACCEPTED, false, reason, &message),
    };
    (accepted, condition)
}

/// Once established, a definition stays so.
fn established(definition: &CustomResourceDefinition, names_accepted: bool) -> Condition {
    match find(definition, ESTABLISHED) {
        Some(known) if known.status == "True" => known.clone(),
        _ if names_accepted => condition(
            ESTABLISHED,
            true,
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ),
        Some(known) => known.clone(),
        None => condition(ESTABLISHED, false, "NotAccepted", "not all names are accepted"),
    }
}

#[cfg(test)]
mod tests;
