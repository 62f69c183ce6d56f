//! The ten classes. Each shape and each texture occurs in two of them, so that neither alone tells the class.

/// Outline of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Disc,
    Square,
    Triangle,
    Star,
    Cross,
}

/// Pattern on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Striped,
    Checkered,
    Dotted,
    Ringed,
    Wavy,
}

/// One class of the built-in data set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) pattern: Pattern,
}

/// All classes in the order of their indices, which is that of their names.
pub(super) const CLASSES: [Class; 10] = [
    Class {
        name: "checkered square",
        shape: Shape::Square,
        pattern: Pattern::Checkered,
    },
    Class {
        name: "checkered star",
        shape: Shape::Star,
        pattern: Pattern::Checkered,
    },
    Class {
        name: "dotted disc",
        shape: Shape::Disc,
        pattern: Pattern::Dotted,
    },
    Class {
        name: "dotted triangle",
        shape: Shape::Triangle,
        pattern: Pattern::Dotted,
    },
    Class {
        name: "ringed cross",
        shape: Shape::Cross,
        pattern: Pattern::Ringed,
    },
    Class {
        name: "ringed square",
        shape: Shape::Square,
        pattern: Pattern::Ringed,
    },
    Class {
        name: "striped cross",
        shape: Shape::Cross,
        pattern: Pattern::Striped,
    },
    Class {
        name: "striped disc",
        shape: Shape::Disc,
        pattern: Pattern::Striped,
    },
    Class {
        name: "wavy star",
        shape: Shape::Star,
        pattern: Pattern::Wavy,
    },
    Class {
        name: "wavy triangle",
        shape: Shape::Triangle,
        pattern: Pattern::Wavy,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_every_shape_and_pattern_occurs_twice() {
        assert!(CLASSES.is_sorted_by(|a, b| a.name < b.name));
        for class in CLASSES {
            assert_eq!(CLASSES.iter().filter(|c| c.shape == class.shape).count(), 2);
            assert_eq!(
                CLASSES
                    .iter()
                    .filter(|c| c.pattern == class.pattern)
                    .count(),
                2
            );
            assert!(
                class
                    .name
                    .starts_with(&format!("{:?}", class.pattern).to_lowercase())
            );
            assert!(
                class
                    .name
                    .ends_with(&format!("{:?}", class.shape).to_lowercase())
            );
        }
    }
}
