//! What a person sees of a run: a bar on a terminal, plain lines elsewhere, all on standard error.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::metrics::MetricsLine;
use crate::say;

/// Time between plain lines where standard error is no terminal.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(5);

/// A bar over work that is done before training starts; shown only if there is any.
pub(crate) struct PreparationBar {
    what: &'static str,
    unit: &'static str,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
}

impl PreparationBar {
    pub(crate) fn new(what: &'static str, unit: &'static str) -> Self {
        Self {
            what,
            unit,
            bar: None,
            last_line: None,
        }
    }

    /// Shows that `done` of `total` are done.
    pub(crate) fn update(&mut self, done: u64, total: u64) {
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| {
                let template = format!(
                    "{} {{wide_bar}} {{pos}}/{{len}} {} · {{eta}} left",
                    self.what, self.unit
                );
                ProgressBar::new(total).with_style(style(&template))
            });
            bar.set_length(total);
            bar.set_position(done);
            return;
        }
        if done == total
            || self
                .last_line
                .is_none_or(|last| last.elapsed() >= PLAIN_LINE_EVERY)
        {
            self.last_line = Some(Instant::now());
            say::note(&format!("{}: {done} of {total} {}", self.what, self.unit));
        }
    }
}

impl Drop for PreparationBar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The display of a training run.
pub(crate) struct TrainingDisplay {
    bar: Option<ProgressBar>,
    total_steps: u64,
    started: Instant,
    first_step: u64,
    last_line: Option<Instant>,
    recent: Recent,
}

/// Smoothed figures, so that the display does not flicker.
#[derive(Default)]
struct Recent {
    images_per_s: Option<f64>,
    data_wait_share: Option<f64>,
}

impl Recent {
    fn take_up(&mut self, line: &MetricsLine) {
        let smooth =
            |old: Option<f64>, new: f64| Some(old.map_or(new, |old| 0.9 * old + 0.1 * new));
        self.images_per_s = smooth(self.images_per_s, line.images_per_s);
        self.data_wait_share = smooth(self.data_wait_share, line.data_wait_share);
    }
}

impl TrainingDisplay {
    pub(crate) fn new(first_step: u64, total_steps: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total_steps).with_style(style("{wide_bar} {msg}"));
            bar.set_position(first_step);
            bar
        });
        Self {
            bar,
            total_steps,
            started: Instant::now(),
            first_step,
            last_line: None,
            recent: Recent::default(),
        }
    }

    /// Shows a completed step.
    pub(crate) fn step(&mut self, line: &MetricsLine) {
        self.recent.take_up(line);
        let done = line.step + 1;
        let text = format!(
            "step {done}/{} · loss {:.4} · lr {:.2e} · mask {:.3} · {:.1} images/s · data wait {:.0}% · {} left",
            self.total_steps,
            line.loss,
            line.learning_rate,
            line.mask_ratio_mean,
            self.recent.images_per_s.unwrap_or(0.0),
            100.0 * self.recent.data_wait_share.unwrap_or(0.0),
            duration_text(self.time_left(done)),
        );
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(text);
        } else if done == self.total_steps
            || self
                .last_line
                .is_none_or(|last| last.elapsed() >= PLAIN_LINE_EVERY)
        {
            self.last_line = Some(Instant::now());
            say::note(&text);
        }
    }

    /// Shows a line of text without breaking the bar.
    pub(crate) fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => say::note(text),
        }
    }

    fn time_left(&self, done: u64) -> Duration {
        let here = (done - self.first_step).max(1) as f64;
        Duration::from_secs_f64(
            self.started.elapsed().as_secs_f64() / here * (self.total_steps - done) as f64,
        )
    }
}

impl Drop for TrainingDisplay {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `1 h 02 min`, `3 min 20 s` or `7 s`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}
