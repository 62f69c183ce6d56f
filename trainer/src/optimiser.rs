//! AdamW over a model's parameters, with weight decay by kind, clipping by global norm, and a state
//! that is saved by parameter name.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{
    AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, GradientsParams, Optimizer,
};
use burn::tensor::{Device, Tensor, TensorData};
use sbam_model::Mae;
use sbam_model::weights::{NamedArray, parameter_name};

use crate::config::OptimConfig;

/// Numerical epsilon of PyTorch's AdamW.
const EPSILON: f32 = 1e-8;

/// AdamW (Loshchilov and Hutter 2019) with PyTorch's epsilon; decay on matrices alone, not on
/// biases, norms and tokens.
pub(crate) struct Optimiser {
    decaying: AdamW,
    plain: AdamW,
    clip_norm: f64,
    /// Moments by parameter name, flattened.
    state: BTreeMap<String, AdamWState<1>>,
}

impl Optimiser {
    pub(crate) fn new(config: &OptimConfig) -> Self {
        let adamw = |weight_decay| {
            AdamWConfig::new()
                .with_beta_1(config.betas[0] as f32)
                .with_beta_2(config.betas[1] as f32)
                .with_epsilon(EPSILON)
                .with_weight_decay(weight_decay)
                .build()
        };
        Self {
            decaying: adamw(config.weight_decay as f32),
            plain: adamw(0.0),
            clip_norm: config.clip_norm,
            state: BTreeMap::new(),
        }
    }

    /// One update of every parameter that has a gradient; returns the model and the gradient's
    /// global norm before clipping.
    ///
    /// # Errors
    /// If the gradient is not finite; nothing is updated.
    pub(crate) fn step(
        &mut self,
        model: Mae,
        gradients: GradientsParams,
        learning_rate: f64,
    ) -> Result<(Mae, f64)> {
        let norm = global_norm(&model, &gradients);
        ensure!(
            norm.is_finite(),
            "the gradient is not finite; lower optim.blr, or set optim.clip_norm"
        );
        let scale =
            (self.clip_norm > 0.0 && norm > self.clip_norm).then(|| self.clip_norm / (norm + 1e-6));
        let mut update = Update {
            optimiser: self,
            gradients,
            learning_rate,
            scale,
            path: Vec::new(),
        };
        Ok((model.map(&mut update), norm))
    }

    /// The moments as arrays `NAME.exp_avg` and `NAME.exp_avg_sq`, and the number of updates.
    pub(crate) fn to_arrays(&self) -> (Vec<NamedArray>, u64) {
        let mut arrays = Vec::with_capacity(2 * self.state.len());
        let mut updates = 0;
        for (name, state) in &self.state {
            updates = state.momentum.time as u64;
            for (suffix, moment) in [
                ("exp_avg", &state.momentum.moment_1),
                ("exp_avg_sq", &state.momentum.moment_2),
            ] {
                let values: Vec<f32> = moment.to_data().try_into_vec().expect("moments are f32");
                arrays.push(NamedArray::new(
                    format!("{name}.{suffix}"),
                    [values.len()],
                    values,
                ));
            }
        }
        (arrays, updates)
    }

    /// Takes up the state that [`Optimiser::to_arrays`] gave for a model of the same shape.
    pub(crate) fn load_arrays(
        &mut self,
        model: &Mae,
        mut arrays: BTreeMap<String, NamedArray>,
        updates: u64,
        device: &Device,
    ) -> Result<()> {
        self.state.clear();
        if updates == 0 {
            return Ok(());
        }
        for (name, count) in trained_parameters(model) {
            let mut moment = |suffix: &str| -> Result<Tensor<1>> {
                let key = format!("{name}.{suffix}");
                let array = arrays
                    .remove(&key)
                    .with_context(|| format!("the optimiser state has no {key}"))?;
                if array.values.len() != count {
                    bail!(
                        "the optimiser state's {key} has {} values, the model's parameter {count}",
                        array.values.len()
                    );
                }
                Ok(Tensor::from_data(
                    TensorData::new(array.values, [count]),
                    device,
                ))
            };
            let momentum = AdaptiveMomentumState {
                time: updates as usize,
                moment_1: moment("exp_avg")?,
                moment_2: moment("exp_avg_sq")?,
                max_moment_2: None,
            };
            self.state.insert(name, AdamWState::new(momentum));
        }
        if let Some(name) = arrays.keys().next() {
            bail!("the optimiser state has {name}, which is no parameter of the model");
        }
        Ok(())
    }
}

/// Updates every parameter on the way through the model.
struct Update<'a> {
    optimiser: &'a mut Optimiser,
    gradients: GradientsParams,
    learning_rate: f64,
    scale: Option<f64>,
    path: Vec<String>,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let gradient = match self.scale {
            Some(scale) => gradient.mul_scalar(scale),
            None => gradient,
        };
        let name = parameter_name(&self.path);
        let state = self.optimiser.state.remove(&name);
        let adamw = if D == 2 {
            &self.optimiser.decaying
        } else {
            &self.optimiser.plain
        };
        let mut new_state = None;
        let learning_rate = self.learning_rate;
        let param = param.map(|value| {
            let shape = value.shape();
            let flat = value.inner().reshape([shape.num_elements()]);
            let gradient = gradient.reshape([shape.num_elements()]);
            let (updated, state) = adamw.step::<1>(learning_rate, flat, gradient, state);
            new_state = state;
            Tensor::from_inner(updated.reshape(shape)).require_grad()
        });
        if let Some(state) = new_state {
            self.optimiser.state.insert(name, state);
        }
        param
    }
}

/// The Euclidean norm of all gradients together.
fn global_norm(model: &Mae, gradients: &GradientsParams) -> f64 {
    struct Squares<'a> {
        gradients: &'a GradientsParams,
        sums: Vec<Tensor<1>>,
    }
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                self.sums.push(gradient.square().sum());
            }
        }
    }
    let mut squares = Squares {
        gradients,
        sums: Vec::new(),
    };
    model.visit(&mut squares);
    if squares.sums.is_empty() {
        return 0.0;
    }
    // One read-back for all.
    let sums: Vec<f32> = Tensor::cat(squares.sums, 0)
        .into_data()
        .try_into_vec()
        .expect("gradients are f32");
    sums.iter().map(|sum| f64::from(*sum)).sum::<f64>().sqrt()
}

/// Name and number of values of every parameter that is trained.
fn trained_parameters(model: &Mae) -> Vec<(String, usize)> {
    struct Names {
        path: Vec<String>,
        found: Vec<(String, usize)>,
    }
    impl ModuleVisitor for Names {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                self.found.push((
                    parameter_name(&self.path),
                    param.lazy_shape().num_elements(),
                ));
            }
        }
    }
    let mut names = Names {
        path: Vec::new(),
        found: Vec::new(),
    };
    model.visit(&mut names);
    names.found
}
