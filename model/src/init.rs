//! Initial values from the project's own seed.
//!
//! Burn's initialisers are lazy and draw from a generator that the whole process shares; here every
//! parameter has a stream of its own, keyed by seed and name, so that its values depend on nothing else.

use burn::module::Param;
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Where initial values come from: a seed, a device, and the path of the module being built.
#[derive(Debug, Clone)]
pub(crate) struct Init<'a> {
    seed: u64,
    device: &'a Device,
    path: String,
}

impl<'a> Init<'a> {
    pub(crate) fn new(seed: u64, device: &'a Device) -> Self {
        Self {
            seed,
            device,
            path: String::new(),
        }
    }

    /// The same source for the module's child `name`.
    pub(crate) fn child(&self, name: impl std::fmt::Display) -> Self {
        Self {
            path: format!("{}/{name}", self.path),
            ..self.clone()
        }
    }

    fn generator(&self) -> ChaCha8Rng {
        // FNV-1a: a fixed, documented hash, so that the values of a name never change.
        let name_hash = self
            .path
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&name_hash.to_le_bytes());
        ChaCha8Rng::from_seed(seed)
    }

    fn parameter<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// Normal values of standard deviation `std` (Box–Muller).
    pub(crate) fn normal<const D: usize>(&self, shape: [usize; D], std: f64) -> Param<Tensor<D>> {
        let mut generator = self.generator();
        let mut uniform = || ((generator.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let count: usize = shape.iter().product();
        let values = (0..count)
            .map(|_| {
                let (radius, angle) = (
                    (-2.0 * uniform().ln()).sqrt(),
                    std::f64::consts::TAU * uniform(),
                );
                (std * radius * angle.cos()) as f32
            })
            .collect();
        self.parameter(values, shape)
    }

    /// A linear layer as MAE initialises it: Xavier-uniform weight, zero bias.
    pub(crate) fn linear(&self, inputs: usize, outputs: usize) -> Linear {
        let limit = (6.0 / (inputs + outputs) as f64).sqrt();
        let mut generator = self.generator();
        let values = (0..inputs * outputs)
            .map(|_| {
                let unit = (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
                (limit * (2.0 * unit - 1.0)) as f32
            })
            .collect();
        Linear {
            weight: self.parameter(values, [inputs, outputs]),
            bias: Some(self.parameter(vec![0.0; outputs], [outputs])),
        }
    }

    /// Layer normalisation with the epsilon of timm's and MAE's Vision Transformers.
    pub(crate) fn layer_norm(&self, dim: usize) -> LayerNorm {
        LayerNormConfig::new(dim)
            .with_epsilon(1e-6)
            .init(self.device)
    }

    /// A tensor that is stored with the weights and never trained.
    pub(crate) fn constant<const D: usize>(
        &self,
        values: Vec<f32>,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        self.parameter(values, shape).set_require_grad(false)
    }
}
