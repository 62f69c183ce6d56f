//! Keys of samples from the names of their files.

use std::collections::{HashMap, HashSet};

/// A file's name as far as it goes into the key.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    /// The file's name without its extension.
    pub(crate) stem: &'a str,
    /// The name of its class, if it has one.
    pub(crate) class: Option<&'a str>,
}

/// One key for each file, all different: the stem where that is unique; else the class and the stem; else that and a
/// number. Dots become `_`, because the first dot ends a `WebDataset` key.
///
/// The keys depend on the files and on their order alone.
pub(crate) fn unique_keys(files: &[Named<'_>]) -> Vec<String> {
    let without_dots = |name: &str| name.replace('.', "_");
    let stems: Vec<String> = files.iter().map(|file| without_dots(file.stem)).collect();
    let stem_counts = count(&stems);
    let wanted: Vec<String> = files
        .iter()
        .zip(&stems)
        .map(|(file, stem)| match file.class {
            Some(class) if stem_counts[stem.as_str()] > 1 => {
                format!("{}_{stem}", without_dots(class))
            }
            _ => stem.clone(),
        })
        .collect();
    let wanted_counts = count(&wanted);
    // Keys that a numbered one must not equal.
    let mut taken: HashSet<String> = wanted_counts.keys().map(|&key| key.to_owned()).collect();
    let mut next_number: HashMap<&str, u64> = HashMap::new();
    wanted
        .iter()
        .map(|key| {
            if wanted_counts[key.as_str()] == 1 {
                return key.clone();
            }
            let number = next_number.entry(key).or_insert(0);
            loop {
                *number += 1;
                let numbered = format!("{key}_{number}");
                if taken.insert(numbered.clone()) {
                    return numbered;
                }
            }
        })
        .collect()
}

fn count(names: &[String]) -> HashMap<&str, u64> {
    let mut counts = HashMap::with_capacity(names.len());
    for name in names {
        *counts.entry(name.as_str()).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(files: &[(&str, Option<&str>)]) -> Vec<String> {
        let files: Vec<Named<'_>> = files
            .iter()
            .map(|&(stem, class)| Named { stem, class })
            .collect();
        unique_keys(&files)
    }

    #[test]
    fn a_unique_stem_is_its_key_and_dots_become_underscores() {
        assert_eq!(
            keys(&[("n01_18", Some("n01")), ("my.photo.v2", None)]),
            ["n01_18", "my_photo_v2"]
        );
    }

    #[test]
    fn equal_stems_get_their_class_and_then_a_number() {
        assert_eq!(
            keys(&[("1", Some("cat")), ("1", Some("dog")), ("2", Some("dog"))]),
            ["cat_1", "dog_1", "2"]
        );
        assert_eq!(
            keys(&[("a.b", None), ("a_b", None), ("a_b_1", None)]),
            ["a_b_2", "a_b_3", "a_b_1"]
        );
        // A class and stem that equal another file's own stem.
        assert_eq!(
            keys(&[
                ("1", Some("cat")),
                ("1", Some("dog")),
                ("cat_1", Some("dog"))
            ]),
            ["cat_1_1", "dog_1", "cat_1_2"]
        );
    }

    proptest! {
        #[test]
        fn keys_are_unique_and_hold_no_dot(
            files in prop::collection::vec(("[ab._1]{1,3}", prop::option::of("[ab._1]{1,2}")), 0..60),
        ) {
            let files: Vec<_> = files.iter().map(|(stem, class)| (stem.as_str(), class.as_deref())).collect();
            let keys = keys(&files);
            prop_assert_eq!(keys.iter().collect::<HashSet<_>>().len(), files.len());
            prop_assert!(keys.iter().all(|key| !key.contains('.')));
        }
    }
}
