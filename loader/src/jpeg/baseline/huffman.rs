use super::bits::{Bits, extend};

/// Bits that one look into the table resolves. Longer codes are one in a few hundred in photographs.
const LOOK: u32 = 10;
/// The longest code (ITU T.81, C.2).
const LONGEST: usize = 16;
/// Set in an entry that has all of a code and the number behind it.
const COMPLETE: u32 = 1 << 5;
/// Coefficients that an end-of-block code passes: more than any runs can.
pub(super) const END_OF_BLOCK: usize = 128;
/// Coefficients of a block.
pub(super) const COEFFICIENTS: usize = 64;

/// Coefficients in natural order, row by row. What is behind them is where an end of block puts its nothing.
pub(super) type Block = [i16; 2 * COEFFICIENTS];

/// Where the coefficients of a zigzag sequence are in a block. A run that leads out of the block ends at its last one, as
/// with libjpeg; what an end of block leads to is behind it.
static NATURAL: [u8; 256] = {
    let mut natural = [COEFFICIENTS as u8 - 1; 256];
    let mut end = END_OF_BLOCK;
    while end < natural.len() {
        natural[end] = COEFFICIENTS as u8;
        end += 1;
    }
    let (mut k, mut diagonal) = (0, 0);
    while diagonal < 15 {
        let mut step = 0;
        while step <= diagonal {
            // Odd diagonals go down and to the left, even ones up and to the right (ITU T.81, figure 5).
            let (row, column) = if diagonal % 2 == 1 {
                (step, diagonal - step)
            } else {
                (diagonal - step, step)
            };
            if row < 8 && column < 8 {
                natural[k] = (row * 8 + column) as u8;
                k += 1;
            }
            step += 1;
        }
        diagonal += 1;
    }
    natural
};

/// Where the `k`-th coefficient of the zigzag sequence is in a block.
#[inline(always)]
pub(super) fn natural(k: usize) -> usize {
    usize::from(NATURAL[k & 255]) & (2 * COEFFICIENTS - 1)
}

/// No code of a table starts like the bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ImpossibleCode;

/// One or two coefficients that a few bits have all of, and how far they lead in the zigzag sequence, in one number that is
/// loaded at once. From the lowest byte on: bits to skip, or 0 if the bits do not have all of a coefficient; what to go on
/// by; where the two go, from where they start; and the two numbers, of 16 bits.
#[derive(Debug, Clone, Copy, Default)]
struct Pair(u64);

impl Pair {
    fn new(length: u32, advance: u32, places: [u32; 2], numbers: [i16; 2]) -> Self {
        let places = u64::from(places[0]) << 16 | u64::from(places[1]) << 24;
        let numbers = u64::from(numbers[0] as u16) << 32 | u64::from(numbers[1] as u16) << 48;
        Self(u64::from(length) | u64::from(advance) << 8 | places | numbers)
    }

    /// What one entry says, which is complete.
    fn single(entry: u32) -> Self {
        let run = entry >> 8 & 255;
        Self::new(
            entry & 31,
            run + 1,
            [run, END_OF_BLOCK as u32],
            [(entry >> 16) as i16, 0],
        )
    }

    /// What two entries say one after the other, which are complete and of which the first is no end of block.
    fn double(entry: u32, next: u32) -> Self {
        let (first, next) = (Self::single(entry), Self::single(next));
        // An end of block puts its nothing where it does no harm from anywhere.
        let place = if next.ends_block() {
            END_OF_BLOCK
        } else {
            first.advance() + next.place(0)
        };
        Self::new(
            first.length() + next.length(),
            (first.advance() + next.advance()) as u32,
            [first.place(0) as u32, place as u32],
            [first.number(0), next.number(0)],
        )
    }

    fn ends_block(self) -> bool {
        self.advance() > END_OF_BLOCK
    }

    #[inline(always)]
    fn length(self) -> u32 {
        self.0 as u32 & 255
    }

    #[inline(always)]
    fn advance(self) -> usize {
        (self.0 >> 8 & 255) as usize
    }

    #[inline(always)]
    fn place(self, at: usize) -> usize {
        (self.0 >> (16 + 8 * at) & 255) as usize
    }

    #[inline(always)]
    fn number(self, at: usize) -> i16 {
        (self.0 >> (32 + 16 * at)) as i16
    }
}

/// From here on a block may be full after one coefficient, so that they are taken one at a time.
const LAST_PAIR: usize = COEFFICIENTS - 16;

