//! Which settings govern a request: virtual host, then the sections in Apache's order.

use parkade_config::{
    Config, DirSettings, Handler, HostSettings, Options, Require, Section, SectionKind,
};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The settings of one path, merged.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    require: Vec<Require>,
    pub(crate) options: Options,
    pub(crate) handler: Handler,
    pub(crate) index: Vec<String>,
    pub(crate) types: Vec<(String, String)>,
    pub(crate) force_type: Option<String>,
    /// 0: the connection's limit only.
    pub(crate) body: u64,
}

impl Rules {
    /// Whether the client may see it. The innermost section that says something decides.
    pub(crate) fn permits(&self, client: IpAddr) -> bool {
        self.require.last().is_none_or(|r| r.permits(client, None))
    }

    /// Whether everybody may, so that the answer may be kept for everybody.
    pub(crate) fn open_to_all(&self) -> bool {
        self.require.last().is_none_or(everybody)
    }

    fn apply(&mut self, settings: &DirSettings) {
        if let Some(require) = &settings.require {
            self.require.push(require.value.clone());
        }
        if let Some(options) = &settings.options {
            self.options = options.value.apply(self.options);
        }
        if let Some(handler) = &settings.handler {
            self.handler = handler.value;
        }
        if let Some(index) = &settings.directory_index {
            self.index.clone_from(&index.value);
        }
        self.types.extend(settings.add_types.iter().cloned());
        if let Some(force) = &settings.force_type {
            self.force_type = Some(force.value.clone());
        }
        if let Some(body) = &settings.limit_request_body {
            self.body = body.value;
        }
    }
}

/// Whether a requirement lets every client in.
fn everybody(require: &Require) -> bool {
    match require {
        Require::Granted => true,
        Require::Any(any) => any.iter().any(everybody),
        Require::All(all) => all.iter().all(everybody),
        Require::Denied | Require::Local | Require::Ip(_) | Require::Not(_) | Require::None(_) => {
            false
        }
    }
}

/// The hosts of a configuration with their sections.
pub(crate) struct Tree {
    main: HostSettings,
    hosts: Vec<HostSettings>,
}

impl Tree {
    pub(crate) fn new(config: &Config) -> Self {
        let hosts = config
            .virtual_hosts
            .iter()
            .map(|h| h.settings.clone())
            .collect();
        Self {
            main: config.main.clone(),
            hosts,
        }
    }

    /// The virtual host of a name: by ServerName and ServerAlias, else the first one, else the main server.
    pub(crate) fn host(&self, name: Option<&str>) -> &HostSettings {
        let name = name.map(without_port).unwrap_or_default();
        let named = self.hosts.iter().find(|h| {
            let own = h
                .server_name
                .as_ref()
                .is_some_and(|n| without_port(&n.value).eq_ignore_ascii_case(name));
            own || h
                .server_aliases
                .iter()
                .any(|a| wildcard(a.value.as_bytes(), name.as_bytes()))
        });
        named.or(self.hosts.first()).unwrap_or(&self.main)
    }

    pub(crate) fn document_root<'a>(&'a self, host: &'a HostSettings) -> Option<&'a Path> {
        host.document_root
            .as_ref()
            .or(self.main.document_root.as_ref())
            .map(|r| r.value.as_path())
    }

    /// The settings of a normalised URL path.
    pub(crate) fn rules(&self, host: &HostSettings, path: &[u8]) -> Rules {
        let text = String::from_utf8_lossy(path);
        let mut rules = Rules {
            require: Vec::new(),
            options: Options {
                follow_sym_links: true,
                sym_links_if_owner_match: false,
                indexes: false,
            },
            handler: Handler::None,
            index: vec!["index.html".into()],
            types: Vec::new(),
            force_type: None,
            body: 0,
        };
        rules.apply(&self.main.base);
        if !std::ptr::eq(host, &self.main) {
            rules.apply(&host.base);
        }
        let file = self
            .document_root(host)
            .map(|root| root.join(text.trim_start_matches('/')));
        let sections = || {
            let own = if std::ptr::eq(host, &self.main) {
                &[][..]
            } else {
                &host.sections[..]
            };
            self.main.sections.iter().chain(own)
        };
        if let Some(file) = &file {
            let mut directories: Vec<(&str, &Section)> = sections()
                .filter_map(|s| match &s.kind {
                    SectionKind::Directory(dir) => governs(dir, file).then_some((dir.as_str(), s)),
                    _ => None,
                })
                .collect();
            directories.sort_by_key(|(dir, _)| Path::new(dir).components().count());
            for (_, section) in &directories {
                rules.apply(&section.settings);
            }
            let name = file
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            let nested = directories.iter().flat_map(|(_, s)| s.children.iter());
            for section in sections().chain(nested) {
                if let SectionKind::Files(pattern) = &section.kind
                    && wildcard(pattern.as_bytes(), name.as_bytes())
                {
                    rules.apply(&section.settings);
                }
            }
        }
        for section in sections() {
            if let SectionKind::Location(prefix) = &section.kind
                && under(prefix, &text)
            {
                rules.apply(&section.settings);
            }
        }
        rules
    }
}

/// Whether a `<Directory>` contains `file`; wildcards stand for one segment.
fn governs(directory: &str, file: &Path) -> bool {
    let pattern = PathBuf::from(directory);
    let mut wanted = pattern.components();
    let mut have = file.components();
    loop {
        match (wanted.next(), have.next()) {
            (None, _) => return true,
            (Some(w), Some(h)) => {
                let (w, h) = (
                    w.as_os_str().to_string_lossy(),
                    h.as_os_str().to_string_lossy(),
                );
                if !wildcard(w.as_bytes(), h.as_bytes()) {
                    return false;
                }
            }
            (Some(_), None) => return false,
        }
    }
}

/// Whether a `<Location>` governs a path: equal, or a prefix that ends at a segment.
fn under(prefix: &str, path: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(i) if !host[i..].contains(']') => &host[..i],
        _ => host,
    }
}

/// `*` and `?`, ignoring case of ASCII letters in neither; host names come here in the client's case.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            wildcard(&pattern[1..], text) || (!text.is_empty() && wildcard(pattern, &text[1..]))
        }
        (Some(b'?'), Some(_)) => wildcard(&pattern[1..], &text[1..]),
        (Some(a), Some(b)) if a == b => wildcard(&pattern[1..], &text[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_may_see_is_kept() {
        assert!(everybody(&Require::Any(vec![
            Require::Local,
            Require::Granted
        ])));
        assert!(!everybody(&Require::All(vec![
            Require::Local,
            Require::Granted
        ])));
        assert!(
            !everybody(&Require::Not(Box::new(Require::Denied))),
            "said in a roundabout way: not worth knowing"
        );
    }

    #[test]
    fn sections_govern_whole_segments() {
        assert!(
            under("/a", "/a") && under("/a", "/a/b") && !under("/a", "/ab") && under("/", "/x")
        );
        assert!(
            governs("/srv/www", Path::new("/srv/www/x"))
                && !governs("/srv/w", Path::new("/srv/www/x"))
        );
        assert!(governs("/srv/*/x", Path::new("/srv/a/x/y")) && governs("/", Path::new("/a")));
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert!(
            wildcard(b"*.two.local", b"a.two.local") && !wildcard(b"*.two.local", b"two.local")
        );
    }
}
