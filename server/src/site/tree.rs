//! Which settings govern a path: the sections of the main server and of a virtual host, merged in Apache's order.

use super::pattern;
use parkade_config::{
    Config, DirSettings, Handler, HostSettings, Options, Require, Section, SectionKind,
};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// `LimitRequestBody` where nothing is said.
const BODY: u64 = 1 << 30;

/// The settings of one path, merged.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    require: Option<Require>,
    pub(crate) options: Options,
    pub(crate) handler: Handler,
    pub(crate) index: Vec<String>,
    /// (extension, type), the last one counts.
    pub(crate) types: Vec<(String, String)>,
    pub(crate) force_type: Option<String>,
    /// Most bytes of a request's body.
    pub(crate) body: u64,
    /// `EnableSendfile`.
    pub(crate) sendfile: bool,
    /// `EnableMMAP`: whether small files may stay in memory between requests.
    pub(crate) keep: bool,
}

impl Rules {
    /// Whether the client may see it. `own` is our address if the client has the same.
    pub(crate) fn permits(&self, client: IpAddr, own: Option<IpAddr>) -> bool {
        self.require.as_ref().is_none_or(|r| r.permits(client, own))
    }

    /// Whether everybody may, so that the answer may be kept for everybody.
    pub(crate) fn open_to_all(&self) -> bool {
        self.require.as_ref().is_none_or(everybody)
    }

    fn apply(&mut self, settings: &DirSettings) {
        if let Some(require) = &settings.require {
            // The innermost section that says something decides.
            self.require = Some(require.value.clone());
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
            self.force_type = Some(force.value.clone()).filter(|t| !t.eq_ignore_ascii_case("none"));
        }
        if let Some(body) = &settings.limit_request_body {
            self.body = body_limit(body.value);
        }
        if let Some(sendfile) = &settings.enable_sendfile {
            self.sendfile = sendfile.value;
        }
        if let Some(mmap) = &settings.enable_mmap {
            self.keep = mmap.value;
        }
    }
}

fn body_limit(said: u64) -> u64 {
    if said == 0 { u64::MAX } else { said }
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

/// One host as it is served.
struct Host {
    root: Option<PathBuf>,
    base: DirSettings,
    /// The main server's, then its own.
    sections: Vec<Section>,
    /// No section ever switches `FollowSymLinks` off.
    follows_everywhere: bool,
    /// The largest body that any section allows.
    most_body: u64,
}

/// The hosts of a configuration with their sections; number 0 is the main server.
pub(crate) struct Tree {
    hosts: Vec<Host>,
    /// Whether links are followed where nothing is said: not in the built-in configuration.
    follow: bool,
}

impl Tree {
    pub(crate) fn new(config: &Config, builtin: bool) -> Self {
        let follow = !builtin;
        let main = &config.main;
        let mut hosts = vec![Host::new(main, None, follow)];
        hosts.extend(
            config
                .virtual_hosts
                .iter()
                .map(|h| Host::new(main, Some(&h.settings), follow)),
        );
        Self { hosts, follow }
    }

    fn host(&self, number: usize) -> &Host {
        &self.hosts[number.min(self.hosts.len() - 1)]
    }

    /// The DocumentRoot of a host.
    pub(crate) fn root(&self, host: usize) -> Option<&Path> {
        self.host(host).root.as_deref()
    }

    /// Whether links are followed wherever they stand.
    pub(crate) fn follows_everywhere(&self, host: usize) -> bool {
        self.host(host).follows_everywhere
    }

    /// The largest body that some section of a host allows.
    pub(crate) fn most_body(&self, host: usize) -> u64 {
        self.host(host).most_body
    }

    /// The settings of a normalised URL path.
    pub(crate) fn rules(&self, host: usize, path: &str) -> Rules {
        let mut rules = Rules {
            require: None,
            options: Options {
                follow_sym_links: self.follow,
                ..Options::default()
            },
            handler: Handler::None,
            index: vec!["index.html".into()],
            types: Vec::new(),
            force_type: None,
            body: BODY,
            sendfile: false,
            keep: true,
        };
        let host = self.host(host);
        rules.apply(&host.base);
        let file = host
            .root
            .as_ref()
            .map(|root| root.join(path.trim_start_matches('/')));
        if let Some(file) = &file {
            let directories = host.directories(file);
            for section in &directories {
                rules.apply(&section.settings);
            }
            let name = file.file_name().unwrap_or_default();
            let nested = directories.iter().flat_map(|s| s.children.iter());
            for section in host.sections.iter().chain(nested) {
                if let SectionKind::Files(wanted) = &section.kind
                    && !path.ends_with('/')
                    && pattern::wildcard(wanted.as_bytes(), name.as_encoded_bytes())
                {
                    rules.apply(&section.settings);
                }
            }
        }
        for section in &host.sections {
            if let SectionKind::Location(prefix) = &section.kind
                && pattern::location(prefix, path)
            {
                rules.apply(&section.settings);
            }
        }
        rules
    }

    /// The options in force for what stands directly in a directory below the root (a path without slashes at its ends).
    pub(crate) fn options(&self, host: usize, directory: &str) -> Options {
        // Only <Directory> sections speak of directories: <Files> and <Location> have no part in following links.
        let mut options = Options {
            follow_sym_links: self.follow,
            ..Options::default()
        };
        let host = self.host(host);
        let Some(root) = &host.root else {
            return options;
        };
        let sections = host.directories(&root.join(directory));
        let all = std::iter::once(&host.base).chain(sections.iter().map(|s| &s.settings));
        for change in all.filter_map(|s| s.options.as_ref()) {
            options = change.value.apply(options);
        }
        options
    }
}

impl Host {
    fn new(main: &HostSettings, own: Option<&HostSettings>, follow: bool) -> Self {
        let mut sections = main.sections.clone();
        sections.extend(own.iter().flat_map(|o| o.sections.iter().cloned()));
        // A virtual host has inherited what the main server says outside sections.
        let base = own.unwrap_or(main).base.clone();
        let inside = || {
            let nested = sections.iter().flat_map(|s| &s.children);
            sections.iter().chain(nested).map(|s| &s.settings)
        };
        let on = Options {
            follow_sym_links: true,
            ..Options::default()
        };
        let follows_everywhere = follow
            && std::iter::once(&base)
                .chain(inside())
                .filter_map(|s| s.options.as_ref())
                .all(|o| o.value.apply(on).follow_sym_links);
        let said = |s: &DirSettings| s.limit_request_body.as_ref().map(|l| body_limit(l.value));
        let most_body = inside()
            .filter_map(said)
            .fold(said(&base).unwrap_or(BODY), u64::max);
        let root = own
            .and_then(|o| o.document_root.as_ref())
            .or(main.document_root.as_ref());
        Self {
            root: root.map(|r| r.value.clone()),
            base,
            sections,
            follows_everywhere,
            most_body,
        }
    }

    /// The `<Directory>` sections around a file, in the order they apply: shortest first, then as written.
    fn directories(&self, file: &Path) -> Vec<&Section> {
        let mut found: Vec<(usize, &Section)> = self
            .sections
            .iter()
            .filter_map(|s| match &s.kind {
                SectionKind::Directory(dir) => {
                    pattern::directory(dir, file).then(|| (pattern::depth(dir), s))
                }
                _ => None,
            })
            .collect();
        found.sort_by_key(|(depth, _)| *depth);
        found.into_iter().map(|(_, section)| section).collect()
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
}
