//! The way in.
use crate::apply;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{MemorySource, Source};
use crate::tree::Reader;
use crate::typed::Config;
use std::path::PathBuf;

/// What the command line and the machine say.
pub struct LoadOptions<'a> {
    /// `-d`: base of relative paths until `ServerRoot` says otherwise.
    pub server_root: PathBuf,
    /// `-f`: the file, relative to `server_root`; `None` for the built-in configuration.
    pub file: Option<PathBuf>,
    /// `-D` names.
    pub defines: Vec<String>,
    /// `-C` directives.
    pub before: Vec<String>,
    /// `-c` directives.
    pub after: Vec<String>,
    /// `-T`: DocumentRoot is not checked.
    pub skip_document_root_check: bool,
    /// Whether the server runs as root (then a file must name a User).
    pub is_root: bool,
    /// Cores of the machine.
    pub cores: u32,
    /// Environment for `${NAME}`.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        Self {
            server_root: PathBuf::from("/"),
            file: None,
            defines: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            skip_document_root_check: false,
            is_root: false,
            cores: 1,
            env: &|_| None,
        }
    }
}

/// Reads a configuration. On success also its warnings and infos, in file order.
///
/// # Errors
/// Everything found, errors included, if there is at least one error.
pub fn load(
    options: LoadOptions<'_>,
    source: &dyn Source,
) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    let defines = options.defines.iter();
    let mut reader = Reader::new(
        source,
        options.env,
        options.server_root.clone(),
        defines.map(|name| (name.clone(), String::new())).collect(),
    );
    let mut nodes = reader.text("-C/-c directives", &options.before.join("\n"));
    if let Some(file) = &options.file {
        nodes.extend(reader.file(&reader.root.join(file), None));
    }
    nodes.extend(reader.text("-C/-c directives", &options.after.join("\n")));
    let (config, found) = apply::apply(&nodes, reader, &options);
    if found.iter().any(|d| d.severity == Severity::Error) {
        Err(found)
    } else {
        Ok((config, found))
    }
}

impl Config {
    /// The configuration without any file: 127.0.0.1:8080, nothing read or written.
    pub fn builtin(cores: u32) -> Self {
        let options = LoadOptions {
            cores,
            ..LoadOptions::default()
        };
        let source = MemorySource::new();
        let mut reader = Reader::new(&source, options.env, PathBuf::from("/"), Vec::new());
        let nodes = reader.text("built-in configuration", "");
        apply::apply(&nodes, reader, &options).0
    }
}
