//! Errors that name the operation, its object and the operating system's answer.

use std::fmt;
use std::io;

/// The result of the runtime's own operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation of the runtime that failed.
///
/// `Display` gives the operation, the object it was applied to and the cause.
#[derive(Debug)]
pub struct Error {
    operation: &'static str,
    object: String,
    source: io::Error,
}

impl Error {
    pub(crate) fn new(
        operation: &'static str,
        object: impl Into<String>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self {
            operation,
            object: object.into(),
            source: source.into(),
        }
    }

    /// The operation that failed, such as `"bind"` or `"epoll_create"`.
    #[must_use]
    pub fn operation(&self) -> &str {
        self.operation
    }

    /// The kind of the underlying I/O error.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The operating system's error number, if it gave one.
    #[must_use]
    pub fn os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object.is_empty() {
            write!(f, "{}: {}", self.operation, self.source)
        } else {
            write!(f, "{} {}: {}", self.operation, self.object, self.source)
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self {
            operation: "i/o",
            object: String::new(),
            source,
        }
    }
}

impl From<Error> for io::Error {
    fn from(e: Error) -> Self {
        io::Error::new(e.source.kind(), e)
    }
}
