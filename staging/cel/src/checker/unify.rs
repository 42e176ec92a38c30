//! Which types fit where, and what the variables in them stand for.

use std::collections::HashMap;
use std::sync::Arc;

use crate::types::Type;

/// What type variables stand for, found so far.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    bound: HashMap<Arc<str>, Type>,
    fresh: u32,
}

impl Bindings {
    pub fn fresh(&mut self) -> Type {
        self.fresh += 1;
        Type::param(&format!("_var{}", self.fresh - 1))
    }

    fn find(&self, of: &Type) -> Option<&Type> {
        match of {
            Type::Param(name) => self.bound.get(name),
            _ => None,
        }
    }

    fn bind(&mut self, variable: &Type, to: Type) {
        if let Type::Param(name) = variable {
            self.bound.insert(name.clone(), to);
        }
    }

    /// A type with its variables resolved; those that are free become `dyn` if asked for.
    pub fn resolve(&self, of: &Type, free_to_dyn: bool) -> Type {
        let held = |types: &[Type]| types.iter().map(|held| self.resolve(held, free_to_dyn)).collect();
        match of {
            Type::Param(name) => match self.bound.get(name) {
                Some(bound) => self.resolve(bound, free_to_dyn),
                None if free_to_dyn => Type::Dyn,
                None => of.clone(),
            },
            Type::List(element) => Type::list(self.resolve(element, free_to_dyn)),
            Type::Map(key, value) => {
                Type::map(self.resolve(key, free_to_dyn), self.resolve(value, free_to_dyn))
            }
            Type::Type(Some(of)) => Type::Type(Some(Arc::new(self.resolve(of, free_to_dyn)))),
            Type::Opaque(name, types) if !types.is_empty() => Type::Opaque(name, held(types)),
            _ => of.clone(),
        }
    }

    /// Whether all of `from` fit into `to`, one by one; what follows for variables is kept only if they do.
    pub fn assign_all(&mut self, from: &[Type], to: &[Type]) -> bool {
        let mut tried = self.clone();
        let fits = tried.fit_all(from, to);
        if fits {
            *self = tried;
        }
        fits
    }

    pub fn assign(&mut self, from: &Type, to: &Type) -> bool {
        self.assign_all(std::slice::from_ref(from), std::slice::from_ref(to))
    }

    fn fit_all(&mut self, from: &[Type], to: &[Type]) -> bool {
        from.len() == to.len() && from.iter().zip(to).all(|(from, to)| self.fit(from, to))
    }

    fn fit(&mut self, from: &Type, to: &Type) -> bool {
        if matches!(to, Type::Param(_)) {
            match self.substitute(from, to) {
                Substitution::Valid => return true,
                Substitution::Contradicts => return false,
                Substitution::Cyclic => {}
            }
        }
        if matches!(from, Type::Param(_)) {
            return matches!(self.substitute(to, from), Substitution::Valid);
        }
        if from.is_dyn_or_error() || to.is_dyn_or_error() {
            return true;
        }
        match (from, to) {
            (Type::Null, other) | (other, Type::Null) => is_nullable(other),
            (Type::Type(_), Type::Type(_)) => true,
            (Type::List(from), Type::List(to)) => self.fit(from, to),
            (Type::Map(key, value), Type::Map(to_key, to_value)) => {
                self.fit(key, to_key) && self.fit(value, to_value)
            }
            (Type::Opaque(name, held), Type::Opaque(other, to_held)) => {
                name == other && self.fit_all(held, to_held)
            }
            _ => from == to,
        }
    }

    /// Lets `variable` stand for `with`, or sees whether what it stands for fits.
    fn substitute(&mut self, with: &Type, variable: &Type) -> Substitution {
        if with == variable {
            return Substitution::Valid;
        }
        if let Some(bound) = self.find(variable).cloned() {
            if *with == bound {
                return Substitution::Valid;
            }
            if !self.fit(with, &bound) {
                return Substitution::Contradicts;
            }
            let general = most_general(with, &bound);
            if !self.occurs(variable, &general) {
                self.bind(variable, general);
            }
            return Substitution::Valid;
        }
        if self.occurs(variable, with) {
            return Substitution::Cyclic;
        }
        self.bind(variable, with.clone());
        Substitution::Valid
    }

    fn occurs(&self, variable: &Type, within: &Type) -> bool {
        if variable == within {
            return true;
        }
        match within {
            Type::Param(_) => self
                .find(within)
                .is_some_and(|bound| self.occurs(variable, bound)),
            Type::List(element) => self.occurs(variable, element),
            Type::Map(key, value) => self.occurs(variable, key) || self.occurs(variable, value),
            Type::Type(Some(of)) => self.occurs(variable, of),
            Type::Opaque(_, held) => held.iter().any(|held| self.occurs(variable, held)),
            _ => false,
        }
    }
}

enum Substitution {
    Valid,
    Contradicts,
    Cyclic,
}

fn is_nullable(of: &Type) -> bool {
    matches!(
        of,
        Type::Null | Type::Opaque(..) | Type::Object(_) | Type::Duration | Type::Timestamp
    )
}

/// The more general of two types that fit.
pub fn most_general(one: &Type, other: &Type) -> Type {
    if is_as_general(one, other) {
        one.clone()
    } else {
        other.clone()
    }
}

fn is_as_general(one: &Type, other: &Type) -> bool {
    match (one, other) {
        (Type::Dyn | Type::Param(_), _) => true,
        (_, Type::Dyn | Type::Param(_)) => false,
        (Type::List(one), Type::List(other)) => is_as_general(one, other),
        (Type::Map(key, value), Type::Map(other_key, other_value)) => {
            is_as_general(key, other_key) && is_as_general(value, other_value)
        }
        (Type::Opaque(name, held), Type::Opaque(other_name, other_held)) => {
            name == other_name
                && held.len() == other_held.len()
                && held
                    .iter()
                    .zip(other_held.iter())
                    .all(|(one, other)| is_as_general(one, other))
        }
        (Type::Type(_), Type::Type(_)) => true,
        _ => one == other,
    }
}
