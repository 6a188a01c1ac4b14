//! From the tree to the typed configuration.
//!
//! `mod.rs` walks the tree and checks every node against the schema table (name, arity, context); `server.rs`
//! holds the server-wide directives, `host.rs` those of a virtual host, `section.rs` the per-directory ones,
//! `defaults.rs` what holds when nothing is written. Errors are collected; a bad value leaves the old one.

mod defaults;
mod host;
mod section;
mod server;

use crate::diagnostic::{Diagnostic, Located};
use crate::limits::{self, Asked};
use crate::load::LoadOptions;
use crate::schema::{self, DIR, Directive, LOC, SERVER, Status, VHOST};
use crate::source::Source;
use crate::tree::{Node, Reader, Word};
use crate::typed::{Config, HostSettings, Listen};
use crate::values;
use std::path::PathBuf;

/// What the walk carries along.
struct Apply<'a> {
    source: &'a dyn Source,
    found: Vec<Diagnostic>,
    root: PathBuf,
    asked: Asked,
    asked_at: Vec<(&'static str, Word)>,
    check_document_root: bool,
}

pub(crate) fn apply(
    nodes: &[Node],
    reader: Reader<'_>,
    options: &LoadOptions<'_>,
) -> (Config, Vec<Diagnostic>) {
    let mut config = defaults::config(reader.root.clone());
    config.defines = reader.defines.into_iter().map(|(name, _)| name).collect();
    let mut walk = Apply {
        source: reader.source,
        found: reader.found,
        root: reader.root,
        asked: Asked::default(),
        asked_at: Vec::new(),
        check_document_root: !options.skip_document_root_check,
    };
    for node in nodes {
        walk.main(&mut config, node);
    }
    // Virtual hosts inherit the main server's final values, so they come second.
    for node in nodes
        .iter()
        .filter(|node| node.name.text.eq_ignore_ascii_case("<VirtualHost"))
    {
        walk.virtual_host(&mut config, node);
    }
    walk.finish(&mut config, options);
    (config, walk.found)
}

