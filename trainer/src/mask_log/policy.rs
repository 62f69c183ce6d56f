//! Which rows are logged.

use std::str::FromStr;

use anyhow::{Result, bail};

/// Which rows the mask log holds (`log.masks`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaskLogPolicy {
    /// Every sample of every step.
    All,
    /// Every sample of every n-th step.
    Every(u64),
    /// Samples of the fixed set of pictures.
    FixedSet,
    /// None.
    Off,
}

impl FromStr for MaskLogPolicy {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            None if text == "all" => Ok(Self::All),
            None if text == "fixed-set" => Ok(Self::FixedSet),
            None if text == "off" => Ok(Self::Off),
            Some(("every", number)) => match number.trim().parse::<u64>() {
                Ok(steps) if steps > 0 => Ok(Self::Every(steps)),
                _ => bail!("every=N takes a number of steps from 1"),
            },
            _ => bail!("must be all, every=N, fixed-set or off"),
        }
    }
}

impl MaskLogPolicy {
    /// Whether a sample of this step is logged; `in_fixed_set` tells whether it has a picture.
    pub(crate) fn logs(self, step: u64, in_fixed_set: bool) -> bool {
        match self {
            Self::All => true,
            Self::Every(steps) => step.is_multiple_of(steps),
            Self::FixedSet => in_fixed_set,
            Self::Off => false,
        }
    }
}
