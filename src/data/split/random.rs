//! Random draws whose results never change between versions: ChaCha8 with a key made from the seed and one stream per
//! purpose. Bounded draws and shuffles are our own, because those of a crate may change.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// The purpose of a draw. Each has a stream of its own, so that one never shifts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Drawing the records that stay under `limit`.
    Limit = 1,
    /// Drawing the groups of the eval set.
    Eval = 2,
    /// Drawing the groups of the validation set.
    Validation = 3,
    /// Drawing the training rows that stay under `max_per_class`.
    Cap = 4,
    /// Drawing the records that stay under `limit_per_client`.
    Client = 5,
}

/// A stream of draws.
#[derive(Debug)]
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    /// Starts the stream of a seed and purpose.
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Draw {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut stream = ChaCha8Rng::from_seed(key);
        stream.set_stream(purpose as u64);
        Draw(stream)
    }

    /// Draws a number below `bound`, each equally likely. Returns 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // Lemire 2019, "Fast Random Integer Generation in an Interval": the high half of a product, rejecting the few
        // low halves that would favour some results.
        let threshold = if bound == 0 { 0 } else { bound.wrapping_neg() % bound };
        loop {
            let product = u128::from(self.next()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Shuffles items (Fisher-Yates, from the front).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        let count = items.len();
        self.choose_front(items, count);
    }

    /// Moves `count` random items to the front, in random order.
    pub(crate) fn choose_front<T>(&mut self, items: &mut [T], count: usize) {
        let total = items.len() as u64;
        for at in 0..count.min(items.len().saturating_sub(1)) {
            let other = at as u64 + self.below(total - at as u64);
            items.swap(at, other as usize);
        }
    }

    fn next(&mut self) -> u64 {
        rand::Rng::next_u64(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_never_change() {
        let first = |seed, purpose| {
            let mut draw = Draw::new(seed, purpose);
            [draw.below(1_000_000), draw.below(1_000_000), draw.below(1_000_000)]
        };
        // From an independent implementation: ChaCha with 8 rounds, a 64-bit counter and a 64-bit stream number.
        assert_eq!(first(42, Purpose::Limit), [776_863, 201_975, 632_139]);
        assert_eq!(first(42, Purpose::Eval), [227_185, 542_922, 553_112]);
        assert_eq!(first(7, Purpose::Eval), [10_922, 194_391, 900_044]);
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_a_choice_is_even() {
        let mut counts = [0_u32; 10];
        let mut draw = Draw::new(1, Purpose::Limit);
        for _ in 0..10_000 {
            let mut items: Vec<usize> = (0..10).collect();
            draw.choose_front(&mut items, 3);
            items[..3].iter().for_each(|&item| counts[item] += 1);
            items.sort_unstable();
            assert_eq!(items, (0..10).collect::<Vec<_>>());
        }
        // Expected 3000 each, standard deviation 46.
        assert!(counts.iter().all(|&n| (2750..3250).contains(&n)), "{counts:?}");
    }
}
