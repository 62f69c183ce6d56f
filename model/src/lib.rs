//! Masked autoencoder with salience-based adaptive masking, on Burn.
//!
//! Data flows one way through the crate:
//!
//! ```text
//! images ─ patchify ─▶ Vit (whole image, no gradient) ─▶ salience [batch, tokens]      salience.rs
//!                                                           │ host
//!                                     ratio.rs: salient fraction ─▶ mask ratio ─▶ n_keep
//!                                      mask.rs: scores ─▶ TokenMask (order, n_keep)
//!                               mask_batch.rs: TokenMasks ─▶ index tensors of one micro-batch
//!                                                           │ device
//! images ─ patchify ─▶ Vit (kept tokens) ─▶ Decoder (all tokens) ─▶ loss               mae.rs
//! ```
//!
//! [`Vit`] stands without the MAE, for heads that come later. Names follow the MAE reference
//! (`forward_encoder`, `forward_decoder`, `forward_loss`, `ids_restore`, `norm_pix_loss`), and
//! [`weights`] reads and writes its parameter names. Nothing here knows a data file or draws a
//! random number about a sample: the noise of a mask is an argument.

mod attention;
mod block;
mod config;
mod decoder;
mod device;
mod error;
mod init;
mod lengths;
mod mae;
mod mask;
mod mask_batch;
mod masking;
mod patch;
mod positions;
mod ratio;
mod salience;
mod salience_stats;
mod vit;
pub mod weights;

pub use attention::Attention;
pub use block::{Block, Mlp};
pub use config::{ImageSize, MaeConfig, Preset};
pub use decoder::Decoder;
pub use device::is_cpu;
pub use error::{Error, Result};
pub use lengths::{MicroBatchPlan, padded_token_share, sort_into_micro_batches};
pub use mae::{LossReduction, LossWeights, Mae, MaeOutput};
pub use mask::{TokenMask, mask_scores};
pub use mask_batch::MaskBatch;
pub use masking::{Masking, SampleMask, TokenSalience};
pub use patch::{PatchEmbed, normalise_pixels, patchify, unpatchify};
pub use positions::sincos_positions;
pub use ratio::{MaskRatio, RatioMode, fixed_n_keep, n_keep_of_ratio, salient_count};
pub use salience::{SalienceLayer, SalienceSource, min_max_normalise};
pub use salience_stats::{SalienceStats, masked_salience_share};
pub use vit::Vit;
