//! 95 % intervals: Wilson's for a proportion, the percentile bootstrap for everything else. Seeded: the same counts and
//! seed give the same interval in every version, so the bounded draw is our own and the generator a named one.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// Resamples of a bootstrap.
pub const ROUNDS: usize = 2_000;

/// The standard normal's 97.5 % point.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's score interval (Wilson 1927, JASA 22:209) for a proportion, without continuity correction; `None` without
/// trials.
pub fn wilson(successes: u64, trials: u64) -> Option<(f64, f64)> {
    if trials == 0 {
        return None;
    }
    let n = trials as f64;
    let p = successes as f64 / n;
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    let low = if successes == 0 { 0.0 } else { (centre - half) / scale };
    let high = if successes >= trials { 1.0 } else { (centre + half) / scale };
    Some((low, high))
}

/// Unbiased draws below a bound, the same in every version.
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The draws of this seed for this purpose: different streams of one seed are independent.
    pub fn new(seed: u64, stream: u64) -> Draws {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(bytes);
        rng.set_stream(stream);
        Draws(rng)
    }

    /// A number below `bound`, which is not 0: multiply, take the high half, and draw again where the low half would favour
    /// some numbers (Lemire 2019, ACM TOMACS 29:3).
    pub fn below(&mut self, bound: u32) -> u32 {
        loop {
            let wide = u64::from(self.0.next_u32()) * u64::from(bound);
            if (wide as u32) >= bound.wrapping_neg() % bound {
                return (wide >> 32) as u32;
            }
        }
    }
}

/// Draws as many rows as there are, with replacement, [`ROUNDS`] times, and hands each resample on as how often every kind
/// of row was drawn. `counts` says how many rows there are of each kind: rows of a kind are alike, so their order is no
/// matter.
pub fn bootstrap(counts: &[u64], draws: &mut Draws, mut each: impl FnMut(&[u64])) {
    let kinds: Vec<usize> =
        counts.iter().enumerate().flat_map(|(kind, &n)| std::iter::repeat_n(kind, n as usize)).collect();
    let Some(rows) = u32::try_from(kinds.len()).ok().filter(|&rows| rows > 0) else { return };
    let mut drawn = vec![0; counts.len()];
    for _ in 0..ROUNDS {
        drawn.fill(0);
        for _ in 0..rows {
            drawn[kinds[draws.below(rows) as usize]] += 1;
        }
        each(&drawn);
    }
}

/// The percentile interval of the mean of these values; `None` without values.
pub fn mean(values: &[f64], seed: u64, stream: u64) -> Option<(f64, f64)> {
    let mut means = Vec::with_capacity(ROUNDS);
    bootstrap(&vec![1; values.len()], &mut Draws::new(seed, stream), |drawn| {
        let sum: f64 = drawn.iter().zip(values).map(|(&times, value)| times as f64 * value).sum();
        means.push(sum / values.len() as f64);
    });
    percentiles(means)
}

/// The 2.5 % and 97.5 % points of the values, with linear interpolation between neighbours; `None` without values.
/// Values that are no number are left out.
pub fn percentiles(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |share: f64| {
        let place = share * last as f64;
        let below = place.floor() as usize;
        let above = (below + 1).min(last);
        values[below] + (values[above] - values[below]) * (place - below as f64)
    };
    Some((at(0.025), at(0.975)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_never_change() {
        let mut draws = Draws::new(42, 1);
        let first: Vec<u32> = (0..8).map(|_| draws.below(100)).collect();
        assert_eq!(first, PINNED, "intervals of recorded runs would no longer be reproducible");
        let mut other = Draws::new(42, 2);
        assert_ne!(first, (0..8).map(|_| other.below(100)).collect::<Vec<u32>>());
    }

    const PINNED: [u32; 8] = [90, 77, 37, 20, 32, 63, 72, 10];

    #[test]
    fn draws_are_even() {
        let mut draws = Draws::new(7, 0);
        let mut seen = [0_u32; 7];
        for _ in 0..70_000 {
            seen[draws.below(7) as usize] += 1;
        }
        // Chi-squared with 6 degrees of freedom: 22.46 is its 99.9 % point, and the seed is fixed.
        let chi: f64 = seen.iter().map(|&n| (f64::from(n) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 22.46, "{seen:?}");
        assert_eq!(draws.below(1), 0);
    }

    #[test]
    fn percentiles_interpolate() {
        assert_eq!(percentiles((0..=1000).rev().map(f64::from).collect()), Some((25.0, 975.0)));
        assert_eq!(percentiles(vec![f64::NAN, 2.0]), Some((2.0, 2.0)));
        assert_eq!(percentiles(vec![0.0, 1.0]), Some((0.025, 0.975)));
        assert_eq!((percentiles(vec![]), percentiles(vec![f64::NAN])), (None, None));
    }

    #[test]
    fn a_resample_has_as_many_rows_and_only_kinds_that_exist() {
        let mut rounds = 0;
        let mut total = [0_u64; 3];
        bootstrap(&[3, 0, 7], &mut Draws::new(1, 0), |drawn| {
            rounds += 1;
            assert_eq!((drawn.iter().sum::<u64>(), drawn[1]), (10, 0));
            total.iter_mut().zip(drawn).for_each(|(sum, n)| *sum += n);
        });
        assert_eq!(rounds, ROUNDS);
        let share = total[0] as f64 / (ROUNDS as f64 * 10.0);
        assert!((share - 0.3).abs() < 0.02, "{share}");
        bootstrap(&[0, 0], &mut Draws::new(1, 0), |_| unreachable!());
    }

    #[test]
    fn a_proportion_s_bootstrap_agrees_with_wilson_for_many_rows() {
        let mut values = Vec::new();
        bootstrap(&[320, 80], &mut Draws::new(3, 0), |drawn| values.push(drawn[0] as f64 / 400.0));
        let (low, high) = percentiles(values).unwrap();
        let (wilson_low, wilson_high) = wilson(320, 400).unwrap();
        assert!((low - wilson_low).abs() < 0.01 && (high - wilson_high).abs() < 0.01, "{low} {high}");
    }
}
