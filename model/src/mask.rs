//! From scores to the tokens that are kept.

/// The mask of one sample: every token in ascending order of score, of which the first are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMask {
    ids_shuffle: Vec<u32>,
    n_keep: usize,
}

impl TokenMask {
    /// Keeps the `n_keep` lowest scores; equal scores keep the lower index (a stable sort, as MAE's
    /// `argsort` of noise is read here).
    ///
    /// # Panics
    /// If `n_keep` is 0 or not below the number of tokens, or a score is NaN.
    pub fn keep_lowest(scores: &[f32], n_keep: usize) -> Self {
        assert!(
            (1..scores.len()).contains(&n_keep),
            "n_keep {n_keep} of {} tokens: at least one token is kept and one masked",
            scores.len()
        );
        assert!(
            scores.iter().all(|score| !score.is_nan()),
            "a mask score is NaN"
        );
        let mut ids_shuffle: Vec<u32> = (0..scores.len() as u32).collect();
        ids_shuffle.sort_by(|a, b| scores[*a as usize].total_cmp(&scores[*b as usize]));
        Self {
            ids_shuffle,
            n_keep,
        }
    }

    /// Number of tokens L.
    pub fn tokens(&self) -> usize {
        self.ids_shuffle.len()
    }

    /// Number of kept tokens.
    pub fn n_keep(&self) -> usize {
        self.n_keep
    }

    /// Number of masked tokens.
    pub fn n_masked(&self) -> usize {
        self.tokens() - self.n_keep
    }

    /// Tokens in ascending order of score.
    pub fn ids_shuffle(&self) -> &[u32] {
        &self.ids_shuffle
    }

    /// The rank of every token: `ids_shuffle[ids_restore[j]] == j`.
    pub fn ids_restore(&self) -> Vec<u32> {
        let mut restore = vec![0; self.tokens()];
        for (rank, token) in self.ids_shuffle.iter().enumerate() {
            restore[*token as usize] = rank as u32;
        }
        restore
    }

    /// For every token whether it is masked.
    pub fn masked(&self) -> Vec<bool> {
        let mut masked = vec![true; self.tokens()];
        for token in &self.ids_shuffle[..self.n_keep] {
            masked[*token as usize] = false;
        }
        masked
    }
}

/// `score = ŝ + noise · u` in f32 (DESIGN section 4); the highest scores are masked.
///
/// `normalised_salience` and `uniforms` hold one value per token, `uniforms` drawn from `[0, 1)`.
///
/// # Panics
/// If the two differ in length.
pub fn mask_scores(normalised_salience: &[f32], uniforms: &[f32], noise: f32) -> Vec<f32> {
    assert_eq!(
        normalised_salience.len(),
        uniforms.len(),
        "one draw per token"
    );
    normalised_salience
        .iter()
        .zip(uniforms)
        .map(|(salience, uniform)| salience + noise * uniform)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scores_and_keep() -> impl Strategy<Value = (Vec<f32>, usize)> {
        prop::collection::vec(0.0f32..1.5, 2..200)
            .prop_flat_map(|scores| (Just(scores.clone()), 1..scores.len()))
    }

    proptest! {
        #[test]
        fn counts_are_exact_and_restore_inverts_shuffle((scores, n_keep) in scores_and_keep()) {
            let mask = TokenMask::keep_lowest(&scores, n_keep);
            let masked = mask.masked();
            prop_assert_eq!(masked.iter().filter(|masked| **masked).count(), scores.len() - n_keep);
            prop_assert_eq!(mask.n_masked() + mask.n_keep(), scores.len());
            let restore = mask.ids_restore();
            for (token, rank) in restore.iter().enumerate() {
                prop_assert_eq!(mask.ids_shuffle()[*rank as usize] as usize, token);
                prop_assert_eq!(masked[token], *rank as usize >= n_keep);
            }
        }

        #[test]
        fn masked_tokens_score_no_lower_than_kept_ones((scores, n_keep) in scores_and_keep()) {
            let masked = TokenMask::keep_lowest(&scores, n_keep).masked();
            for (a, score_a) in scores.iter().enumerate() {
                for (b, score_b) in scores.iter().enumerate() {
                    if masked[a] && !masked[b] {
                        prop_assert!(score_a >= score_b);
                    }
                }
            }
        }

        #[test]
        fn raising_a_tokens_salience_never_unmasks_it(
            (salience, n_keep) in scores_and_keep(), at in any::<prop::sample::Index>(), rise in 0.0f32..2.0, seed in any::<u64>(),
        ) {
            let uniforms: Vec<f32> = (0..salience.len() as u64)
                .map(|token| (seed.wrapping_mul(token + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1u64 << 24) as f32)
                .collect();
            let at = at.index(salience.len());
            let before = TokenMask::keep_lowest(&mask_scores(&salience, &uniforms, 0.5), n_keep).masked();
            let mut risen = salience;
            risen[at] += rise;
            let after = TokenMask::keep_lowest(&mask_scores(&risen, &uniforms, 0.5), n_keep).masked();
            prop_assert!(!before[at] || after[at]);
        }
    }

    #[test]
    fn ties_keep_the_lower_index() {
        let mask = TokenMask::keep_lowest(&[0.5; 6], 2);
        assert_eq!(mask.masked(), [false, false, true, true, true, true]);
    }
}
