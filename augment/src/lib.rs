//! Seeded augmentation: what to cut out of a photograph, and the pixels of it.
//!
//! The crate holds no threads, no files and no tensors. Everything in it is a pure function of its
//! arguments, so a sample looks the same whichever thread, rank or run asks for it.
//!
//! | module | holds |
//! |---|---|
//! | [`draws`](Draws) | the counter-based generator that every random choice about a sample comes from |
//! | [`crop`](RandomResizedCrop) | the crop box, as torchvision draws it |
//! | [`colour`](ColourJitter) | a change of colours, as torchvision draws it, and its operations on 8-bit RGB |
//! | [`view`](TrainView) | crop box, flip and colours of a training or evaluation view |
//! | [`resize`](Resizer) | crop, resize, flip, colours, on 8-bit RGB |
//! | [`normalise`](Normalize) | 8-bit RGB to normalised f32, for hosts that want it |
//!
//! `resize` has its inner loops in `passes`, `taps` and `avx2`; `colour` has its in `colour_ops`.
//!
//! Data flows one way:
//!
//! ```text
//! (seed, epoch, sample, view, purpose) ─▶ Draws ─▶ CropBox, flip, colours ─▶ View ─▶ Resizer ─▶ pixels
//! ```
//!
//! ```
//! use sbam_augment::{Resizer, TrainView};
//!
//! let (width, height) = (64, 48);
//! let photograph = vec![127_u8; 64 * 48 * 3];
//! let view = TrainView::default().draw(0, 3, 17, 0, width, height);
//! let mut pixels = vec![0; 32 * 32 * 3];
//! Resizer::new().render(&photograph, width, height, &view, &mut pixels, 32, 32)?;
//! assert!(pixels.iter().all(|&value| value == 127));
//! # Ok::<(), sbam_augment::Error>(())
//! ```

#[cfg(target_arch = "x86_64")]
mod avx2;
mod colour;
mod colour_ops;
mod crop;
mod draws;
mod error;
mod normalise;
#[cfg(target_arch = "x86_64")]
mod passes;
mod resize;
#[cfg(target_arch = "x86_64")]
mod taps;
mod view;

pub use colour::{ColourChange, ColourJitter, ColourStep};
pub use crop::{CropBox, RandomResizedCrop};
pub use draws::{DrawKey, Draws, MAX_VIEWS, Purpose, philox4x32_10};
pub use error::{Error, Result};
pub use normalise::{IMAGENET_MEAN, IMAGENET_STD, Layout, Normalize};
pub use resize::{CHANNELS, Resizer};
pub use view::{EvalView, TrainView, View};
