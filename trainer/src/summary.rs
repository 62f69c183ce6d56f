//! What a run amounts to, for its last lines.

use std::time::{Duration, Instant};

use crate::metrics::MetricsLine;
use crate::progress::duration_text;

/// Figures over the steps of this start.
pub(crate) struct Summary {
    started: Instant,
    first_loss: Option<f64>,
    /// Loss of the last step.
    last_loss: f64,
    steps: u64,
    images: f64,
    busy_s: f64,
    waited_s: f64,
    ratio_sum: f64,
    ratio_min: f32,
    ratio_max: f32,
}

impl Summary {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            first_loss: None,
            last_loss: 0.0,
            steps: 0,
            images: 0.0,
            busy_s: 0.0,
            waited_s: 0.0,
            ratio_sum: 0.0,
            ratio_min: f32::INFINITY,
            ratio_max: f32::NEG_INFINITY,
        }
    }

    /// Adds a completed step.
    pub(crate) fn take_up(&mut self, line: &MetricsLine, waited: Duration) {
        self.first_loss.get_or_insert(line.loss);
        self.last_loss = line.loss;
        self.steps += 1;
        self.images += line.images_per_s * line.step_s;
        self.busy_s += line.step_s;
        self.waited_s += waited.as_secs_f64();
        self.ratio_sum += line.mask_ratio_mean;
        self.ratio_min = self.ratio_min.min(line.mask_ratio_min);
        self.ratio_max = self.ratio_max.max(line.mask_ratio_max);
    }

    /// Share of the steps' time that was spent waiting for data.
    pub(crate) fn data_share(&self) -> f64 {
        self.waited_s / self.busy_s.max(1e-9)
    }

    /// The steps' time.
    pub(crate) fn seconds(&self) -> f64 {
        self.busy_s
    }

    /// The last word on a run of `total_steps`.
    pub(crate) fn text(&self, total_steps: u64) -> String {
        let Some(first_loss) = self.first_loss else {
            return format!("all {total_steps} steps were done already");
        };
        format!(
            "done in {}: loss {first_loss:.4} → {:.4} · {:.1} images/s · {:.1}% of the time waiting for data · \
             mask ratio {:.3} on average, {:.3} to {:.3}",
            duration_text(self.started.elapsed()),
            self.last_loss,
            self.images / self.busy_s.max(1e-9),
            100.0 * self.data_share(),
            self.ratio_sum / self.steps as f64,
            self.ratio_min,
            self.ratio_max,
        )
    }
}
