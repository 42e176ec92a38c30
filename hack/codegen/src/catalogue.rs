//! `api/resources.txt` and `api/kinds.txt`, read back.

use crate::Result;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[derive(Default)]
pub struct Catalogue {
    pub groups: Vec<Group>,
    pub resources: Vec<Resource>,
    pub kinds: Vec<Kind>,
}

pub struct Group {
    pub name: String,
    pub versions: Vec<String>,
}

#[derive(Default)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub kind: String,
    pub namespaced: bool,
    /// `singular`, `short`, `categories`, `verbs`, `storage`.
    pub facts: BTreeMap<String, String>,
    pub subresources: Vec<Subresource>,
    pub columns: Vec<Column>,
}

pub struct Subresource {
    pub name: String,
    pub group: String,
    pub version: String,
    pub kind: String,
    pub verbs: Vec<String>,
}

pub struct Column {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub priority: u32,
}

pub struct Kind {
    pub group: String,
    pub version: String,
    pub kind: String,
    /// `core/v1`
    pub package: String,
    pub type_name: String,
}

impl Catalogue {
    pub fn read(directory: &Path) -> Result<Self> {
        let mut catalogue = Self::default();
        for line in fs::read_to_string(directory.join("resources.txt"))?.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            catalogue
                .line(&words)
                .map_err(|e| format!("resources.txt: {line:?}: {e}"))?;
        }
        for file in ["kinds.txt", "kinds-extra.txt"] {
            for line in fs::read_to_string(directory.join(file))?.lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                if let [group, version, kind, full] = words.as_slice() {
                    catalogue.kinds.extend(Kind::new(group, version, kind, full));
                }
            }
        }
        Ok(catalogue)
    }

    fn line(&mut self, words: &[&str]) -> Result<()> {
        let mut last = self.resources.last_mut();
        match words {
            [] | ["#", ..] => {}
            ["group", name, versions @ ..] => self.groups.push(Group {
                name: group(name),
                versions: versions.iter().map(|v| (*v).to_owned()).collect(),
            }),
            ["resource", name, version, plural, kind, scope, facts @ ..] => self.resources.push(Resource {
                group: group(name),
                version: (*version).to_owned(),
                plural: (*plural).to_owned(),
                kind: (*kind).to_owned(),
                namespaced: *scope == "namespaced",
                facts: facts
                    .iter()
                    .filter_map(|f| f.split_once('='))
                    .map(owned)
                    .collect(),
                ..Resource::default()
            }),
            ["sub", name, of, version, kind, verbs] => {
                let parent = last.as_mut().ok_or("a subresource before any resource")?;
                parent.subresources.push(Subresource {
                    name: (*name).to_owned(),
                    group: group(of),
                    version: (*version).to_owned(),
                    kind: (*kind).to_owned(),
                    verbs: verbs
                        .split(',')
                        .filter(|v| *v != "-")
                        .map(str::to_owned)
                        .collect(),
                });
            }
            ["column", priority, kind, format, name @ ..] => {
                let parent = last.as_mut().ok_or("a column before any resource")?;
                parent.columns.push(Column {
                    name: name.join(" "),
                    kind: (*kind).to_owned(),
                    format: if *format == "-" {
                        String::new()
                    } else {
                        (*format).to_owned()
                    },
                    priority: priority.parse()?,
                });
            }
            _ => return Err("not a line of the catalogue".into()),
        }
        Ok(())
    }

    /// The resource that serves a kind, if one does.
    pub fn resource(&self, kind: &Kind) -> Option<&Resource> {
        let serves =
            |r: &&Resource| (&r.group, &r.version, &r.kind) == (&kind.group, &kind.version, &kind.kind);
        self.resources.iter().find(serves)
    }
}

impl Kind {
    fn new(name: &str, version: &str, kind: &str, full: &str) -> Option<Self> {
        let (package, type_name) = full.split_once('.')?;
        Some(Self {
            group: group(name),
            version: version.to_owned(),
            kind: kind.to_owned(),
            package: package.to_owned(),
            type_name: type_name.to_owned(),
        })
    }
}

fn group(shown: &str) -> String {
    if shown == "core" {
        String::new()
    } else {
        shown.to_owned()
    }
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}
