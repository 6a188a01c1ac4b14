//! Directives that a virtual host may have for itself.
use super::{Apply, inherited};
use crate::diagnostic::Located;
use crate::schema::{SERVER, VHOST};
use crate::tree::{Node, Word};
use crate::typed::{Config, CustomLog, HostSettings, LogLevel, LogTarget, VirtualHost};
use crate::values;
use std::time::Duration;

impl Apply<'_> {
    pub(super) fn virtual_host(&mut self, config: &mut Config, node: &Node) {
        let mut settings = inherited(&config.main);
        let mut addresses = Vec::new();
        for word in &node.args {
            let text = word.text.replace("_default_", "*");
            let split = text
                .rsplit_once(':')
                .filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
            let (host, port) = split.map_or((&*text, "*"), |(host, port)| (host, port));
            let number = port.parse::<u16>().ok();
            if number.is_none() && port != "*" {
                self.error("Invalid address or port", word);
            }
            addresses.push(Located::new(
                (host.trim_matches(['[', ']']).to_owned(), number),
                word.at.clone(),
            ));
        }
        // A virtual host with a CustomLog of its own does not write to the main server's.
        let own = |child: &Node| child.name.text.eq_ignore_ascii_case("CustomLog");
        if node.children.iter().flatten().any(own) {
            settings.custom_logs.clear();
        }
        for child in node.children.iter().flatten() {
            if let Some(row) = self.check(child, VHOST) {
                self.host(&mut settings, row.name, child, VHOST);
            }
        }
        config.virtual_hosts.push(VirtualHost {
            addresses,
            at: node.name.at.clone(),
            settings,
        });
    }

    pub(super) fn host(
        &mut self,
        host: &mut HostSettings,
        name: &'static str,
        node: &Node,
        context: u8,
    ) {
        debug_assert!(context == SERVER || context == VHOST);
        let Some(word) = node.args.first() else {
            return;
        };
        let at = || word.at.clone();
        match name {
            "<Directory" | "<Location" | "<Files" => {
                if let Some(section) = self.section(name, node) {
                    host.sections.push(section);
                }
            }
            "ServerName" => {
                let text = word
                    .text
                    .split_once("://")
                    .map_or(&*word.text, |(_, rest)| rest);
                host.server_name = Some(Located::new(text.trim_end_matches('/').to_owned(), at()));
            }
            "ServerAdmin" => host.server_admin = Some(Located::new(word.text.clone(), at())),
            "ServerAlias" => {
                let names = node
                    .args
                    .iter()
                    .map(|w| Located::new(w.text.clone(), w.at.clone()));
                host.server_aliases.extend(names);
            }
            "DocumentRoot" => {
                let path = self.path(word);
                if self.check_document_root && !self.source.is_dir(&path) {
                    let shown = path.display();
                    let text =
                        format!("DocumentRoot '{shown}' is not a directory, or is not readable");
                    self.error(text, word);
                }
                host.document_root = Some(path);
            }
            "Timeout" => {
                if let Some(n) = self.number(name, word, 1, i64::from(i32::MAX)) {
                    host.timeout = Located::new(Duration::from_secs(n.unsigned_abs()), at());
                }
            }
            "KeepAlive" => self.set_flag(&mut host.keep_alive, name, word),
            "KeepAliveTimeout" => match values::time(&word.text) {
                Some(time) => host.keep_alive_timeout = Located::new(time, at()),
                None => self.error("KeepAliveTimeout has wrong format", word),
            },
            "MaxKeepAliveRequests" => {
                self.set_u32(&mut host.max_keep_alive_requests, name, word, 0)
            }
            "LimitRequestLine" => self.set_u32(&mut host.limit_request_line, name, word, 0),
            "LimitRequestFieldSize" => {
                self.set_u32(&mut host.limit_request_field_size, name, word, 0)
            }
            "LimitRequestFields" => self.set_u32(&mut host.limit_request_fields, name, word, 0),
            "RequestReadTimeout" => self.request_read_timeout(host, &node.args),
            "ErrorLog" => host.error_log = Some(Located::new(self.target(word), at())),
            "LogLevel" => self.log_levels(host, &node.args),
            "CustomLog" => {
                if let Some(third) = node.args.get(2) {
                    self.error("CustomLog: conditions are not supported", third);
                }
                let Some(given) = node.args.get(1) else {
                    return;
                };
                // A nickname until `finish`, since LogFormat may come later.
                let log = CustomLog {
                    target: self.target(word),
                    format: Located::new(given.text.clone(), given.at.clone()),
                };
                host.custom_logs.push(Located::new(log, at()));
            }
            "LogFormat" => {
                let nick = node.args.get(1).map_or("", |w| &*w.text).to_owned();
                host.log_formats.retain(|(name, _)| *name != nick);
                let format = Located::new(word.text.clone(), at());
                host.log_formats.push((nick, format));
            }
            "HostnameLookups" => {
                if !word.text.eq_ignore_ascii_case("off") {
                    self.error(
                        "HostnameLookups must be Off: name lookups would hold up every request",
                        word,
                    );
                }
            }
            _ => self.dir(&mut host.base, name, &node.args),
        }
    }

    fn target(&self, word: &Word) -> LogTarget {
        if let Some(program) = word.text.strip_prefix('|') {
            return LogTarget::Pipe(program.trim_start_matches('|').trim().to_owned());
        }
        match word.text.strip_prefix("syslog") {
            Some("") => LogTarget::Syslog(None),
            Some(rest) if rest.starts_with(':') => LogTarget::Syslog(Some(rest[1..].to_owned())),
            _ => LogTarget::File(self.root.join(&word.text)),
        }
    }

    fn log_levels(&mut self, host: &mut HostSettings, words: &[Word]) {
        for word in words {
            let (module, text) = match word.text.split_once(':') {
                Some((module, text)) => (Some(module), text),
                None => (None, &*word.text),
            };
            let Some(level) = LogLevel::parse(text) else {
                let text = "Log level keyword must be one of \
                            emerg/alert/crit/error/warn/notice/info/debug/trace1/.../trace8";
                self.error(text, word);
                continue;
            };
            match module {
                None => host.log_level = Located::new(level, word.at.clone()),
                Some(module) => {
                    let module = module.strip_prefix("mod_").unwrap_or(module);
                    let module = module.strip_suffix(".c").unwrap_or(module);
                    let module = module.strip_suffix("_module").unwrap_or(module);
                    host.module_log_levels.push((module.to_owned(), level));
                }
            }
        }
    }

    fn request_read_timeout(&mut self, host: &mut HostSettings, args: &[Word]) {
        let mut value = host.request_read_timeout.value;
        for word in args {
            let parsed = word.text.split_once('=').and_then(|(key, time)| {
                let slot = match key.to_ascii_lowercase().as_str() {
                    "handshake" => &mut value.handshake,
                    "header" => &mut value.header,
                    "body" => &mut value.body,
                    _ => return None,
                };
                *slot = values::range_timeout(time)?;
                Some(())
            });
            if parsed.is_none() {
                let text = format!(
                    "RequestReadTimeout: \"{}\" is not of the form header=20-40,MinRate=500",
                    word.text
                );
                self.error(text, word);
            }
        }
        let at = args.first().map(|word| word.at.clone());
        host.request_read_timeout = Located { value, at };
    }
}
