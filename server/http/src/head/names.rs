//! Which fields a head may have, noted in the one walk that builds it: later steps look for theirs only if they can be
//! there.

/// A set of field names by length and first letter, one bit each. Two names can share a bit, so it only ever says that
/// a name is not there; the factor keeps what framing and preconditions look for apart from what every browser sends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names(u64);

impl Names {
    pub(crate) const fn of(names: &[&str]) -> Self {
        let mut set = Self(0);
        let mut i = 0;
        while i < names.len() {
            set.add(names[i].as_bytes());
            i += 1;
        }
        set
    }

    /// Either case of a letter has the same five low bits.
    #[inline]
    pub(super) const fn add(&mut self, name: &[u8]) {
        if let [first, ..] = name {
            let letter = *first as u32 & 31;
            self.0 |= 1u64.wrapping_shl(name.len() as u32 + 35 * letter);
        }
    }

    /// Whether a name of `others` may be among them.
    #[inline]
    pub(crate) const fn may_have(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}
