//! Which metadata a rewritten file keeps.

use super::header::{APP2, Segment};
use super::srgb::is_srgb;

/// How segments with parts of an ICC profile begin; a part's number and the number of parts follow.
const ICC: &[u8] = b"ICC_PROFILE\0";

/// How the index of further pictures behind the end of the image begins (CIPA DC-007).
const MULTI_PICTURE: &[u8] = b"MPF\0";

/// The segments that a rewritten file keeps, in their order: all but an sRGB profile and a multi-picture index.
pub(super) fn kept<'a>(segments: &[Segment<'a>]) -> Vec<Segment<'a>> {
    let drops_profile = profile(segments).is_some_and(|profile| is_srgb(&profile));
    let is_kept = |segment: &&Segment<'_>| {
        let begins_with = |name| segment.marker == APP2 && segment.body.starts_with(name);
        !(begins_with(MULTI_PICTURE) || drops_profile && begins_with(ICC))
    };
    segments.iter().filter(is_kept).copied().collect()
}

/// The whole ICC profile, if there is one and all its parts are there in order.
fn profile(segments: &[Segment<'_>]) -> Option<Vec<u8>> {
    let mut profile = Vec::new();
    let parts: Vec<&[u8]> = segments
        .iter()
        .filter(|segment| segment.marker == APP2)
        .filter_map(|segment| segment.body.strip_prefix(ICC))
        .collect();
    for (i, part) in parts.iter().enumerate() {
        let (&[number, count], data) = part.split_first_chunk()?;
        if usize::from(number) != i + 1 || usize::from(count) != parts.len() {
            return None;
        }
        profile.extend_from_slice(data);
    }
    (!profile.is_empty()).then_some(profile)
}
