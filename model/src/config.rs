//! The shape of a model, and the presets by name.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Height and width of the model's input in pixels; one number in a configuration means a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ImageSize {
    /// A square of this side.
    Square(usize),
    /// `[height, width]`.
    Rectangle([usize; 2]),
}

impl ImageSize {
    /// `[height, width]` in pixels.
    pub fn height_width(self) -> [usize; 2] {
        match self {
            Self::Square(side) => [side, side],
            Self::Rectangle(sides) => sides,
        }
    }
}

/// The shape of a masked autoencoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaeConfig {
    /// Input size in pixels.
    pub image_size: ImageSize,
    /// Side of a square patch in pixels.
    pub patch_size: usize,
    /// Width of the encoder.
    pub dim: usize,
    /// Blocks of the encoder.
    pub depth: usize,
    /// Attention heads of the encoder.
    pub heads: usize,
    /// Width of the decoder.
    pub decoder_dim: usize,
    /// Blocks of the decoder.
    pub decoder_depth: usize,
    /// Attention heads of the decoder.
    pub decoder_heads: usize,
    /// Whether the target is each patch's pixels normalised by their own mean and variance.
    pub norm_pix_loss: bool,
}

/// A named model shape.
///
/// `tiny` to `huge` are the usual Vision Transformers (Dosovitskiy et al. 2021; Touvron et al. 2021
/// for tiny and small). The decoder of `base`, `large` and `huge` is MAE's (512 wide, 8 deep);
/// `tiny` and `small` have a decoder in proportion. `mini` is this project's own small model for
/// the built-in data set and for trying things out on a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// 96 px, patch 8, 6 blocks of 128.
    Mini,
    /// ViT-Ti/16.
    Tiny,
    /// ViT-S/16.
    Small,
    /// ViT-B/16.
    Base,
    /// ViT-L/16.
    Large,
    /// ViT-H/14.
    Huge,
}

impl Preset {
    /// Every preset with its name and its aliases (timm's and MAE's names).
    const NAMES: [(Self, &'static [&'static str]); 6] = [
        (Self::Mini, &["mini"]),
        (
            Self::Tiny,
            &["tiny", "vit_tiny_patch16_224", "mae_vit_tiny_patch16"],
        ),
        (
            Self::Small,
            &["small", "vit_small_patch16_224", "mae_vit_small_patch16"],
        ),
        (
            Self::Base,
            &["base", "vit_base_patch16_224", "mae_vit_base_patch16"],
        ),
        (
            Self::Large,
            &["large", "vit_large_patch16_224", "mae_vit_large_patch16"],
        ),
        (
            Self::Huge,
            &["huge", "vit_huge_patch14_224", "mae_vit_huge_patch14"],
        ),
    ];

    /// The preset of that name or alias.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::NAMES
            .iter()
            .find(|(_, names)| names.contains(&name))
            .map(|(preset, _)| *preset)
            .ok_or_else(|| Error::Config {
                key: "preset",
                value: format!("{name:?}"),
                problem: "no such preset; choose mini, tiny, small, base, large or huge".to_owned(),
            })
    }

    /// The preset's shape, with normalised pixels as target.
    pub fn config(self) -> MaeConfig {
        // image, patch, dim, depth, heads, decoder dim, depth, heads
        let (image, patch_size, dim, depth, heads, decoder_dim, decoder_depth, decoder_heads) =
            match self {
                Self::Mini => (96, 8, 128, 6, 4, 96, 2, 3),
                Self::Tiny => (224, 16, 192, 12, 3, 192, 4, 3),
                Self::Small => (224, 16, 384, 12, 6, 256, 4, 8),
                Self::Base => (224, 16, 768, 12, 12, 512, 8, 16),
                Self::Large => (224, 16, 1024, 24, 16, 512, 8, 16),
                Self::Huge => (224, 14, 1280, 32, 16, 512, 8, 16),
            };
        MaeConfig {
            image_size: ImageSize::Square(image),
            patch_size,
            dim,
            depth,
            heads,
            decoder_dim,
            decoder_depth,
            decoder_heads,
            norm_pix_loss: true,
        }
    }
}

/// Largest accepted side of an image in pixels: far above any ViT, and small enough that a typing
/// error is an error and not an allocation.
const MAX_IMAGE_SIDE: usize = 8192;

impl MaeConfig {
    /// `[rows, columns]` of the token grid.
    pub fn grid(&self) -> [usize; 2] {
        self.image_size
            .height_width()
            .map(|side| side / self.patch_size)
    }

    /// Number of patch tokens L.
    pub fn tokens(&self) -> usize {
        let [rows, columns] = self.grid();
        rows * columns
    }

    /// Pixel values of one patch: `patch_size² · 3`.
    pub fn patch_values(&self) -> usize {
        self.patch_size * self.patch_size * 3
    }

    /// Checks that a model of this shape can be built.
    ///
    /// # Errors
    /// [`Error::Config`] with the first key that cannot be, and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let fail = |key, value: usize, problem: &str| {
            Err(Error::Config {
                key,
                value: value.to_string(),
                problem: problem.to_owned(),
            })
        };
        for (key, value) in [
            ("patch_size", self.patch_size),
            ("dim", self.dim),
            ("depth", self.depth),
            ("heads", self.heads),
            ("decoder_dim", self.decoder_dim),
            ("decoder_depth", self.decoder_depth),
            ("decoder_heads", self.decoder_heads),
        ] {
            if value == 0 {
                return fail(key, value, "must be at least 1");
            }
        }
        for side in self.image_size.height_width() {
            if side == 0 || side > MAX_IMAGE_SIDE {
                return fail(
                    "image_size",
                    side,
                    "each side must be between 1 and 8192 pixels",
                );
            }
            if side % self.patch_size != 0 {
                let problem = format!("patch_size {} does not divide it", self.patch_size);
                return fail("image_size", side, &problem);
            }
        }
        if self.tokens() < 2 {
            return fail(
                "patch_size",
                self.patch_size,
                "the grid must have at least 2 tokens",
            );
        }
        for (dim_key, dim, heads) in [
            ("dim", self.dim, self.heads),
            ("decoder_dim", self.decoder_dim, self.decoder_heads),
        ] {
            if dim % heads != 0 {
                return fail(dim_key, dim, &format!("{heads} heads do not divide it"));
            }
            if dim % 4 != 0 {
                return fail(
                    dim_key,
                    dim,
                    "must be a multiple of 4 (2-D sine-cosine positions)",
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_and_alias_is_valid() {
        for (preset, names) in Preset::NAMES {
            preset.config().validate().expect("a preset is valid");
            for name in names {
                assert_eq!(Preset::from_name(name).expect("known"), preset);
            }
        }
        assert!(Preset::from_name("giant").is_err());
    }

    #[test]
    fn what_cannot_be_built_names_the_key() {
        let base = Preset::Mini.config();
        let cases = [
            (
                MaeConfig {
                    patch_size: 7,
                    ..base.clone()
                },
                "image_size",
            ),
            (
                MaeConfig {
                    heads: 5,
                    ..base.clone()
                },
                "dim",
            ),
            (
                MaeConfig {
                    decoder_dim: 6,
                    decoder_heads: 1,
                    ..base.clone()
                },
                "decoder_dim",
            ),
            (
                MaeConfig {
                    depth: 0,
                    ..base.clone()
                },
                "depth",
            ),
            (
                MaeConfig {
                    patch_size: 96,
                    ..base
                },
                "patch_size",
            ),
        ];
        for (config, expected) in cases {
            match config.validate() {
                Err(Error::Config { key, .. }) => assert_eq!(key, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }
}
