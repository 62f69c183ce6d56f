//! Which samples of a step share a micro-batch, so that little is padded.

/// The samples of one optimiser step, cut into micro-batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MicroBatchPlan {
    /// Indices into the step's samples; every index stands in exactly one micro-batch.
    pub micro_batches: Vec<Vec<usize>>,
}

/// Sorts a step's samples by `n_keep` and cuts them into micro-batches of `micro_batch` samples.
///
/// Equal lengths keep their order. The sum of gradients over the step does not depend on the cut.
pub fn sort_into_micro_batches(n_keep: &[usize], micro_batch: usize) -> MicroBatchPlan {
    let mut order: Vec<usize> = (0..n_keep.len()).collect();
    order.sort_by_key(|index| n_keep[*index]);
    MicroBatchPlan {
        micro_batches: order
            .chunks(micro_batch.max(1))
            .map(<[usize]>::to_vec)
            .collect(),
    }
}

/// The kept length that a micro-batch is padded to: its longest sample, rounded up to
/// `length_multiple` and no longer than `tokens`.
pub(crate) fn padded_length(longest: usize, length_multiple: usize, tokens: usize) -> usize {
    longest.next_multiple_of(length_multiple.max(1)).min(tokens)
}

/// The share of the encoder's patch-token slots that hold padding, over all micro-batches.
pub fn padded_token_share(
    plan: &MicroBatchPlan,
    n_keep: &[usize],
    length_multiple: usize,
    tokens: usize,
) -> f64 {
    let (mut slots, mut kept) = (0, 0);
    for batch in &plan.micro_batches {
        let longest = batch.iter().map(|index| n_keep[*index]).max().unwrap_or(0);
        slots += batch.len() * padded_length(longest, length_multiple, tokens);
        kept += batch.iter().map(|index| n_keep[*index]).sum::<usize>();
    }
    if slots == 0 {
        0.0
    } else {
        1.0 - kept as f64 / slots as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_sample_is_in_one_micro_batch_and_sorting_full_ones_never_pads_more(
            n_keep in prop::collection::vec(1usize..196, 1..300), micro_batch in prop_oneof![1usize..64, Just(1), Just(2), Just(3)],
        ) {
            let plan = sort_into_micro_batches(&n_keep, micro_batch);
            let mut seen: Vec<usize> = plan.micro_batches.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..n_keep.len()).collect::<Vec<_>>());
            let unsorted = MicroBatchPlan {
                micro_batches: (0..n_keep.len()).collect::<Vec<_>>().chunks(micro_batch).map(<[usize]>::to_vec).collect(),
            };
            let share = |plan| padded_token_share(plan, &n_keep, 1, 196);
            // A short last micro-batch may by chance hold the longest sample; a step has none.
            if n_keep.len() % micro_batch == 0 {
                prop_assert!(share(&plan) <= share(&unsorted) + 1e-12);
            }
        }
    }

    #[test]
    fn equal_lengths_pad_nothing_and_a_multiple_pads_up_to_all_tokens() {
        let plan = sort_into_micro_batches(&[49; 64], 16);
        assert!(padded_token_share(&plan, &[49; 64], 1, 196).abs() < 1e-12);
        assert_eq!(padded_length(49, 8, 196), 56);
        assert_eq!(padded_length(195, 8, 196), 196);
    }
}
