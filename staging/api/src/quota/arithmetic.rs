//! Sums of resource lists.

use super::ResourceList;

pub fn add(to: &mut ResourceList, other: &ResourceList) {
    for (name, quantity) in other {
        match to.get_mut(name) {
            Some(sum) => sum.add(quantity),
            None => drop(to.insert(name.clone(), quantity.clone())),
        }
    }
}

/// `of` minus `other`, never below zero; names of either.
pub fn subtract_to_zero(of: &ResourceList, other: &ResourceList) -> ResourceList {
    let mut result = of.clone();
    for (name, quantity) in other {
        let left = result.entry(name.clone()).or_default();
        left.sub(quantity);
        if left.sign() < 0 {
            *left = Default::default();
        }
    }
    result
}

pub fn without_zeros(list: ResourceList) -> ResourceList {
    list.into_iter()
        .filter(|(_, quantity)| !quantity.is_zero())
        .collect()
}

/// The entries of these names.
pub fn mask<'a>(list: &ResourceList, names: impl IntoIterator<Item = &'a String>) -> ResourceList {
    names
        .into_iter()
        .filter_map(|name| Some((name.clone(), list.get(name)?.clone())))
        .collect()
}

/// The names of what is below zero.
pub fn negative(list: &ResourceList) -> Vec<String> {
    list.iter()
        .filter(|(_, quantity)| quantity.sign() < 0)
        .map(|(name, _)| name.clone())
        .collect()
}

/// The names under which `used` is more than `hard` allows.
pub fn exceeded(used: &ResourceList, hard: &ResourceList) -> Vec<String> {
    let over = |(name, quantity): &(&String, _)| hard.get(*name).is_some_and(|limit| limit < *quantity);
    used.iter().filter(over).map(|(name, _)| name.clone()).collect()
}
