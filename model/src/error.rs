use thiserror::Error;

/// What can go wrong in this crate.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The model's shape is not one that can be built.
    #[error("{key} = {value}: {problem}")]
    Config {
        /// The configuration key, without its section.
        key: &'static str,
        /// The value as given.
        value: String,
        /// What is wrong with it and what is allowed.
        problem: String,
    },
    /// A weight file could not be read as safetensors.
    #[error("weights: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// The names or shapes of a weight file do not match the model.
    #[error("weights do not fit the model: {0}")]
    WeightMismatch(String),
}

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
