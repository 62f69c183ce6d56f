//! Fixed two-dimensional sine-cosine positions.

/// Positions of a `[rows, columns]` grid, preceded by a row of zeros for the class token.
///
/// Returns `(1 + rows · columns) × dim` values, row by row. As MAE's `get_2d_sincos_pos_embed`: the
/// first half of a token's vector encodes its column, the second half its row; each half is
/// `sin(p·ω) ‖ cos(p·ω)` with `ω_k = 10000^(-k / (dim/4))`. Computed in f64, rounded once.
///
/// # Panics
/// If `dim` is no multiple of 4.
pub fn sincos_positions(dim: usize, [rows, columns]: [usize; 2]) -> Vec<f32> {
    assert_eq!(dim % 4, 0, "2-D sine-cosine positions need a multiple of 4");
    let quarter = dim / 4;
    let omega: Vec<f64> = (0..quarter)
        .map(|k| 10_000f64.powf(-(k as f64) / quarter as f64))
        .collect();
    let mut values = vec![0.0; dim];
    values.reserve(rows * columns * dim);
    for row in 0..rows {
        for column in 0..columns {
            for position in [column, row] {
                let angles = || omega.iter().map(|omega| position as f64 * omega);
                values.extend(angles().map(|angle| angle.sin() as f32));
                values.extend(angles().map(|angle| angle.cos() as f32));
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values of the MAE definition for dim 8 on a 2 × 3 grid, from
    /// `tests/golden/positions_and_patches.py`.
    #[test]
    fn equals_the_reference_definition() {
        let golden: Vec<f32> = include_str!("../tests/golden/positions_dim8_2x3.txt")
            .split_whitespace()
            .map(|value| value.parse().expect("a number"))
            .collect();
        let ours = sincos_positions(8, [2, 3]);
        assert_eq!(ours.len(), golden.len());
        for (index, (ours, golden)) in ours.iter().zip(&golden).enumerate() {
            assert!(
                (ours - golden).abs() < 1e-6,
                "value {index}: {ours} against {golden}"
            );
        }
    }

    #[test]
    fn every_token_has_a_place_of_its_own() {
        let (dim, grid) = (16, [5, 7]);
        let values = sincos_positions(dim, grid);
        let tokens: Vec<&[f32]> = values.chunks(dim).collect();
        assert_eq!(tokens.len(), 36);
        for a in 0..tokens.len() {
            for b in 0..a {
                assert_ne!(tokens[a], tokens[b], "tokens {a} and {b}");
            }
        }
    }
}
