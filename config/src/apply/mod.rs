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
use crate::typed::{Config, HostSettings, Listen, LogTarget};
use crate::values;
use std::path::PathBuf;

/// What the walk carries along.
struct Apply<'a> {
    source: &'a dyn Source,
    found: Vec<Diagnostic>,
    root: PathBuf,
    asked: Asked,
    asked_at: Vec<(&'static str, Word)>,
    /// The directive at hand, by the name that was written.
    spelling: &'static str,
    /// Server-wide directives that were written, rightly or wrongly.
    written: Vec<&'static str>,
    unread: bool,
    check_document_root: bool,
}

pub(crate) fn apply(
    nodes: &[Node],
    reader: Reader<'_>,
    options: &LoadOptions<'_>,
) -> (Config, Vec<Diagnostic>) {
    let mut config = defaults::config(reader.root.clone());
    config.defines = reader.defines.into_iter().map(|(name, _)| name).collect();
    config.files = reader.read;
    let mut walk = Apply {
        source: reader.source,
        found: reader.found,
        root: reader.root,
        asked: Asked::default(),
        asked_at: Vec::new(),
        spelling: "",
        written: Vec::new(),
        unread: reader.unread,
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
            self.unknown(node);
            return None;
        };
        if (node.children.is_some()) != row.name.starts_with('<') {
            self.unknown(node);
            return None;
        }
        let spelling = row.spelling(&name.text);
        self.spelling = spelling;
        if context == SERVER {
            self.written.push(row.name);
        }
        if row.contexts & context == 0 {
            let shown = spelling.trim_start_matches('<');
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
        let lenient = schema::LENIENT_FLAGS.contains(&row.name);
        if let Some(surplus) = node.args.get(max).filter(|_| lenient) {
            let text = format!("{spelling} is On or Off: what follows is ignored");
            let found = Diagnostic::warning(text, Some(&surplus.at));
            self.found
                .push(found.with_help("a comment needs a line of its own"));
        }
        // An empty word is no argument.
        let empty = node.args.first().filter(|word| word.text.is_empty());
        let empty = empty.filter(|_| row.arity == (1, 1));
        let count = node.args.len();
        let fits = (min..=max).contains(&count) || lenient && count > max;
        if empty.is_some() || !fits {
            let text = if row.name.starts_with('<') && (node.args.is_empty() || empty.is_some()) {
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
                format!("{spelling} takes {count}, {}", row.help)
            };
            let surplus = node.args.get(max);
            let place = empty.or(surplus).unwrap_or(name);
            let mut found = Diagnostic::error(text, Some(&place.at));
            if surplus.is_some_and(|word| word.text.starts_with('#')) {
                found = found.with_help("a comment needs a line of its own");
            }
            self.found.push(found);
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

    fn unknown(&mut self, node: &Node) {
        let name = &node.name;
        if schema::UNSUPPORTED
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&name.text))
        {
            if let Some(what) = protects(node) {
                let text = format!("{} is not supported here, and without it {what}", name.text);
                self.error(text, name);
                return;
            }
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
            self.host(&mut config.main, row.name, node, SERVER);
        }
    }

    /// A whole number in `min..=max`, else an error at its word.
    fn number(&mut self, name: &str, word: &Word, min: i64, max: i64) -> Option<i64> {
        let shown = self.spelling;
        let text = match values::number(&word.text) {
            Some(n) if (i128::from(min)..=max.into()).contains(&n) => return n.try_into().ok(),
            None => format!("{shown}: \"{}\" is not a number", word.text),
            Some(_) if ["MaxMemFree", "ThreadStackSize"].contains(&name) => {
                format!("Invalid {shown} value: {}", word.text)
            }
            Some(n) if n > max.into() => format!("{shown} must be at most {max}"),
            Some(_) if name == "ListenBacklog" => "ListenBacklog must be > 0".to_owned(),
            Some(_) if min == 0 => {
                format!("{shown} \"{}\" must be a non-negative integer", word.text)
            }
            Some(_) => format!("{shown} must be at least {min}"),
        };
        self.error(text, word);
        None
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
        resolve_nicknames(config);
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
        // Who wrote one wrongly has been told what is wrong with it; who named a file that cannot be read may have one there.
        let missing = |name| !self.unread && !self.written.contains(&name);
        let (no_listen, no_user) = (missing("Listen"), missing("User"));
        if config.listens.is_empty() && no_listen {
            let error = Diagnostic::error("no listening sockets available, shutting down", None);
            self.found
                .push(error.with_help("add a line such as \"Listen 8080\""));
        }
        if options.is_root && config.user.is_none() && no_user {
            let error =
                Diagnostic::error("started as root, but the configuration names no User", None);
            self.found
                .push(error.with_help("add a line such as \"User www-data\""));
        }
        if config.main.error_log.is_none() {
            let target = LogTarget::File(self.root.join("logs/error_log"));
            config.main.error_log = Some(Located::default_value(target));
        }
        if config.pid_file.is_none() {
            config.pid_file = Some(Located::default_value(self.root.join("logs/httpd.pid")));
        }
        if config.types_config.is_none() {
            config.types_config = Some(Located::default_value(self.root.join("conf/mime.types")));
        }
    }
}

/// What would be open to everybody if this unsupported directive were skipped with no more than a warning.
fn protects(node: &Node) -> Option<&'static str> {
    let is = |node: &Node, name: &str| node.name.text.eq_ignore_ascii_case(name);
    let first = |text: &str| {
        node.args
            .first()
            .is_some_and(|word| word.text.eq_ignore_ascii_case(text))
    };
    if is(node, "SSLEngine") && first("on") {
        return Some("connections would not be encrypted");
    }
    let refuses = |child: &Node| {
        is(child, "Require") && !child.args.iter().any(|word| word.text == "granted")
            || ["<RequireAll", "<RequireAny", "<RequireNone"]
                .iter()
                .any(|name| is(child, name))
            || protects(child).is_some()
    };
    let inside = node.children.as_deref().unwrap_or_default();
    inside
        .iter()
        .any(refuses)
        .then_some("its Require would not be enforced")
}

fn resolve_nicknames(config: &mut Config) {
    let hosts = config.virtual_hosts.iter_mut().map(|h| &mut h.settings);
    for host in std::iter::once(&mut config.main).chain(hosts) {
        for log in &mut host.custom_logs {
            let mut formats = host.log_formats.iter();
            let found = formats.find(|(nick, _)| *nick == *log.value.format);
            if let Some((_, format)) = found {
                log.value.format.clone_from(format);
            }
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
