//! Nested directives, with Include, Define and the If sections already carried out.
use crate::diagnostic::{Diagnostic, Origin};
pub use crate::lex::Word;
use crate::lex::{Ch, FileText, expand, is_blank, logical_lines, trim, words};
use crate::schema;
use crate::source::Source;
use crate::typed::ReadFile;
use std::path::{Path, PathBuf};

/// Deepest nesting of sections, and of included files.
const MAX_SECTIONS: usize = 64;
const MAX_INCLUDES: usize = 128;
/// Files read in all, so that files including each other twice come to an end.
const MAX_FILES: usize = 10_000;
/// Characters of a line after `${NAME}`: a Define that doubles itself must not eat the memory.
const MAX_LINE: usize = 1 << 16;

/// A directive, or a section if it has children. A section's name starts with `<`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Name as written.
    pub name: Word,
    /// Arguments.
    pub args: Vec<Word>,
    /// What stands inside a section.
    pub children: Option<Vec<Node>>,
}

/// Writes a tree as text that reads back as the same tree.
pub fn print(nodes: &[Node]) -> String {
    let mut out = String::new();
    for node in nodes {
        let name = &node.name.text;
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
        if plain || node.children.is_some() {
            out.push_str(name);
        } else {
            out.push_str(&quoted(name));
        }
        for arg in &node.args {
            out.push(' ');
            out.push_str(&quoted(&arg.text));
        }
        if let Some(children) = &node.children {
            out.push_str(">\n");
            out.push_str(&print(children));
            out.push_str("</");
            out.push_str(node.name.text.trim_start_matches('<'));
            out.push('>');
        }
        out.push('\n');
    }
    out
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Reads text that stands alone: no files, no environment; with what was found wrong.
pub fn parse(name: &str, text: &str) -> (Vec<Node>, Vec<Diagnostic>) {
    let source = crate::source::MemorySource::new();
    let mut reader = Reader::new(&source, &|_| None, PathBuf::from("/"), Vec::new());
    let nodes = reader.text(name, text);
    (nodes, reader.found)
}

/// What reading needs to know and finds out.
pub(crate) struct Reader<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) root: PathBuf,
    pub(crate) defines: Vec<(String, String)>,
    pub(crate) found: Vec<Diagnostic>,
    /// Some file could not be read: what it says is not known.
    pub(crate) unread: bool,
    /// What was read.
    pub(crate) read: Vec<ReadFile>,
    loaded: Vec<String>,
    active: Vec<PathBuf>,
    /// Sections open in the files that include the present one.
    depth: usize,
    files: usize,
}

enum Kind {
    Section,
    /// A true If: its children go to the enclosing section.
    Splice,
    /// A false If.
    Skip,
}

