//! What went wrong, where, and what to do about it.
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Path of the file as it was opened, or `-C/-c directives`.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Byte range inside [`Origin::text`].
    pub span: Range<usize>,
    /// The physical line itself.
    pub text: Arc<str>,
}

impl Origin {
    /// The place of `part` within this one; this one, if `part` is not written here as it is.
    #[must_use]
    pub fn part(&self, part: &str) -> Self {
        let here = self.text.get(self.span.clone()).unwrap_or_default();
        let Some(at) = here.find(part) else {
            return self.clone();
        };
        Self {
            column: self.column + here[..at].chars().count() as u32,
            span: self.span.start + at..self.span.start + at + part.len(),
            ..self.clone()
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value with the place it was written at; `at` is `None` for a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was set; `None` means it is a default.
    pub at: Option<Origin>,
}

impl<T> Located<T> {
    /// A value nobody wrote.
    pub const fn default_value(value: T) -> Self {
        Self { value, at: None }
    }
    /// A value written at `at`.
    pub const fn new(value: T, at: Origin) -> Self {
        Self {
            value,
            at: Some(at),
        }
    }
    /// Whether a file or an option set it.
    pub const fn is_set(&self) -> bool {
        self.at.is_some()
    }
}

impl<T> Deref for Located<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// The configuration works, probably not as meant.
    Warning,
    /// The configuration cannot be used.
    Error,
}

/// One finding about a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// One sentence, without position.
    pub message: String,
    /// Where; `None` if it concerns the whole configuration.
    pub at: Option<Origin>,
    /// What to do next, when known.
    pub help: Option<String>,
}

impl Diagnostic {
    fn new(severity: Severity, message: impl Into<String>, at: Option<&Origin>) -> Self {
        Self {
            severity,
            message: message.into(),
            at: at.cloned(),
            help: None,
        }
    }
    /// An error at a place.
    pub fn error(message: impl Into<String>, at: Option<&Origin>) -> Self {
        Self::new(Severity::Error, message, at)
    }
    /// A warning at a place.
    pub fn warning(message: impl Into<String>, at: Option<&Origin>) -> Self {
        Self::new(Severity::Warning, message, at)
    }
    /// An information at a place.
    pub fn info(message: impl Into<String>, at: Option<&Origin>) -> Self {
        Self::new(Severity::Info, message, at)
    }
    /// Adds what to do next.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// File, if known.
    pub fn file(&self) -> Option<&str> {
        self.at.as_ref().map(|at| &*at.file)
    }
    /// Line from 1, if known.
    pub fn line(&self) -> Option<u32> {
        self.at.as_ref().map(|at| at.line)
    }
    /// Column in characters from 1, if known.
    pub fn column(&self) -> Option<u32> {
        self.at.as_ref().map(|at| at.column)
    }
    /// Apache's one-line shape, `Syntax error on line 3 of F: message`, for errors; `F:3:1: message` for the rest.
    pub fn one_line(&self) -> String {
        match (&self.at, self.severity) {
            (Some(at), Severity::Error) => {
                format!(
                    "Syntax error on line {} of {}: {}",
                    at.line, at.file, self.message
                )
            }
            (Some(at), _) => format!("{at}: {}", self.message),
            (None, _) => self.message.clone(),
        }
    }
    /// Several lines: the source line with a caret below it, and the help. Plain text without feature `pretty`.
    pub fn render(&self) -> String {
        self.render_pretty().unwrap_or_else(|| self.to_string())
    }

    #[cfg(not(feature = "pretty"))]
    fn render_pretty(&self) -> Option<String> {
        None
    }

    #[cfg(feature = "pretty")]
    fn render_pretty(&self) -> Option<String> {
        use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
        let at = self.at.as_ref()?;
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Info => Level::INFO,
        };
        let snippet = Snippet::source(&*at.text)
            .line_start(at.line as usize)
            .path(&*at.file)
            .annotation(AnnotationKind::Primary.span(at.span.clone()));
        let mut group = level.primary_title(self.message.as_str()).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        Some(Renderer::plain().render(&[group]))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.one_line())?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}
