//! The learning rate over the run.

use std::f64::consts::PI;

use crate::config::OptimConfig;

/// Linear warm-up from 0, then half a cosine down to the minimum, per optimiser step (MAE's
/// `adjust_learning_rate` with the epoch as a fraction).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Schedule {
    peak: f64,
    min: f64,
    warmup_steps: f64,
    total_steps: f64,
}

impl Schedule {
    /// For a run of `total_steps` with samples of `global_batch` a step.
    pub(crate) fn new(
        optim: &OptimConfig,
        global_batch: u64,
        steps_per_epoch: u64,
        total_steps: u64,
    ) -> Self {
        let peak = if optim.lr > 0.0 {
            optim.lr
        } else {
            optim.blr * global_batch as f64 / 256.0
        };
        Self {
            peak,
            min: optim.min_lr,
            warmup_steps: optim.warmup_epochs * steps_per_epoch as f64,
            total_steps: total_steps as f64,
        }
    }

    /// The learning rate of the step of this index, counted from 0.
    pub(crate) fn at(&self, step: u64) -> f64 {
        let step = step as f64;
        if step < self.warmup_steps {
            return self.peak * step / self.warmup_steps;
        }
        let after_warmup = (self.total_steps - self.warmup_steps).max(1.0);
        let progress = ((step - self.warmup_steps) / after_warmup).min(1.0);
        self.min + (self.peak - self.min) * 0.5 * (1.0 + (PI * progress).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(blr: f64, lr: f64) -> Schedule {
        let config = crate::config::Config::load(
            None,
            &[
                format!("optim.blr={blr}"),
                format!("optim.lr={lr}"),
                "optim.min_lr=1e-5".into(),
                "optim.warmup_epochs=2".into(),
            ],
        );
        Schedule::new(&config.expect("valid").optim, 512, 10, 100)
    }

    #[test]
    fn rises_linearly_then_falls_along_a_cosine() {
        let schedule = schedule(1e-3, 0.0);
        assert!(
            (schedule.peak - 2e-3).abs() < 1e-12,
            "512 samples a step are twice 256"
        );
        assert_eq!(schedule.at(0), 0.0);
        assert!((schedule.at(10) - 1e-3).abs() < 1e-12);
        assert!((schedule.at(20) - 2e-3).abs() < 1e-12);
        assert!(
            (schedule.at(60) - (1e-5 + 1.99e-3 / 2.0)).abs() < 1e-12,
            "half way down"
        );
        assert!((schedule.at(100) - 1e-5).abs() < 1e-12);
        for step in 20..100 {
            assert!(schedule.at(step + 1) < schedule.at(step));
        }
    }

    #[test]
    fn an_explicit_rate_is_not_scaled() {
        assert!((schedule(1e-3, 3e-4).peak - 3e-4).abs() < 1e-12);
    }
}
