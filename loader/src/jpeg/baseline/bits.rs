use super::super::markers::MARKER;

/// The bits of one segment of entropy-coded data, most significant first, with the stuffing taken out.
///
/// Where a marker or the end of the data comes, zeros follow; [`overrun`](Self::overrun) says whether any were used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// The next byte to look at.
    at: usize,
    /// The bits that were not used yet, from the most significant on.
    window: u64,
    /// How many bits of the window are accounted for. Those after them are zeros, or what the next bytes have there.
    count: u32,
    /// How many of them are zeros that the data does not have.
    padding: u32,
}

impl<'a> Bits<'a> {
    /// The bits of `data` from `at` on.
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        let mut bits = Self {
            data,
            at,
            window: 0,
            count: 0,
            padding: 0,
        };
        bits.refill();
        bits
    }

    /// Makes sure that there are at least 56 bits: the longest code and the longest number behind it, and after that still
    /// enough to look into a table before the next refill, so that neither waits for the other.
    ///
    /// It always takes what fits: whether that is nothing would be hard to foresee.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if let Some(bytes) = self.data.get(self.at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_be_bytes(*bytes);
            let taken = (63 - self.count) / 8;
            let markers = marker_bytes(word);
            if markers == 0 {
                self.window |= word >> self.count;
                self.at += taken as usize;
                self.count += taken * 8;
                return;
            }
            let whole = markers.leading_zeros() / 8;
            if whole >= taken {
                self.window |= (word & !(u64::MAX >> (taken * 8))) >> self.count;
                self.at += taken as usize;
                self.count += taken * 8;
                return;
            }
        }
        *self = self.refilled_bytewise();
    }

    /// Refills near stuffing, a marker or the end. By value, so that the caller may keep its own in registers.
    #[cold]
    #[inline(never)]
    fn refilled_bytewise(mut self) -> Self {
        while self.count < 56 {
            let byte = match self.data.get(self.at..) {
                Some(&[MARKER, 0, ..]) => {
                    self.at += 2;
                    MARKER
                }
                Some(&[byte, ..]) if byte != MARKER => {
                    self.at += 1;
                    byte
                }
                _ => {
                    let zeros = (63 - self.count) / 8 * 8;
                    self.padding += zeros;
                    self.count += zeros;
                    break;
                }
            };
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    /// The next `N` bits, which remain.
    #[inline(always)]
    pub(super) fn peek<const N: u32>(&self) -> usize {
        (self.window >> (64 - N)) as usize
    }

    /// Leaves out `n` bits, at most those that are ensured.
    #[inline(always)]
    pub(super) fn skip(&mut self, n: u32) {
        self.window <<= n;
        self.count -= n;
    }

    /// The next `n` bits as the signed number that they are behind a code of that size (ITU T.81, F.2.2.1). `n` from 1
    /// to 15.
    #[inline(always)]
    pub(super) fn number(&mut self, n: u32) -> i32 {
        let found = extend((self.window >> (64 - n)) as i32, n);
        self.skip(n);
        found
    }

    /// Whether more bits were used than the data has.
    #[inline(always)]
    pub(super) fn overrun(&self) -> bool {
        self.count < self.padding
    }

    /// About where the next bit is, from the start of the data.
    pub(super) fn position(&self) -> usize {
        self.at - (self.count.saturating_sub(self.padding) / 8) as usize
    }
}

/// The signed number that `n` bits stand for: those that start with 0 are negative.
#[inline(always)]
pub(super) fn extend(bits: i32, n: u32) -> i32 {
    if bits < 1 << (n - 1) {
        bits - (1 << n) + 1
    } else {
        bits
    }
}

/// Marks the highest bit of each byte that is the first of a marker or of stuffing, 255; of bytes in front of one now and
/// then another.
#[inline(always)]
fn marker_bytes(word: u64) -> u64 {
    // A byte of the complement that is zero borrows from its highest bit.
    const ONES: u64 = u64::MAX / 255;
    (!word).wrapping_sub(ONES) & word & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_those_of_the_bytes_without_stuffing(
            plain in prop::collection::vec(prop_oneof![Just(255_u8), any::<u8>()], 0..60),
            widths in prop::collection::vec(1_u32..=15, 0..60), marker: bool,
        ) {
            let mut stuffed = Vec::new();
            for &byte in &plain {
                stuffed.push(byte);
                if byte == MARKER {
                    stuffed.push(0);
                }
            }
            if marker {
                stuffed.extend([MARKER, 0xd9, 1, 2, 3, 4, 5, 6, 7, 8]);
            }
            let mut bits = Bits::new(&stuffed, 0);
            let bit = |at: usize| plain.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
            let mut at = 0;
            for n in widths {
                bits.refill();
                let expected = (0..n as usize).fold(0, |sum, i| sum << 1 | i32::from(bit(at + i)));
                prop_assert_eq!(bits.number(n), extend(expected, n));
                at += n as usize;
                prop_assert_eq!(bits.overrun(), at > plain.len() * 8);
            }
        }

        #[test]
        fn marks_bytes_of_255(bytes: [u8; 8], at in 0..8_usize, more: bool) {
            let mut bytes = bytes;
            if more {
                bytes[at] = MARKER;
            }
            let marks = marker_bytes(u64::from_be_bytes(bytes));
            for (number, byte) in bytes.into_iter().enumerate() {
                let marked = marks & (0x80 << (56 - number * 8)) != 0;
                prop_assert!(marked || byte != MARKER);
                let behind = bytes[number..].contains(&MARKER);
                prop_assert!(!marked || behind);
            }
        }
    }
}
