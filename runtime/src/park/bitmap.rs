//! Lowest-free-first allocation of slot indices, so that survivors sit close together and pages empty.

/// Slots whose pages are given back together.
pub(crate) const BLOCK: u32 = 1024;

/// Used bits in level 0; each higher bit says that the 64 below it are all used.
pub(crate) struct Bitmap {
    levels: Vec<Vec<u64>>,
    live: Vec<u16>,
    capacity: u32,
    used: u32,
}

impl Bitmap {
    /// Room for `capacity` indices; untouched memory stays untouched.
    pub(crate) fn new(capacity: u32) -> Self {
        let mut levels = Vec::new();
        let mut bits = capacity as usize;
        loop {
            let words = bits.div_ceil(64).max(1);
            levels.push(vec![0u64; words]);
            if words == 1 {
                break;
            }
            bits = words;
        }
        Self {
            levels,
            live: vec![0; capacity.div_ceil(BLOCK) as usize],
            capacity,
            used: 0,
        }
    }

    /// Indices in use.
    #[cfg(test)]
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// The lowest free index.
    pub(crate) fn alloc(&mut self) -> Option<u32> {
        let mut word = 0usize;
        for level in (0..self.levels.len()).rev() {
            let free = (!*self.levels[level].get(word)?).trailing_zeros() as usize;
            if free == 64 {
                return None;
            }
            word = word * 64 + free;
        }
        let index = u32::try_from(word).ok().filter(|i| *i < self.capacity)?;
        let mut at = word;
        for level in &mut self.levels {
            level[at / 64] |= 1 << (at % 64);
            if level[at / 64] != u64::MAX {
                break;
            }
            at /= 64;
        }
        self.live[(index / BLOCK) as usize] += 1;
        self.used += 1;
        Some(index)
    }

    /// Gives an index back; true when its block of [`BLOCK`] has become empty.
    pub(crate) fn free(&mut self, index: u32) -> bool {
        let mut at = index as usize;
        debug_assert!(self.levels[0][at / 64] & 1 << (at % 64) != 0, "freed twice");
        for level in &mut self.levels {
            let was_full = level[at / 64] == u64::MAX;
            level[at / 64] &= !(1 << (at % 64));
            if !was_full {
                break;
            }
            at /= 64;
        }
        self.used -= 1;
        let live = &mut self.live[(index / BLOCK) as usize];
        *live -= 1;
        *live == 0
    }

    /// Every index in use, lowest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.iter_from(0)
    }

    /// Every index in use that is not below `first`, lowest first.
    pub(crate) fn iter_from(&self, first: u32) -> impl Iterator<Item = u32> + '_ {
        self.levels[0]
            .iter()
            .enumerate()
            .skip(first as usize / 64)
            .filter(|(_, word)| **word != 0)
            .flat_map(|(w, word)| {
                (0..64)
                    .filter(move |b| word & 1 << b != 0)
                    .map(move |b| (w * 64 + b) as u32)
            })
            .skip_while(move |index| *index < first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn always_the_lowest_free(capacity in 1u32..9_000, script in proptest::collection::vec(any::<(bool, u32)>(), 0..600)) {
            let mut bitmap = Bitmap::new(capacity);
            let mut used = BTreeSet::new();
            for (take, n) in script {
                if take || used.is_empty() {
                    let lowest = (0..capacity).find(|i| !used.contains(i));
                    prop_assert_eq!(bitmap.alloc(), lowest);
                    used.extend(lowest);
                } else {
                    let victim = *used.iter().nth(n as usize % used.len()).unwrap();
                    used.remove(&victim);
                    let block = victim / BLOCK;
                    let empty = !used.iter().any(|i| i / BLOCK == block);
                    prop_assert_eq!(bitmap.free(victim), empty);
                }
                prop_assert_eq!(bitmap.used() as usize, used.len());
            }
            let first = capacity / 3;
            let later: Vec<u32> = used.range(first..).copied().collect();
            prop_assert_eq!(bitmap.iter_from(first).collect::<Vec<_>>(), later);
            prop_assert_eq!(bitmap.iter().collect::<BTreeSet<_>>(), used);
        }
    }

    #[test]
    fn a_full_bitmap_refuses() {
        let mut bitmap = Bitmap::new(4096);
        for i in 0..4096 {
            assert_eq!(bitmap.alloc(), Some(i));
        }
        assert_eq!(bitmap.alloc(), None);
        bitmap.free(77);
        assert_eq!(bitmap.alloc(), Some(77));
    }
}
