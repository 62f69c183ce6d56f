//! Telling whether an ICC profile is sRGB.

/// sRGB's red, green and blue in the profile connection space (X, Y, Z, adapted to D50), as IEC 61966-2-1 profiles have
/// them.
const COLOURANTS: [([u8; 4], [f64; 3]); 3] = [
    (*b"rXYZ", [0.4361, 0.2225, 0.0139]),
    (*b"gXYZ", [0.3851, 0.7169, 0.0971]),
    (*b"bXYZ", [0.1431, 0.0606, 0.7141]),
];

/// The curves' tags.
const CURVES: [[u8; 4]; 3] = [*b"rTRC", *b"gTRC", *b"bTRC"];

/// Profiles in use differ from the standard by rounding; the nearest other spaces by ten times as much.
const TOLERANCE: f64 = 0.002;

/// Tags of tables that go before colourants and curves.
const TABLES: [[u8; 4]; 3] = [*b"A2B0", *b"A2B1", *b"A2B2"];

/// Whether a profile says what a file without one means anyway.
///
/// It does if it is an RGB profile of colourants and curves alone, and these are sRGB's: colourants within 0.002, and
/// curves within 0.002 of the standard's at nine places. Its name does not count.
pub(super) fn is_srgb(profile: &[u8]) -> bool {
    let is_rgb = profile.get(16..20) == Some(b"RGB ")
        && profile.get(20..24) == Some(b"XYZ ")
        && profile.get(36..40) == Some(b"acsp");
    let near = |a: f64, b: f64| (a - b).abs() <= TOLERANCE;
    let has_colourant = |(name, expected): &([u8; 4], [f64; 3])| {
        tag(profile, *name)
            .and_then(colourant)
            .is_some_and(|found| (0..3).all(|i| near(found[i], expected[i])))
    };
    let has_curve = |name: &[u8; 4]| {
        let curve = tag(profile, *name);
        (1..10).map(|i| f64::from(i) / 10.0).all(|x| {
            let y = curve.and_then(|curve| value(curve, x));
            y.is_some_and(|y| near(y, srgb_curve(x)))
        })
    };
    is_rgb
        && COLOURANTS.iter().all(has_colourant)
        && CURVES.iter().all(has_curve)
        && TABLES.iter().all(|name| tag(profile, *name).is_none())
}

fn srgb_curve(x: f64) -> f64 {
    ((x + 0.055) / 1.055).powf(2.4)
}

/// The data of a tag (ICC.1, 7.3).
fn tag(profile: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    let count = u32_at(profile, 128)? as usize;
    let table = profile.get(132..)?.as_chunks::<12>().0;
    let entry = table
        .iter()
        .take(count)
        .find(|entry| entry.starts_with(&name))?;
    let (at, length) = (u32_at(entry, 4)? as usize, u32_at(entry, 8)? as usize);
    profile.get(at..)?.get(..length)
}

fn colourant(data: &[u8]) -> Option<[f64; 3]> {
    let data = data.strip_prefix(b"XYZ \0\0\0\0")?;
    Some([fixed_at(data, 0)?, fixed_at(data, 4)?, fixed_at(data, 8)?])
}

/// A curve's value at `x`: a table with linear interpolation, or the parametric form that sRGB is written in.
fn value(data: &[u8], x: f64) -> Option<f64> {
    if let Some(data) = data.strip_prefix(b"curv\0\0\0\0") {
        let count = u32_at(data, 0)? as usize;
        if count < 2 {
            return None;
        }
        let place = x * (count - 1) as f64;
        let entry = |i: usize| {
            let two = data.get(4..)?.get(2 * i..2 * i + 2)?;
            Some(f64::from(u16::from_be_bytes([two[0], two[1]])) / 65535.0)
        };
        let below = place.floor() as usize;
        let (low, high) = (entry(below)?, entry((below + 1).min(count - 1))?);
        return Some(low + (high - low) * (place - below as f64));
    }
    let data = data.strip_prefix(b"para\0\0\0\0\0\x03\0\0")?;
    let [gamma, scale, offset, slope, linear_below] =
        [0, 4, 8, 12, 16].map(|at| fixed_at(data, at));
    Some(if x < linear_below? {
        slope? * x
    } else {
        (scale? * x + offset?).powf(gamma?)
    })
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?
        .first_chunk()
        .map(|four| u32::from_be_bytes(*four))
}

/// A number with 16 bits after the point.
fn fixed_at(data: &[u8], at: usize) -> Option<f64> {
    u32_at(data, at).map(|bits| f64::from(bits.cast_signed()) / 65536.0)
}
