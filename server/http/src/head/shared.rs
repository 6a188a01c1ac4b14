//! The parts of a head for those who keep them: one copy of the whole serves them all.

use super::{Head, Span};
use bytes::Bytes;

/// A head whose parts outlive it.
pub(crate) struct Shared<'a> {
    head: &'a Head,
    bytes: Bytes,
}

impl Head {
    /// Copies the head once.
    pub(crate) fn shared(&self) -> Shared<'_> {
        Shared {
            head: self,
            bytes: Bytes::copy_from_slice(&self.bytes),
        }
    }
}

impl Shared<'_> {
    fn part(&self, span: Span) -> Bytes {
        let (start, end) = (span.start as usize, span.start as usize + span.len as usize);
        match self.bytes.len() {
            all if end <= all => self.bytes.slice(start..end),
            _ => Bytes::new(),
        }
    }

    /// The request target as it was sent.
    pub(crate) fn target(&self) -> Bytes {
        self.part(self.head.target)
    }

    /// How many fields there are.
    pub(crate) fn len(&self) -> usize {
        self.head.fields.len()
    }

    /// The fields in the order they came.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], Bytes)> {
        let fields = self.head.fields.iter();
        fields.map(|(name, value)| (self.head.get(*name), self.part(*value)))
    }
}
