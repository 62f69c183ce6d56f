//! Layers of TOML tables: defaults, a file, single assignments; and how two results differ.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::Config;

/// The commented default configuration.
pub(crate) const DEFAULT_TOML: &str = include_str!("default.toml");

/// The defaults as a table.
pub(super) fn defaults() -> Table {
    DEFAULT_TOML.parse().expect("default.toml is valid TOML")
}

/// Puts every value of `layer` over `base`, whose keys are the only ones known.
pub(super) fn lay_over(base: &mut Table, layer: &Table) -> Result<()> {
    let known = flatten(base);
    for (key, value) in flatten(layer) {
        if !known.contains_key(&key) {
            bail!(
                "unknown configuration key {key}{}",
                suggestion(&key, known.keys())
            );
        }
        let (section, name) = key
            .split_once('.')
            .map_or((None, key.as_str()), |(section, name)| {
                (Some(section), name)
            });
        let target = match section {
            Some(section) => base.get_mut(section).and_then(Value::as_table_mut),
            None => Some(&mut *base),
        };
        let target = target.with_context(|| format!("{key} is not a section with keys"))?;
        target.insert(
            name.to_owned(),
            as_float_where_default_is(target.get(name), value),
        );
    }
    Ok(())
}

/// `5` where the default is `1.0` means `5.0`.
fn as_float_where_default_is(default: Option<&Value>, value: Value) -> Value {
    match (default, value) {
        (Some(Value::Float(_)), Value::Integer(number)) => Value::Float(number as f64),
        (_, value) => value,
    }
}

/// A table from `KEY=VALUE`; a value that is no TOML is a string, since shells eat quotes.
pub(super) fn parse_assignment(assignment: &str) -> Result<Table> {
    let (key, value) = assignment
        .split_once('=')
        .filter(|(key, _)| !key.trim().is_empty())
        .ok_or_else(|| {
            anyhow!("--set {assignment}: write KEY=VALUE, for example --set mask.delta=0.3")
        })?;
    let value = format!("value = {value}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let nested = key.trim().rsplit('.').fold(value, |value, part| {
        Value::Table(Table::from_iter([(part.to_owned(), value)]))
    });
    match nested {
        Value::Table(table) => Ok(table),
        _ => bail!("--set {assignment}: the key is empty"),
    }
}

/// The table as a [`Config`]; errors name the key.
pub(super) fn typed(table: Table) -> Result<Config> {
    // Section by section, so that an error can name the key it is about.
    for (key, value) in flatten(&table) {
        check_one(&key, value)?;
    }
    from_table(table).context("the configuration is not valid")
}

fn from_table<T: DeserializeOwned>(table: Table) -> Result<T> {
    T::deserialize(Value::Table(table)).map_err(|error| anyhow!("{}", error.message()))
}

/// Checks one value by putting it alone into the otherwise valid defaults.
fn check_one(key: &str, value: Value) -> Result<()> {
    let mut table = defaults();
    let shown = value.clone();
    match key.split_once('.') {
        Some((section, name)) => {
            if let Some(section) = table.get_mut(section).and_then(Value::as_table_mut) {
                section.insert(name.to_owned(), value);
            }
        }
        None => {
            table.insert(key.to_owned(), value);
        }
    }
    from_table::<Config>(table).map(drop).map_err(|error| {
        let hint = match key {
            "model.image_size" => "a side in pixels or [height, width]".to_owned(),
            "mask.layer" => "\"last\" or a number from 1".to_owned(),
            _ => format!("{error}"),
        };
        anyhow!("{key} = {shown}: {hint}")
    })
}

/// Every leaf of a table by its dotted key.
fn flatten(table: &Table) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(section) => {
                leaves.extend(
                    flatten(section)
                        .into_iter()
                        .map(|(name, value)| (format!("{key}.{name}"), value)),
                );
            }
            leaf => {
                leaves.insert(key.clone(), leaf.clone());
            }
        }
    }
    leaves
}

/// The known key nearest to `unknown`, as the end of a sentence.
fn suggestion<'a>(unknown: &str, known: impl Iterator<Item = &'a String>) -> String {
    let last = |key: &'a str| key.rsplit('.').next().unwrap_or(key);
    known
        .map(|key| {
            let whole = strsim::jaro_winkler(unknown, key);
            let name =
                strsim::jaro_winkler(unknown.rsplit('.').next().unwrap_or(unknown), last(key));
            (whole.max(name), key)
        })
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(
            || "; `trainer config` lists every key".to_owned(),
            |(_, key)| format!("; did you mean {key}?"),
        )
}

/// A key whose value differs between two configurations.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    /// The dotted key.
    pub(crate) key: String,
    /// Its value in the first.
    pub(crate) first: String,
    /// Its value in the second.
    pub(crate) second: String,
}

/// Every key whose values differ, in order of key.
///
/// # Errors
/// If a configuration has no TOML form.
pub(crate) fn differences(first: &Config, second: &Config) -> Result<Vec<Difference>> {
    let table =
        |config: &Config| -> Result<_> { Ok(flatten(&config.to_toml()?.parse::<Table>()?)) };
    let (first, second) = (table(first)?, table(second)?);
    let show =
        |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    Ok(first
        .keys()
        .chain(second.keys().filter(|key| !first.contains_key(*key)))
        .filter(|key| first.get(*key) != second.get(*key))
        .map(|key| Difference {
            key: key.clone(),
            first: show(first.get(key)),
            second: show(second.get(key)),
        })
        .collect())
}
