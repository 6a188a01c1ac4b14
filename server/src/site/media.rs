//! Media types: AddType, then TypesConfig, then the built-in table.

use parkade_config::Config;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The types of a configuration.
pub(crate) struct Types(HashMap<String, String>);

impl Types {
    /// Reads `TypesConfig`, if there is one; lines are `type ext ext`.
    pub(crate) fn new(config: &Config) -> Self {
        let mut types = HashMap::new();
        let text = config
            .types_config
            .as_ref()
            .and_then(|p| fs::read_to_string(&p.value).ok())
            .unwrap_or_default();
        for line in text.lines() {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let Some(kind) = words.next() else { continue };
            for extension in words {
                types.insert(extension.to_ascii_lowercase(), kind.to_owned());
            }
        }
        Self(types)
    }

    /// The type of a file, if it is known.
    pub(crate) fn of(&self, path: &Path, added: &[(String, String)]) -> Option<String> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        let added = added
            .iter()
            .rev()
            .find(|(_, e)| e.trim_start_matches('.').eq_ignore_ascii_case(&extension));
        if let Some((kind, _)) = added {
            return Some(kind.clone());
        }
        if let Some(kind) = self.0.get(&extension) {
            return Some(kind.clone());
        }
        mime_guess::from_ext(&extension)
            .first_raw()
            .map(str::to_owned)
    }
}
