//! What a new configuration changes, in words.

use crate::dump;
use crate::typed::Config;
use std::collections::BTreeMap;

/// One line for each directive whose value is another one now, with both values, in alphabetical order.
///
/// ```
/// use parkade_config::{Config, changes};
///
/// let (old, mut new) = (Config::builtin(2), Config::builtin(2));
/// assert!(changes(&old, &new).is_empty());
/// new.listen_backlog.value = 77;
/// assert_eq!(changes(&old, &new), ["ListenBacklog: 511 before, now 77"]);
/// ```
#[must_use]
pub fn changes(old: &Config, new: &Config) -> Vec<String> {
    let (old, new) = (dump::text(old), dump::text(new));
    let (old, new) = (values(&old), values(&new));
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let shown = |values: Option<&Vec<&str>>| match values {
        None => "none".to_owned(),
        Some(values) => values.join(", "),
    };
    let changed = names.into_iter().filter(|n| old.get(*n) != new.get(*n));
    changed
        .map(|name| {
            let (host, directive) = name;
            let place = if host.is_empty() {
                String::new()
            } else {
                format!(" in {host}")
            };
            let (old, new) = (shown(old.get(name)), shown(new.get(name)));
            format!("{directive}{place}: {old} before, now {new}")
        })
        .collect()
}

/// By virtual host and name; sections and comments aside.
fn values(text: &str) -> BTreeMap<(&str, &str), Vec<&str>> {
    let mut all: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let mut host = "";
    for line in text.lines() {
        let (line, _origin) = line.rsplit_once(" # ").unwrap_or((line, ""));
        let line = line.trim();
        if line.starts_with("<VirtualHost") {
            host = line;
        } else if line == "</VirtualHost>" {
            host = "";
        } else if !line.starts_with(['#', '<'])
            && let Some((name, value)) = line.split_once(' ')
        {
            all.entry((host, name)).or_default().push(value.trim());
        }
    }
    all
}
