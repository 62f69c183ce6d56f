/// What each output position of one axis reads: a first input position, and weights from there on.
///
/// Weights are Pillow's and fast_image_resize's: bicubic with a = −0.5, widened when the axis shrinks, made to add up to
/// 1 over the positions that exist, then rounded to as many fractional bits as the largest leaves room for in 16.
#[derive(Debug, Default, Clone)]
pub(crate) struct Taps {
    /// `[out]`
    first: Vec<u32>,
    /// `[out, per_output]`, padded with zeros.
    weights: Vec<i16>,
    per_output: usize,
    /// The number of fractional bits of the weights, at most 21.
    precision: u8,
    /// The weights before they are rounded.
    exact: Vec<f64>,
}

/// The room for a weight: a sum of weighted levels must fit 32 bits with a sign and one to spare.
const MAX_PRECISION: u8 = 32 - 8 - 2;

impl Taps {
    /// Works out what resizing from `length` to `out_length` positions takes, in groups of `group` weights; `mirrored` for
    /// outputs from the last to the first. It allocates only where it outgrows what it held before.
    pub(crate) fn fill(&mut self, length: u32, out_length: u32, group: usize, mirrored: bool) {
        let scale = f64::from(length) / f64::from(out_length);
        let widened = scale.max(1.0);
        let (radius, narrowing) = (2.0 * widened, 1.0 / widened);
        // As many whole positions as lie within the radius on both sides, at most.
        self.per_output = ((2.0 * radius).ceil() as usize).next_multiple_of(group);
        self.first.clear();
        self.exact.clear();
        let mut largest = 0.0_f64;
        for at in 0..out_length {
            let at = if mirrored { out_length - 1 - at } else { at };
            let center = (f64::from(at) + 0.5) * scale;
            // Rounded; `as` makes 0 of what is below.
            let first = (center - radius + 0.5) as u32;
            let end = ((center + radius + 0.5) as u32).min(length);
            let start = self.exact.len();
            let places = (first..end).map(|x| f64::from(x) - (center - 0.5));
            self.exact.extend(places.map(|x| bicubic(x * narrowing)));
            let weights = &mut self.exact[start..];
            let sum: f64 = weights.iter().sum();
            for weight in weights {
                *weight /= sum;
                largest = largest.max(*weight);
            }
            self.exact.resize(start + self.per_output, 0.0);
            self.first.push(first);
        }
        let fits =
            |precision: &u8| (largest * f64::from(1 << precision)).round() < f64::from(1 << 15);
        self.precision = (1..MAX_PRECISION).take_while(fits).last().unwrap_or(0);
        let one = f64::from(1 << self.precision);
        self.weights.clear();
        let rounded = self
            .exact
            .iter()
            .map(|weight| (weight * one + 0.5_f64.copysign(*weight)) as i16);
        self.weights.extend(rounded);
    }

    /// The number of weights of each output, zeros included.
    pub(crate) fn per_output(&self) -> usize {
        self.per_output
    }

    /// The number of fractional bits of the weights.
    pub(crate) fn precision(&self) -> u8 {
        self.precision
    }

    /// How far the last weight reaches, in positions.
    pub(crate) fn reach(&self) -> usize {
        let ends = [self.first.first(), self.first.last()];
        let last = ends.into_iter().flatten().max().copied().unwrap_or(0);
        last as usize + self.per_output
    }

    /// For each output, the first input and the weights from there on; those past the last input are 0.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &[i16])> {
        let first = self.first.iter().map(|&first| first as usize);
        first.zip(self.weights.chunks_exact(self.per_output.max(1)))
    }
}

/// Catmull and Rom's cubic, a = −0.5.
fn bicubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}