/// A Huffman table, made for decoding a code and the number behind it at one look, or two of them.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// By the next bits. Bits 0 to 4: bits to skip. [`COMPLETE`]: bits 8 to 15 are the run of zeros, 16 to 31 the number;
    /// otherwise bits 8 to 15 are the symbol, or no code is that short and the entry is 0.
    look: Box<[u32; 1 << LOOK]>,
    /// One or two coefficients by the next bits; see [`Pair`]. Not filled for tables of differences.
    pairs: Box<[Pair; 1 << LOOK]>,
    /// The first code of 16 bits that is longer than so many bits.
    limits: [u32; LONGEST + 1],
    /// What to add to a code of so many bits to get its symbol's place.
    offsets: [i32; LONGEST + 1],
    symbols: [u8; 256],
    /// The segment's content that the table was made of; empty if there was none.
    definition: Vec<u8>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            look: Box::new([0; 1 << LOOK]),
            pairs: Box::new([Pair::default(); 1 << LOOK]),
            limits: [0; LONGEST + 1],
            offsets: [0; LONGEST + 1],
            symbols: [0; 256],
            definition: Vec::new(),
        }
    }
}

impl Table {
    /// Makes the table of a definition: the numbers of codes of 1 to 16 bits, and their symbols. Does nothing if it has
    /// been made of the same before. Says whether the definition is sound.
    pub(super) fn define(&mut self, definition: &[u8], paired: bool) -> bool {
        if self.definition == definition {
            return !definition.is_empty();
        }
        self.definition.clear();
        let Some((counts, symbols)) = definition.split_at_checked(LONGEST) else {
            return false;
        };
        if symbols.is_empty() || symbols.len() > self.symbols.len() {
            return false;
        }
        self.look.fill(0);
        self.symbols[..symbols.len()].copy_from_slice(symbols);
        let (mut code, mut place) = (0_u32, 0);
        for (length, &count) in (1_u32..).zip(counts) {
            self.offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..count {
                let Some(&symbol) = symbols.get(place) else {
                    return false;
                };
                // No code consists of ones alone (ITU T.81, C.2).
                if code + 1 >= 1 << length {
                    return false;
                }
                if length <= LOOK {
                    self.enter(code, length, symbol);
                }
                code += 1;
                place += 1;
            }
            self.limits[length as usize] = code << (LONGEST as u32 - length);
            code <<= 1;
        }
        if place != symbols.len() {
            return false;
        }
        if paired {
            self.pair();
        }
        self.definition.extend(definition);
        true
    }

    /// Fills the table of pairs.
    fn pair(&mut self) {
        for (bits, pair) in self.pairs.iter_mut().enumerate() {
            let entry = self.look[bits];
            if entry & COMPLETE == 0 {
                *pair = Pair::default();
                continue;
            }
            let first = Pair::single(entry);
            let next = self.look[bits << first.length() & ((1 << LOOK) - 1)];
            let fits = next & COMPLETE != 0 && first.length() + (next & 31) <= LOOK;
            *pair = if fits && !first.ends_block() {
                Pair::double(entry, next)
            } else {
                first
            };
        }
    }

    /// Enters a code of at most [`LOOK`] bits.
    fn enter(&mut self, code: u32, length: u32, symbol: u8) {
        let free = LOOK - length;
        let entries = &mut self.look[(code << free) as usize..][..1 << free];
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        if size > free {
            entries.fill(length | u32::from(symbol) << 8);
        } else if size == 0 {
            let run = if run == 15 { run } else { END_OF_BLOCK as u32 };
            entries.fill(length | COMPLETE | run << 8);
        } else {
            for (number, entries) in entries.chunks_exact_mut(1 << (free - size)).enumerate() {
                let number = extend(number as i32, size) as u32;
                entries.fill((length + size) | COMPLETE | run << 8 | number << 16);
            }
        }
    }

    /// Whether every symbol is the size of a number, as those of differences are.
    pub(super) fn has_only_sizes(&self) -> bool {
        self.definition
            .iter()
            .skip(LONGEST)
            .all(|&symbol| symbol < 16)
    }

    /// The symbol that the entry or, for a long code, the bits say; its code is skipped.
    #[inline(always)]
    fn symbol(&self, bits: &mut Bits<'_>, entry: u32) -> Result<u32, ImpossibleCode> {
        let (length, symbol) = match entry {
            0 => self.long_symbol(bits.peek::<{ LONGEST as u32 }>() as u32)?,
            _ => (entry & 31, entry >> 8),
        };
        bits.skip(length);
        Ok(symbol)
    }

    /// The length and the symbol of the code that the next 16 bits start with, longer than [`LOOK`].
    #[cold]
    #[inline(never)]
    fn long_symbol(&self, code: u32) -> Result<(u32, u32), ImpossibleCode> {
        let length = (LOOK as usize + 1..=LONGEST).find(|&length| code < self.limits[length]);
        let length = length.ok_or(ImpossibleCode)?;
        let place = (code >> (LONGEST - length)) as i32 + self.offsets[length];
        Ok((length as u32, self.symbols[place as usize & 255].into()))
    }