impl Apply<'_> {
    fn error(&mut self, message: impl Into<String>, word: &Word) {
        self.found.push(Diagnostic::error(message, Some(&word.at)));
    }

    /// Looks the node up and checks arity and context; `None` means it is dealt with.
    fn check(&mut self, node: &Node, context: u8) -> Option<&'static Directive> {
        let name = &node.name;
        let Some(row) = schema::find(&name.text) else {
            self.unknown(name);
            return None;
        };
        if (node.children.is_some()) != row.name.starts_with('<') {
            self.unknown(name);
            return None;
        }
        if row.contexts & context == 0 {
            let shown = row.name.trim_start_matches('<');
            let section = match context {
                VHOST => "VirtualHost",
                LOC => "Location",
                _ => "Directory",
            };
            let text = if context == SERVER || row.contexts & (DIR | LOC) != 0 {
                format!("{shown} not allowed here")
            } else {
                format!("{shown} cannot occur within <{section}> section")
            };
            let allowed = row.contexts_text();
            self.found.push(
                Diagnostic::error(text, Some(&name.at)).with_help(format!("allowed in: {allowed}")),
            );
            return None;
        }
        let (min, max) = row.arity;
        if !(min..=max).contains(&node.args.len()) {
            let text = if row.name.starts_with('<') && node.args.is_empty() {
                format!("{}> directive requires additional arguments", row.name)
            } else if row.name == "Listen" {
                "Listen requires 1 or 2 arguments.".to_owned()
            } else {
                let count = match (min, max) {
                    (0, 0) => "no arguments",
                    (1, 1) => "one argument",
                    (2, 2) => "two arguments",
                    (1, 2) => "one or two arguments",
                    (2, 3) => "two or three arguments",
                    (1, _) => "one or more arguments",
                    _ => "two or more arguments",
                };
                format!("{} takes {count}, {}", row.name, row.help)
            };
            self.error(text, node.args.get(max).unwrap_or(name));
            return None;
        }
        if row.status == Status::ParsedOnly {
            let text = format!(
                "{} takes effect in a later version",
                row.name.trim_start_matches('<')
            );
            self.found.push(Diagnostic::info(text, Some(&name.at)));
        }
        Some(row)
    }

    fn unknown(&mut self, name: &Word) {
        if schema::UNSUPPORTED
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&name.text))
        {
            let text = format!(
                "{} is an Apache directive that is not supported here, ignored",
                name.text
            );
            self.found.push(Diagnostic::warning(text, Some(&name.at)));
            return;
        }
        let text = format!(
            "Invalid command '{}', perhaps misspelled or defined by a module not included in the server configuration",
            name.text
        );
        let mut found = Diagnostic::error(text, Some(&name.at));
        if let Some(near) = schema::nearest(&name.text) {
            found = found.with_help(format!("did you mean {near}?"));
        }
        self.found.push(found);
    }

    fn main(&mut self, config: &mut Config, node: &Node) {
        let Some(row) = self.check(node, SERVER) else {
            return;
        };
        if row.name == "<VirtualHost" {
            return;
        }
        if !self.server(config, row.name, &node.args) {
            let Config {
                main, log_formats, ..
            } = config;
            self.host(main, log_formats, row.name, node, SERVER);
        }
    }

    /// A whole number in `min..=max`, else an error at its word.
    fn number(&mut self, name: &str, word: &Word, min: i64, max: i64) -> Option<i64> {
        let Some(n) = values::number(&word.text) else {
            self.error(format!("{name}: \"{}\" is not a number", word.text), word);
            return None;
        };
        if n < min {
            let text = match name {
                "ListenBacklog" => "ListenBacklog must be > 0".to_owned(),
                "MaxMemFree" | "ThreadStackSize" => format!("Invalid {name} value: {}", word.text),
                _ if min == 0 => format!("{name} \"{}\" must be a non-negative integer", word.text),
                _ => format!("{name} must be at least {min}"),
            };
            self.error(text, word);
            return None;
        }
        if n > max {
            self.error(format!("{name} must be at most {max}"), word);
            return None;
        }
        Some(n)
    }

    fn set_u32(&mut self, slot: &mut Located<u32>, name: &str, word: &Word, min: i64) {
        let n = self.number(name, word, min, i64::from(i32::MAX));
        if let Some(n) = n.and_then(|n| u32::try_from(n).ok()) {
            *slot = Located::new(n, word.at.clone());
        }
    }

    fn flag(&mut self, name: &str, word: &Word) -> Option<Located<bool>> {
        let value = if word.text.eq_ignore_ascii_case("on") {
            true
        } else if word.text.eq_ignore_ascii_case("off") {
            false
        } else {
            let text = match name {
                "EnableExceptionHook" => "parameter must be 'on' or 'off'".to_owned(),
                _ => format!("{name} must be On or Off"),
            };
            self.error(text, word);
            return None;
        };
        Some(Located::new(value, word.at.clone()))
    }

    fn set_flag(&mut self, slot: &mut Located<bool>, name: &str, word: &Word) {
        if let Some(value) = self.flag(name, word) {
            *slot = value;
        }
    }

    fn path(&self, word: &Word) -> Located<PathBuf> {
        Located::new(self.root.join(&word.text), word.at.clone())
    }

    fn finish(&mut self, config: &mut Config, options: &LoadOptions<'_>) {
        let (limits, notes) = limits::resolve(&self.asked, options.cores);
        config.limits = limits;
        for note in notes {
            let at = self
                .asked_at
                .iter()
                .rev()
                .find(|(name, _)| *name == note.directive)
                .map(|(_, w)| &w.at);
            let text = note.message;
            let found = if note.info {
                Diagnostic::info(text, at)
            } else {
                Diagnostic::warning(text, at)
            };
            config.notes.push(found.clone());
            self.found.push(found);
        }
        if options.file.is_none() {
            if config.listens.is_empty() {
                let listen = Listen {
                    host: Some("127.0.0.1".into()),
                    port: 8080,
                    protocol: "http".into(),
                };
                config.listens.push(Located::default_value(listen));
            }
            return;
        }
        if config.listens.is_empty() {
            let error = Diagnostic::error("no listening sockets available, shutting down", None);
            self.found
                .push(error.with_help("add a line such as \"Listen 8080\""));
        }
        if options.is_root && config.user.is_none() {
            let error =
                Diagnostic::error("started as root, but the configuration names no User", None);
            self.found
                .push(error.with_help("add a line such as \"User www-data\""));
        }
        if config.pid_file.is_none() {
            config.pid_file = Some(Located::default_value(self.root.join("logs/httpd.pid")));
        }
        if config.types_config.is_none() {
            config.types_config = Some(Located::default_value(self.root.join("conf/mime.types")));
        }
    }
}

/// Sections of a host, kept apart so that a virtual host does not repeat the main server's.
fn inherited(main: &HostSettings) -> HostSettings {
    HostSettings {
        sections: Vec::new(),
        server_aliases: Vec::new(),
        ..main.clone()
    }
}
