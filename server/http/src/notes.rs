//! What an observer hears of an exchange beside what is sent.

use crate::framing;
use std::borrow::Cow;

/// Travels with the answer, so that an exchange that has none carries nothing.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    named: Vec<(&'static str, Cow<'static, str>)>,
    /// The lines of the request's trailers.
    pub(crate) trailers: Vec<u8>,
}

impl Notes {
    pub(crate) fn set(&mut self, name: &'static str, value: Cow<'static, str>) {
        self.named.retain(|(known, _)| *known != name);
        self.named.push((name, value));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.named.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| &**value)
    }

    pub(crate) fn trailer(&self, name: &str) -> Option<&[u8]> {
        framing::named(&self.trailers, name)
    }
}