    /// The next difference of the first coefficients of two blocks.
    #[inline(always)]
    fn difference(&self, bits: &mut Bits<'_>) -> Result<i32, ImpossibleCode> {
        let entry = self.look[bits.peek::<LOOK>()];
        bits.refill();
        if entry & COMPLETE != 0 {
            bits.skip(entry & 31);
            return Ok(entry as i32 >> 16);
        }
        match self.symbol(bits, entry)? & 15 {
            0 => Ok(0),
            size => Ok(bits.number(size)),
        }
    }
}

/// Decodes the coefficients of a block into `block`, whose first 64 numbers are zeros, unless they are not to be kept.
/// Gives back how many there are up to the last that is not zero, at least 1, 64 if it may be any.
#[inline(always)]
pub(super) fn decode_block<const KEEP: bool>(
    reader: &mut Bits<'_>,
    (dc, ac): (&Table, &Table),
    prediction: &mut i32,
    block: &mut Block,
) -> Result<usize, ImpossibleCode> {
    // A copy, which can be kept in registers.
    let mut copy = *reader;
    let bits = &mut copy;
    *prediction = prediction.wrapping_add(dc.difference(bits)?);
    if KEEP {
        block[0] = *prediction as i16;
    }
    let mut k = 1;
    while k < LAST_PAIR {
        let pair = ac.pairs[bits.peek::<LOOK>()];
        bits.refill();
        if pair.length() == 0 {
            k = one::<KEEP>(bits, ac, k, block)?;
            continue;
        }
        if KEEP {
            block[natural(k + pair.place(0))] = pair.number(0);
            block[natural(k + pair.place(1))] = pair.number(1);
        }
        k += pair.advance();
        bits.skip(pair.length());
    }
    while k < COEFFICIENTS {
        bits.refill();
        k = one::<KEEP>(bits, ac, k, block)?;
    }
    *reader = copy;
    Ok(k.checked_sub(END_OF_BLOCK + 1).unwrap_or(COEFFICIENTS))
}

/// Decodes one coefficient; gives back where the next one would go.
#[inline(always)]
fn one<const KEEP: bool>(
    bits: &mut Bits<'_>,
    ac: &Table,
    mut k: usize,
    block: &mut Block,
) -> Result<usize, ImpossibleCode> {
    let entry = ac.look[bits.peek::<LOOK>()];
    if entry & COMPLETE != 0 {
        k += (entry >> 8 & 255) as usize;
        if KEEP {
            block[natural(k)] = (entry >> 16) as i16;
        }
        bits.skip(entry & 31);
    } else {
        let symbol = ac.symbol(bits, entry)?;
        let (run, size) = ((symbol >> 4) as usize, symbol & 15);
        k += if size == 0 && run != 15 {
            END_OF_BLOCK
        } else {
            run
        };
        if size > 0 {
            let number = bits.number(size);
            if KEEP {
                block[natural(k)] = number as i16;
            }
        }
    }
    Ok(k + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zigzag_is_that_of_the_standard() {
        // Rows of ITU T.81, figure A.6.
        let rows = [[0, 1, 5, 6, 14, 15, 27, 28], [2, 4, 7, 13, 16, 26, 29, 42]];
        for (row, numbers) in rows.iter().enumerate() {
            for (column, &k) in numbers.iter().enumerate() {
                assert_eq!(natural(k), row * 8 + column);
            }
        }
        let mut places: Vec<usize> = (0..64).map(natural).collect();
        places.sort_unstable();
        assert!(places.into_iter().eq(0..64));
        assert!((64..128).all(|k| natural(k) == 63));
        assert!((128..256).all(|k| natural(k) == 64));
    }

    #[test]
    fn unsound_definitions_are_refused() {
        let mut table = Table::default();
        let define = |table: &mut Table, counts: &[(usize, u8)], symbols: &[u8]| {
            let mut definition = [0; 16];
            for &(length, count) in counts {
                definition[length - 1] = count;
            }
            table.define(&[&definition[..], symbols].concat(), true)
        };
        assert!(define(&mut table, &[(1, 1), (2, 1)], &[1, 2]));
        // All ones; more codes than there are; too few and too many symbols; none.
        assert!(!define(&mut table, &[(1, 2)], &[1, 2]));
        assert!(!define(&mut table, &[(1, 1), (2, 3)], &[1, 2, 3, 4]));
        assert!(!define(&mut table, &[(2, 3)], &[1, 2]));
        assert!(!define(&mut table, &[(2, 1)], &[1, 2]));
        assert!(!define(&mut table, &[], &[]));
        assert!(table.definition.is_empty());
    }
}
