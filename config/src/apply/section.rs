//! `<Directory>`, `<Location>`, `<Files>` and the per-directory directives.
use super::Apply;
use crate::diagnostic::{Diagnostic, Located};
use crate::schema::{DIR, LOC};
use crate::tree::{Node, Word};
use crate::typed::{DirSettings, Handler, Options, OptionsChange, Require, Section, SectionKind};
use crate::values::Cidr;

impl Apply<'_> {
    pub(super) fn section(&mut self, name: &'static str, node: &Node) -> Option<Section> {
        let word = node.args.first()?;
        let text = word.text.clone();
        if name == "<Directory" && !text.starts_with('/') {
            self.error("<Directory> requires an absolute path", word);
        }
        let (kind, context) = match name {
            "<Directory" => (SectionKind::Directory(text), DIR),
            "<Location" => (SectionKind::Location(text), LOC),
            _ => (SectionKind::Files(text), DIR),
        };
        let mut settings = DirSettings::default();
        let mut children = Vec::new();
        for child in node.children.iter().flatten() {
            let Some(row) = self.check(child, context) else {
                continue;
            };
            match row.name {
                "<Files" => children.extend(self.section(row.name, child)),
                "Require" | "<RequireAny" | "<RequireAll" | "<RequireNone" => {
                    if let Some(new) = self.require(row.name, child, context) {
                        self.refuse_negative(&new, child);
                        let old = settings.require.take();
                        let at = old
                            .as_ref()
                            .and_then(|old| old.at.clone())
                            .or(Some(child.name.at.clone()));
                        let value = match old.map(|old| old.value) {
                            None => Require::Any(vec![new]),
                            Some(Require::Any(mut all)) => {
                                all.push(new);
                                Require::Any(all)
                            }
                            Some(other) => Require::Any(vec![other, new]),
                        };
                        settings.require = Some(Located { value, at });
                    }
                }
                name => self.dir(&mut settings, name, &child.args),
            }
        }
        let by_address = settings
            .require
            .as_ref()
            .is_some_and(|require| require.is_by_address());
        if let Some(handler) = settings
            .handler
            .as_ref()
            .filter(|h| h.value == Handler::Diagnostics && !by_address)
        {
            let text = "SetHandler parkade-diagnostics needs Require ip or Require local in the same section";
            let found = Diagnostic::error(text, handler.at.as_ref());
            self.found.push(found.with_help("add \"Require local\""));
        }
        Some(Section {
            kind,
            at: node.name.at.clone(),
            settings,
            children,
        })
    }

    fn require(&mut self, name: &str, node: &Node, context: u8) -> Option<Require> {
        if name == "Require" {
            return self.require_line(&node.args);
        }
        let mut all = Vec::new();
        for child in node.children.iter().flatten() {
            let Some(row) = self.check(child, context) else {
                continue;
            };
            if row.name.contains("Require") {
                let new = self.require(row.name, child, context);
                if let Some(new) = new.as_ref().filter(|_| name != "<RequireAll") {
                    self.refuse_negative(new, child);
                }
                all.extend(new);
            } else {
                self.error(format!("{} not allowed here", row.name), &child.name);
            }
        }
        Some(match name {
            "<RequireAny" => Require::Any(all),
            "<RequireAll" => Require::All(all),
            _ => Require::None(all),
        })
    }

    /// Where one line that holds is enough, `not` would let everybody else in.
    fn refuse_negative(&mut self, require: &Require, node: &Node) {
        if matches!(require, Require::Not(_)) {
            let text = "Require not has no effect outside <RequireAll>";
            let found = Diagnostic::error(text, Some(&node.name.at));
            self.found
                .push(found.with_help("put all lines of the section into <RequireAll>"));
        }
    }

    fn require_line(&mut self, args: &[Word]) -> Option<Require> {
        let (first, rest) = args.split_first()?;
        match (first.text.to_ascii_lowercase().as_str(), rest) {
            ("not", rest @ [_, ..]) => Some(Require::Not(Box::new(self.require_line(rest)?))),
            ("all", [word]) if word.text.eq_ignore_ascii_case("granted") => Some(Require::Granted),
            ("all", [word]) if word.text.eq_ignore_ascii_case("denied") => Some(Require::Denied),
            ("all", _) => {
                self.error(
                    "Require all must be followed by granted or denied",
                    rest.first().unwrap_or(first),
                );
                None
            }
            ("local", []) => Some(Require::Local),
            ("ip", [_, ..]) => {
                let mut nets = Vec::new();
                for word in rest {
                    match Cidr::parse(&word.text) {
                        Some(net) => nets.push(net),
                        None => self.error(
                            format!("ip address '{}' appears to be invalid", word.text),
                            word,
                        ),
                    }
                }
                Some(Require::Ip(nets))
            }
            _ => {
                let text = format!("Require {} is not supported", first.text);
                let help = "available: all granted, all denied, ip ADDRESS..., local, not ...";
                self.found
                    .push(Diagnostic::error(text, Some(&first.at)).with_help(help));
                None
            }
        }
    }

    pub(super) fn dir(&mut self, dir: &mut DirSettings, name: &'static str, args: &[Word]) {
        let Some(word) = args.first() else {
            return;
        };
        let at = || word.at.clone();
        match name {
            "AddType" => {
                let extensions = args[1..]
                    .iter()
                    .map(|w| w.text.trim_start_matches('.').to_ascii_lowercase());
                dir.add_types
                    .extend(extensions.map(|extension| (extension, word.text.clone())));
            }
            "AllowOverride" if args.len() != 1 || !word.text.eq_ignore_ascii_case("none") => {
                self.error(
                    "AllowOverride must be None: files in directories are never read",
                    word,
                );
            }
            "DirectoryIndex" => {
                let disabled = args.len() == 1 && word.text.eq_ignore_ascii_case("disabled");
                let names = args
                    .iter()
                    .filter(|_| !disabled)
                    .map(|w| w.text.clone())
                    .collect();
                dir.directory_index = Some(Located::new(names, at()));
            }
            "ForceType" => dir.force_type = Some(Located::new(word.text.clone(), at())),
            "EnableMMAP" => dir.enable_mmap = self.flag(name, word),
            "EnableSendfile" => dir.enable_sendfile = self.flag(name, word),
            "LimitRequestBody" => {
                if let Some(n) = self.number(name, word, 0, i64::MAX) {
                    dir.limit_request_body = Some(Located::new(n.unsigned_abs(), at()));
                }
            }
            "Options" => self.options(dir, args),
            "SetHandler" => match word.text.to_ascii_lowercase().as_str() {
                "none" => dir.handler = Some(Located::new(Handler::None, at())),
                "server-status" => {
                    dir.handler = Some(Located::new(Handler::ServerStatus, at()));
                }
                "parkade-health" => dir.handler = Some(Located::new(Handler::Health, at())),
                "parkade-diagnostics" => {
                    dir.handler = Some(Located::new(Handler::Diagnostics, at()))
                }
                _ => self.error(format!("SetHandler: no handler named {}", word.text), word),
            },
            _ => {}
        }
    }

    fn options(&mut self, dir: &mut DirSettings, args: &[Word]) {
        let mut change = OptionsChange::default();
        let signed = |word: &Word| word.text.starts_with(['+', '-']);
        change.absolute = args.first().is_some_and(|word| !signed(word));
        for word in args {
            if signed(word) == change.absolute {
                self.error(
                    "Either all Options must start with + or -, or no Option may.",
                    word,
                );
                return;
            }
            let plain = word
                .text
                .trim_start_matches(['+', '-'])
                .to_ascii_lowercase();
            let set: &mut Options = if word.text.starts_with('-') {
                &mut change.off
            } else {
                &mut change.on
            };
            match plain.as_str() {
                "none" => {}
                "followsymlinks" => set.follow_sym_links = true,
                "symlinksifownermatch" => set.sym_links_if_owner_match = true,
                "indexes" => set.indexes = true,
                "all" => {
                    *set = Options {
                        follow_sym_links: true,
                        sym_links_if_owner_match: false,
                        indexes: true,
                    }
                }
                "execcgi" | "includes" | "includesnoexec" | "multiviews" => {
                    let text = format!("Option {} is not supported, ignored", word.text);
                    self.found.push(Diagnostic::warning(text, Some(&word.at)));
                }
                _ => self.error(format!("Illegal option {}", word.text), word),
            }
        }
        let at = args.first().map(|word| word.at.clone());
        dir.options = Some(Located { value: change, at });
    }
}
