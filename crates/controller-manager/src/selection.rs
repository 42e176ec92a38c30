//! Which controllers `--controllers` asks for. Pure.
//!
//! Upstream: cmd/kube-controller-manager/app/controllermanager.go (IsControllerEnabled)

/// The names of a controller and whether `*` includes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Names {
    pub name: &'static str,
    /// The short name of releases before 1.28.
    pub alias: &'static str,
    pub by_default: bool,
}

impl Names {
    fn matches(&self, text: &str) -> bool {
        text == self.name || text == self.alias
    }
}

/// The value of the flag.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection(Vec<String>);

impl Selection {
    pub fn new(entries: &[String]) -> Self {
        Selection(
            entries
                .iter()
                .map(|entry| entry.trim().to_owned())
                .filter(|entry| !entry.is_empty())
                .collect(),
        )
    }

    /// A controller named is on, one named after a dash is off; the others as the star says.
    pub fn enables(&self, names: &Names) -> bool {
        let mut star = false;
        for entry in &self.0 {
            if names.matches(entry) {
                return true;
            }
            if entry.strip_prefix('-').is_some_and(|entry| names.matches(entry)) {
                return false;
            }
            star |= entry == "*";
        }
        star && names.by_default
    }

    /// Whether a name is asked for by itself.
    pub fn names(&self, name: &str) -> bool {
        self.0.iter().any(|entry| entry == name)
    }

    /// The entries that name nothing known.
    pub fn unknown<'a>(&'a self, known: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .map(|entry| entry.strip_prefix('-').unwrap_or(entry))
            .filter(|entry| *entry != "*" && !known.contains(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Names = Names {
        name: "namespace-controller",
        alias: "namespace",
        by_default: true,
    };
    const OPTIONAL: Names = Names {
        name: "token-cleaner-controller",
        alias: "tokencleaner",
        by_default: false,
    };

    fn check(flag: &str, expected: (bool, bool)) {
        let entries: Vec<String> = flag.split(',').map(str::to_owned).collect();
        let selection = Selection::new(&entries);
        assert_eq!(
            (selection.enables(&PLAIN), selection.enables(&OPTIONAL)),
            expected,
            "{flag}"
        );
    }

    #[test]
    fn selection() {
        check("*", (true, false));
        check("*,tokencleaner", (true, true));
        check("*,-namespace", (false, false));
        check("*,-namespace-controller,token-cleaner-controller", (false, true));
        check("tokencleaner", (false, true));
        check("", (false, false));
    }

    #[test]
    fn unknown_names_are_told() {
        let selection = Selection::new(&["*".into(), "-nonsense".into(), "namespace".into()]);
        let unknown: Vec<&str> = selection.unknown(&["namespace"]).collect();
        assert_eq!(unknown, ["nonsense"]);
    }
}
