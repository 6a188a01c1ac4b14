//! Who wants to hear what became of an answer.

use std::fmt;

/// Told once whether something was written to its end: `true` by [`Written::tell`], `false` when it is dropped before,
/// because the connection failed, timed out or was closed.
///
/// It may be told on any thread of the runtime, so it must not block; a panic in it ends that thread.
///
/// ```
/// use parkade::Written;
/// use std::sync::mpsc::channel;
///
/// let (tell, told) = channel();
/// let other = tell.clone();
/// Written::new(move |whole| drop(tell.send(whole))).tell();
/// drop(Written::new(move |whole| drop(other.send(whole))));
/// assert_eq!(told.iter().collect::<Vec<_>>(), [true, false]);
/// ```
pub struct Written(Option<Box<dyn FnOnce(bool) + Send>>);

impl Written {
    /// Calls `f` with what is told.
    pub fn new(f: impl FnOnce(bool) + Send + 'static) -> Self {
        Self(Some(Box::new(f)))
    }

    /// All of it was written: the kernel has taken the last byte.
    pub fn tell(mut self) {
        if let Some(f) = self.0.take() {
            f(true);
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f(false);
        }
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written")
    }
}
