use crate::CropBox;

/// What can be wrong with a request to this crate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pixel buffer does not have the size that its width and height ask for.
    #[error(
        "{what} has {found} bytes where {width}x{height} RGB pixels take {expected}; pass the whole image and nothing else"
    )]
    BufferSize {
        /// Which buffer.
        what: &'static str,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The bytes that width and height ask for.
        expected: u64,
        /// The bytes it has.
        found: u64,
    },
    /// An image or an output without pixels.
    #[error("{what} is {width}x{height}; both must be at least 1")]
    Empty {
        /// Which image.
        what: &'static str,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// A crop box that is empty or reaches outside its image.
    #[error(
        "crop box {}x{} at ({}, {}) does not lie inside an image of {width}x{height}; draw it from this image's own size",
        crop.width, crop.height, crop.x, crop.y
    )]
    CropOutside {
        /// The box.
        crop: CropBox,
        /// The image's width in pixels.
        width: u32,
        /// The image's height in pixels.
        height: u32,
    },
    /// A range that cannot be drawn from.
    #[error("{name} is [{low}, {high}]; set two finite numbers with {rule}")]
    Range {
        /// The setting's name.
        name: &'static str,
        /// Its lower bound.
        low: f64,
        /// Its upper bound.
        high: f64,
        /// What the bounds must satisfy.
        rule: &'static str,
    },
    /// A probability outside 0 to 1.
    #[error("{name} is {value}; set a probability from 0 to 1")]
    Probability {
        /// The setting's name.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// A strength of a colour change that cannot be drawn with.
    #[error("{name} is {value}; set a number from 0 to {highest}")]
    Strength {
        /// The setting's name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The highest that it may be.
        highest: f64,
    },
    /// A mean or a standard deviation that cannot normalise.
    #[error(
        "cannot normalise with mean {mean} and standard deviation {std}; set finite numbers, the deviation above 0"
    )]
    Normalisation {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        std: f32,
    },
    /// Pixels and their place do not fit each other.
    #[error(
        "cannot normalise {bytes} bytes of pixels into {numbers} numbers; pass whole RGB pixels and as many numbers as bytes"
    )]
    NormalisedSize {
        /// The bytes of pixels.
        bytes: usize,
        /// The numbers there is room for.
        numbers: usize,
    },
    /// The resizing library refused an image.
    #[error("cannot resize: {reason}")]
    Resize {
        /// What it said.
        reason: String,
    },
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
