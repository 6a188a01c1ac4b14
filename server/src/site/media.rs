//! Media types: AddType, then TypesConfig, then the built-in table.

use crate::log::{Level, write};
use parkade_config::Config;
use std::collections::HashMap;
use std::fs;

/// The types of a configuration.
pub(crate) struct Types(HashMap<String, String>);

impl Types {
    /// Reads `TypesConfig`. One that was named and cannot be read is told.
    pub(crate) fn new(config: &Config) -> Self {
        let Some(path) = &config.types_config else {
            return Self(HashMap::new());
        };
        match fs::read_to_string(&path.value) {
            Ok(text) => Self::parse(&text),
            Err(e) => {
                if path.is_set() {
                    let text = format!("TypesConfig {}: {e}", path.value.display());
                    write("mime", Level::Error, &text);
                }
                Self(HashMap::new())
            }
        }
    }

    /// Lines are `type ext ext`.
    fn parse(text: &str) -> Self {
        let mut types = HashMap::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(kind) = words.next() else { continue };
            for extension in words {
                types.insert(extension.to_ascii_lowercase(), kind.to_owned());
            }
        }
        Self(types)
    }

    /// The type of a file name, if it is known. Of several extensions the last one with a type counts. `added` holds
    /// (extension, type).
    pub(crate) fn of(&self, name: &str, added: &[(String, String)]) -> Option<String> {
        let extensions = name.trim_start_matches('.').split('.').skip(1);
        extensions
            .filter_map(|e| self.of_extension(&e.to_ascii_lowercase(), added))
            .last()
    }

    fn of_extension(&self, extension: &str, added: &[(String, String)]) -> Option<String> {
        if let Some((_, kind)) = added.iter().rev().find(|(e, _)| e == extension) {
            return Some(kind.clone());
        }
        if let Some(kind) = self.0.get(extension) {
            return Some(kind.clone());
        }
        mime_guess::from_ext(extension)
            .first_raw()
            .map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_the_table() {
        let types = Types::parse("# comment\ntext/x-mine mine OTHER # rest\n\nimage/x y\n");
        let added = [
            ("html".to_owned(), "text/x-old".to_owned()),
            ("html".to_owned(), "text/x-new".to_owned()),
        ];
        for (name, kind) in [
            ("a.mine", Some("text/x-mine")),
            ("a.other", Some("text/x-mine")),
            ("a.OTHER", Some("text/x-mine")),
            ("a.html", Some("text/x-new")),
            ("a.css", Some("text/css")),
            ("a.y.unknown", Some("image/x")),
            ("a", None),
            ("mine", None),
            (".html", None),
            ("a.unknown", None),
        ] {
            assert_eq!(types.of(name, &added).as_deref(), kind, "{name}");
        }
    }
}