struct Frame {
    kind: Kind,
    name: Word,
    args: Vec<Word>,
    children: Vec<Node>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        source: &'a dyn Source,
        env: &'a dyn Fn(&str) -> Option<String>,
        root: PathBuf,
        defines: Vec<(String, String)>,
    ) -> Self {
        Self {
            source,
            env,
            root,
            defines,
            found: Vec::new(),
            unread: false,
            read: Vec::new(),
            loaded: Vec::new(),
            active: Vec::new(),
            depth: 0,
            files: 0,
        }
    }

    fn error(&mut self, message: impl Into<String>, at: &Origin) {
        self.found.push(Diagnostic::error(message, Some(at)));
    }

    /// Reads one file; `at` is the Include that names it.
    pub(crate) fn file(&mut self, path: &Path, at: Option<&Origin>) -> Vec<Node> {
        let identity = self.source.identity(path);
        if self.active.contains(&identity) {
            self.found.push(Diagnostic::error(
                format!("{} includes itself", path.display()),
                at,
            ));
            return Vec::new();
        }
        if self.active.len() >= MAX_INCLUDES {
            self.found.push(Diagnostic::error(
                "Exceeded the maximum depth of included files",
                at,
            ));
            return Vec::new();
        }
        self.files += 1;
        if self.files > MAX_FILES {
            if self.files == MAX_FILES + 1 {
                let text = format!("More than {MAX_FILES} files are included");
                self.found.push(Diagnostic::error(text, at));
            }
            return Vec::new();
        }
        let text = match self.source.read(path) {
            Ok(text) => text,
            Err(error) => {
                self.unread = true;
                let error = if error.kind() == std::io::ErrorKind::NotFound {
                    "No such file or directory".to_owned()
                } else {
                    error.to_string()
                };
                let text = format!(
                    "Could not open configuration file {}: {error}",
                    path.display()
                );
                self.found.push(Diagnostic::error(text, at));
                return Vec::new();
            }
        };
        self.read.push(ReadFile {
            path: path.to_path_buf(),
            depth: self.active.len(),
            line: at.map(|at| at.line),
        });
        self.active.push(identity);
        let nodes = self.text(&path.display().to_string(), &text);
        self.active.pop();
        nodes
    }

    /// Reads text under a name.
    pub(crate) fn text(&mut self, name: &str, text: &str) -> Vec<Node> {
        let file = FileText::new(name, text);
        let mut top = Vec::new();
        let mut stack: Vec<Frame> = Vec::new();
        for line in logical_lines(&file) {
            let skipping = stack.iter().any(|frame| matches!(frame.kind, Kind::Skip));
            let line = if skipping {
                line
            } else {
                self.bytes(&file, &line);
                self.expand(&file, &line)
            };
            let line = trim(&line);
            match (line.first().map(|ch| ch.c), line.get(1).map(|ch| ch.c)) {
                (Some('<'), Some('/')) => self.close(&file, line, &mut stack, &mut top),
                (Some('<'), _) => self.open(&file, line, skipping, &mut stack),
                _ if skipping => {}
                _ => {
                    self.depth += stack.len();
                    let nodes = self.directive(&file, line);
                    self.depth -= stack.len();
                    stack
                        .last_mut()
                        .map_or(&mut top, |frame| &mut frame.children)
                        .extend(nodes);
                }
            }
        }
        for frame in stack {
            self.error(
                format!("{}> was not closed.", frame.name.text),
                &frame.name.at,
            );
        }
        top
    }

    /// What no directive can mean: bytes that are no text.
    fn bytes(&mut self, file: &FileText, line: &[Ch]) {
        let place = |wanted| {
            let i = line.iter().position(|ch| ch.c == wanted)?;
            Some(file.origin(&line[i..=i]))
        };
        if let Some(at) = place('\0') {
            self.error("NUL byte in a directive", &at);
        }
        if let Some(at) = place(char::REPLACEMENT_CHARACTER) {
            let text = "Bytes that are not UTF-8: they are read as U+FFFD";
            let found = Diagnostic::warning(text, Some(&at));
            self.found.push(found.with_help("save the file as UTF-8"));
        }
    }

    fn expand(&mut self, file: &FileText, line: &[Ch]) -> Vec<Ch> {
        let Self {
            env,
            defines,
            found,
            ..
        } = self;
        if !line
            .windows(2)
            .any(|two| two[0].c == '$' && two[1].c == '{')
        {
            return line.to_vec();
        }
        let value = |name: &str| match defines.iter().find(|(n, _)| n == name) {
            Some((_, value)) => Some(value.clone()),
            None => env(name),
        };
        let mut undefined = Vec::new();
        let out = expand(line, MAX_LINE, &value, &mut |name, run| {
            let text = format!("Config variable ${{{name}}} is not defined");
            undefined.push(Diagnostic::warning(text, Some(&file.origin(run))));
        });
        found.append(&mut undefined);
        out.unwrap_or_else(|| {
            let text = format!("Line is longer than {MAX_LINE} characters after its variables");
            found.push(Diagnostic::error(text, Some(&file.origin(line))));
            Vec::new()
        })
    }

    fn words(&mut self, file: &FileText, line: &[Ch]) -> Vec<Word> {
        words(file, line).unwrap_or_else(|at| {
            self.found.push(
                Diagnostic::error("Missing closing quote", Some(&at))
                    .with_help("add the same quote"),
            );
            Vec::new()
        })
    }

    fn open(&mut self, file: &FileText, line: &[Ch], skipping: bool, stack: &mut Vec<Frame>) {
        let end = line.iter().rposition(|ch| ch.c == '>');
        if end.is_none() && !skipping {
            self.error("Section is missing its closing '>'", &file.origin(line));
        }
        let body = &line[..end.unwrap_or(line.len())];
        let split = body
            .iter()
            .position(|ch| is_blank(ch.c))
            .unwrap_or(body.len());
        let text: String = body[..split].iter().map(|ch| ch.c).collect();
        let name = Word {
            text,
            at: file.origin(&body[..split]),
        };
        let args = if skipping {
            Vec::new()
        } else {
            self.words(file, &body[split..])
        };
        let mut kind = if skipping {
            Kind::Skip
        } else {
            self.kind(&name, &args)
        };
        if self.depth + stack.len() >= MAX_SECTIONS {
            if self.depth + stack.len() == MAX_SECTIONS {
                self.error("Sections are nested too deeply", &name.at);
            }
            kind = Kind::Skip;
        }
        stack.push(Frame {
            kind,
            name,
            args,
            children: Vec::new(),
        });
    }

    fn kind(&mut self, name: &Word, args: &[Word]) -> Kind {
        let known = schema::IMMEDIATE_SECTIONS
            .iter()
            .map(|(n, _)| n)
            .find(|n| n.eq_ignore_ascii_case(&name.text));
        let Some(known) = known else {
            return Kind::Section;
        };
        let [arg] = args else {
            self.error(format!("{known}> takes one argument"), &name.at);
            return Kind::Skip;
        };
        let (negated, wanted) = match arg.text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, &*arg.text),
        };
        let holds = match *known {
            "<IfDefine" => self.defines.iter().any(|(name, _)| name == wanted),
            "<IfModule" => schema::has_module(wanted),
            _ => self.source.exists(&self.root.join(wanted)),
        };
        if holds == negated {
            Kind::Skip
        } else {
            Kind::Splice
        }
    }

    fn close(&mut self, file: &FileText, line: &[Ch], stack: &mut Vec<Frame>, top: &mut Vec<Node>) {
        let at = file.origin(line);
        let text: String = line.iter().skip(2).map(|ch| ch.c).collect();
        let closing = text.trim_end_matches('>').trim();
        let Some(frame) = stack.pop() else {
            self.error(
                format!("</{closing}> without matching <{closing}> section"),
                &at,
            );
            return;
        };
        let opened = frame.name.text.trim_start_matches('<');
        if !opened.eq_ignore_ascii_case(closing) {
            self.error(format!("Expected </{opened}> but saw </{closing}>"), &at);
        }
        let siblings = stack.last_mut().map_or(top, |parent| &mut parent.children);
        match frame.kind {
            Kind::Skip => {}
            Kind::Splice => siblings.extend(frame.children),
            Kind::Section => {
                siblings.push(Node {
                    name: frame.name,
                    args: frame.args,
                    children: Some(frame.children),
                });
            }
        }
    }

    fn directive(&mut self, file: &FileText, line: &[Ch]) -> Vec<Node> {
        let mut args = self.words(file, line);
        if args.is_empty() {
            return Vec::new();
        }
        let name = args.remove(0);
        let known = schema::IMMEDIATE
            .iter()
            .find(|(n, ..)| n.eq_ignore_ascii_case(&name.text));
        let Some(&(known, min, max, _)) = known else {
            if name.text.eq_ignore_ascii_case("ServerRoot")
                && let Some(dir) = args.first()
            {
                self.root = self.root.join(&dir.text);
            }
            return vec![Node {
                name,
                args,
                children: None,
            }];
        };
        if !(min..=max).contains(&args.len()) {
            self.error(
                format!(
                    "{known} takes {} argument{}",
                    if min == 1 { "one" } else { "two" },
                    if min == 1 { "" } else { "s" }
                ),
                &name.at,
            );
            return Vec::new();
        }
        let first = &args[0];
        if first.text.is_empty() && known != "Error" {
            self.error(
                format!("{known} needs an argument that is not empty"),
                &first.at,
            );
            return Vec::new();
        }
        match known {
            "Define" if first.text.contains(':') => {
                self.error("Variable name must not contain ':'", &first.at)
            }
            "Define" => {
                self.defines.retain(|(name, _)| *name != first.text);
                let value = args
                    .get(1)
                    .map(|word| word.text.clone())
                    .unwrap_or_default();
                self.defines.push((first.text.clone(), value));
            }
            "UnDefine" => self.defines.retain(|(name, _)| *name != first.text),
            "LoadModule" => self.load_module(first),
            "Error" => self.error(first.text.clone(), &name.at),
            _ => return self.include(first, known == "IncludeOptional"),
        }
        Vec::new()
    }

    fn load_module(&mut self, name: &Word) {
        if self.loaded.contains(&name.text) {
            let text = format!("module {} is already loaded, skipping", name.text);
            self.found.push(Diagnostic::warning(text, Some(&name.at)));
            return;
        }
        self.loaded.push(name.text.clone());
        if schema::has_module(&name.text) {
            return;
        }
        if name.text.starts_with("mpm_") {
            let text = format!("{} is not available, the event model is used", name.text);
            self.found.push(Diagnostic::warning(text, Some(&name.at)));
            return;
        }
        let error = Diagnostic::error(
            format!("Module {} is not built in", name.text),
            Some(&name.at),
        );
        self.found
            .push(error.with_help("modules cannot be loaded; remove the line"));
    }

    fn include(&mut self, pattern: &Word, optional: bool) -> Vec<Node> {
        let path = self.root.join(&pattern.text);
        let mut paths = if self.source.is_dir(&path) {
            self.directory(&path, &pattern.at)
        } else if pattern.text.contains(['*', '?', '[']) {
            let found = self.wildcard(&path, &pattern.at);
            if found.is_empty() && !optional {
                let text = format!(
                    "Include: No matches for the wildcard '{}', failing",
                    path.display()
                );
                self.error(text, &pattern.at);
            }
            found
        } else if optional && !self.source.exists(&path) {
            Vec::new()
        } else {
            vec![path]
        };
        let mut nodes = Vec::new();
        self.include_all(&mut paths, &pattern.at, 0, &mut nodes);
        nodes
    }

    /// Reads files in sorted order; directories among them with all that is in them.
    fn include_all(
        &mut self,
        paths: &mut [PathBuf],
        at: &Origin,
        depth: usize,
        nodes: &mut Vec<Node>,
    ) {
        paths.sort();
        for path in paths {
            if !self.source.is_dir(path) {
                nodes.extend(self.file(path, Some(at)));
            } else if depth < MAX_INCLUDES {
                let mut inside = self.directory(path, at);
                self.include_all(&mut inside, at, depth + 1, nodes);
            } else {
                let text = format!("Directory {} is nested too deeply", path.display());
                self.error(text, at);
            }
        }
    }

    fn directory(&mut self, dir: &Path, at: &Origin) -> Vec<PathBuf> {
        self.source.list(dir).unwrap_or_else(|error| {
            self.error(
                format!("Could not open directory {}: {error}", dir.display()),
                at,
            );
            Vec::new()
        })
    }

    /// Walks the pattern's components, so that wildcards may also stand in directory names.
    fn wildcard(&mut self, pattern: &Path, at: &Origin) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::new()];
        for part in pattern.components() {
            let text = part.as_os_str().to_string_lossy();
            if !text.contains(['*', '?', '[']) {
                found.iter_mut().for_each(|path| path.push(part));
                continue;
            }
            let wanted = match glob::Pattern::new(&text) {
                Ok(wanted) => wanted,
                Err(error) => {
                    self.error(format!("Invalid wildcard '{text}': {}", error.msg), at);
                    return Vec::new();
                }
            };
            let lists = found.iter().filter_map(|dir| self.source.list(dir).ok());
            let fits = |path: &PathBuf| {
                path.file_name()
                    .is_some_and(|n| wanted.matches(&n.to_string_lossy()))
            };
            found = lists.flatten().filter(fits).collect();
        }
        found.retain(|path| self.source.exists(path));
        found
    }
}
