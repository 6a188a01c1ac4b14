//! Where files come from: the core never touches the disk itself.
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Access to configuration files.
pub trait Source {
    /// The whole file as text; invalid UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// The operating system's error, shown to the user as it is.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// Whether `path` is a directory.
    fn is_dir(&self, path: &Path) -> bool;
    /// Whether `path` exists.
    fn exists(&self, path: &Path) -> bool;
    /// Full paths of a directory's entries, in any order.
    ///
    /// # Errors
    /// The operating system's error.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// A name that is the same for every path to the same file, so that a file including itself is noticed.
    fn identity(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }
}

/// Bytes of a file; an Include of a device ends here instead of filling the memory.
const MAX_FILE: u64 = 16 << 20;

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct StdSource;

impl Source for StdSource {
    fn read(&self, path: &Path) -> io::Result<String> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::other("larger than a configuration may be"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(dir)?
            .map(|entry| entry.map(|e| e.path()))
            .collect()
    }
    fn identity(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
    }
}

/// Files held in memory, for tests and for fuzzing.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    files: BTreeMap<PathBuf, String>,
}

impl MemorySource {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds a file; its directories exist from then on.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl Source for MemorySource {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::Error::from_raw_os_error(2))
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.files
            .keys()
            .any(|file| file != path && file.starts_with(path))
    }
    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path) || self.is_dir(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names: Vec<PathBuf> = self
            .files
            .keys()
            .filter_map(|file| Some(dir.join(file.strip_prefix(dir).ok()?.components().next()?)))
            .collect();
        names.dedup();
        Ok(names)
    }
}
