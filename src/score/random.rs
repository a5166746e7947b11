//! Seeded random numbers. The same seed gives the same numbers in every version, so the generator is a named one
//! (ChaCha8) and what is made of its bits is our own.

use std::f64::consts::TAU;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// A stream of random numbers.
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// Returns the numbers of this seed for this purpose. Different streams of one seed are independent.
    pub fn new(seed: u64, stream: u64) -> Draws {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(bytes);
        rng.set_stream(stream);
        Draws(rng)
    }

    /// Returns the numbers of one round of a simulation: rounds do not depend on the thread that runs them. `stream` is
    /// below 2^31.
    pub(super) fn of_round(seed: u64, stream: u64, round: u64) -> Draws {
        Draws::new(seed, ((stream + 1) << 32) | round)
    }

    /// Returns a number below `bound`, which is not 0: multiplies, takes the high half, and draws again where the low
    /// half would favour some numbers (Lemire 2019, ACM TOMACS 29:3).
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        loop {
            let wide = u64::from(self.0.next_u32()) * u64::from(bound);
            let low = wide as u32;
            // The exact limit costs a division, and only a low half below the bound can be under it.
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (wide >> 32) as u32;
            }
        }
    }

    /// Tosses 64 fair coins.
    pub(super) fn coins(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number of the open interval (0, 1), evenly distributed.
    pub fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Returns a number of the distribution Beta(1/2, n + 1/2): what Jeffreys' prior says of the share of an event that
    /// n trials did not show. It is T^2 / (v + T^2) for a T of Student's distribution with v = 2n + 1 degrees of freedom,
    /// and T comes in polar form (Bailey 1994, Math. Comp. 62:779).
    pub(super) fn unseen_share(&mut self, trials: f64) -> f64 {
        let freedom = 2.0 * trials + 1.0;
        let radius = self.unit().powf(-2.0 / freedom) - 1.0;
        let square = radius * (TAU * self.unit()).cos().powi(2);
        square / (1.0 + square)
    }
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{Beta, ContinuousCDF};

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
    fn rounds_and_streams_do_not_share_numbers() {
        let first = |seed, stream, round| Draws::of_round(seed, stream, round).coins();
        let mut seen = vec![first(1, 0, 0), first(1, 0, 1), first(1, 1, 0), first(2, 0, 0), Draws::new(1, 0).coins()];
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 5);
    }

    #[test]
    fn unseen_shares_follow_their_beta_distribution() {
        for trials in [0.0, 3.0, 100.0] {
            let mut draws = Draws::new(5, 0);
            let mut drawn: Vec<f64> = (0..20_000).map(|_| draws.unseen_share(trials)).collect();
            drawn.sort_by(f64::total_cmp);
            let beta = Beta::new(0.5, trials + 0.5).unwrap();
            let n = drawn.len() as f64;
            let gap = |(at, &share): (usize, &f64)| (beta.cdf(share) - (at as f64 + 0.5) / n).abs();
            let worst = drawn.iter().enumerate().map(gap).fold(0.0, f64::max);
            // Kolmogorov's 99.9 % point is 1.95 / sqrt(n), and the seed is fixed.
            assert!(worst < 1.95 / n.sqrt(), "{trials} trials: {worst}");
        }
    }
}
