//! Showing how far the packing is.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use crate::pack::Progress;

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Time between two looks of the bar.
const BAR_EVERY: Duration = Duration::from_millis(100);

/// Shows [`Progress`] on standard error: a bar on a terminal, else a plain line every few seconds.
pub struct PackDisplay {
    look: Look,
    packing_since: Option<Instant>,
    next: Instant,
}

enum Look {
    Nothing,
    Lines,
    Bar(ProgressBar),
}

impl PackDisplay {
    /// A display that shows nothing if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let (look, first) = if quiet {
            (Look::Nothing, Duration::ZERO)
        } else if std::io::stderr().is_terminal() {
            (Look::Bar(ProgressBar::new_spinner()), Duration::ZERO)
        } else {
            (Look::Lines, LINE_EVERY)
        };
        Self {
            look,
            packing_since: None,
            next: Instant::now() + first,
        }
    }

    /// Shows `progress`, unless something was shown just before. Cheap enough for every image.
    pub fn update(&mut self, progress: Progress) {
        if matches!(self.look, Look::Nothing) {
            return;
        }
        let now = Instant::now();
        let begins_packing =
            matches!(progress, Progress::Packing { .. }) && self.packing_since.is_none();
        if begins_packing {
            self.packing_since = Some(now);
            if let Look::Bar(bar) = &self.look {
                // Replaces the spinner, which knew no end.
                bar.set_style(bar_style());
            }
        }
        if now < self.next {
            return;
        }
        let elapsed = self
            .packing_since
            .map_or(Duration::ZERO, |since| now - since);
        match &self.look {
            Look::Nothing => {}
            Look::Lines => {
                self.next = now + LINE_EVERY;
                // Nobody reads any more when this fails.
                let _ = writeln!(
                    std::io::stderr(),
                    "{}",
                    Line {
                        progress,
                        elapsed,
                        counts_share: true
                    }
                );
            }
            Look::Bar(bar) => {
                self.next = now + BAR_EVERY;
                bar.set_message(
                    Line {
                        progress,
                        elapsed,
                        counts_share: false,
                    }
                    .to_string(),
                );
                if let Progress::Packing {
                    bytes, bytes_total, ..
                } = progress
                {
                    bar.set_length(bytes_total);
                    bar.set_position(bytes);
                } else {
                    bar.tick();
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Look::Bar(bar) = &self.look {
            bar.finish_and_clear();
        }
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{percent:>3}% {bar:30} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Progress in words.
struct Line {
    progress: Progress,
    elapsed: Duration,
    counts_share: bool,
}

impl Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.progress {
            Progress::Listing { images } => {
                write!(f, "looking for images: {} found", HumanCount(images))
            }
            Progress::Packing {
                images,
                images_total,
                bytes,
                bytes_total,
            } => {
                let seconds = self.elapsed.as_secs_f64().max(1e-3);
                write!(
                    f,
                    "{} of {} images",
                    HumanCount(images),
                    HumanCount(images_total)
                )?;
                if self.counts_share {
                    write!(
                        f,
                        " ({}%)",
                        (bytes * 100).checked_div(bytes_total).unwrap_or(100)
                    )?;
                }
                let bytes_per_s = bytes as f64 / seconds;
                write!(
                    f,
                    ", {} images/s, {}/s",
                    HumanCount((images as f64 / seconds) as u64),
                    DecimalBytes(bytes_per_s as u64)
                )?;
                let left = bytes_total.saturating_sub(bytes) as f64 / bytes_per_s.max(1.0);
                write!(
                    f,
                    ", {} left",
                    HumanDuration(Duration::from_secs_f64(left.min(1e9).round()))
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let progress = Progress::Packing {
            images: 1500,
            images_total: 6000,
            bytes: 200_000_000,
            bytes_total: 800_000_000,
        };
        let line = Line {
            progress,
            elapsed: Duration::from_secs(2),
            counts_share: true,
        };
        assert_eq!(
            line.to_string(),
            "1,500 of 6,000 images (25%), 750 images/s, 100.00 MB/s, 6 seconds left"
        );
    }

    #[test]
    fn the_very_first_moment_has_a_line_too() {
        let progress = Progress::Packing {
            images: 0,
            images_total: 1,
            bytes: 0,
            bytes_total: 0,
        };
        let line = Line {
            progress,
            elapsed: Duration::ZERO,
            counts_share: true,
        };
        assert!(
            line.to_string().starts_with("0 of 1 images (100%)"),
            "{line}"
        );
    }
}
