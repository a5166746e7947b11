//! 95 % intervals of a proportion and of a mean. Those of the F1 averages are in [`super::classification`], those of
//! differences in [`super::difference`].

use statrs::distribution::{Beta, ContinuousCDF};

use super::bootstrap::{Plan, ROUNDS, Sample, SampleRow, ends};
use super::random::Draws;

/// The standard normal's 97.5 % point.
const Z: f64 = 1.959_963_984_540_054;

/// The probability that an interval leaves out at either end.
const TAIL: f64 = 0.025;

/// Returns Wilson's score interval for a proportion (Wilson 1927, JASA 22:209), without continuity correction; `None`
/// without trials. It covers 95 % on average, also for few trials (Brown, Cai and DasGupta 2001, Statistical Science
/// 16:101).
pub(crate) fn wilson(successes: u64, trials: u64) -> Option<(f64, f64)> {
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

/// Returns the exact interval for a proportion (Clopper and Pearson 1934, Biometrika 26:404), `None` without trials. It
/// covers 95 % at least, and mostly more.
pub(crate) fn clopper_pearson(successes: u64, trials: u64) -> Option<(f64, f64)> {
    let failures = trials.checked_sub(successes).filter(|_| trials > 0)?;
    let (hits, misses) = (successes as f64, failures as f64);
    let low = if successes == 0 { 0.0 } else { beta_quantile(hits, misses + 1.0, TAIL)? };
    let high = if failures == 0 { 1.0 } else { 1.0 - beta_quantile(misses, hits + 1.0, TAIL)? };
    Some((low, high))
}

/// Returns a quantile of the beta distribution, halving until neighbouring numbers enclose it.
fn beta_quantile(a: f64, b: f64, share: f64) -> Option<f64> {
    let beta = Beta::new(a, b).ok()?;
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return Some(middle);
        }
        if beta.cdf(middle) < share { low = middle } else { high = middle }
    }
}

/// Returns the percentile bootstrap interval of the mean of values within 0 to 1; `None` without values. It allows for
/// values that no row shows: beyond the lowest down to 0, and beyond the highest up to 1.
pub fn mean(values: &[f64], seed: u64, stream: u64) -> Option<(f64, f64)> {
    let rows: Vec<SampleRow> =
        (0..values.len()).map(|at| SampleRow { kind: at as u32, stratum: 0, unit: None }).collect();
    let plan = Plan { seed, stream, rounds: ROUNDS, threads: None };
    let (worst, best) = (values.contains(&0.0), values.contains(&1.0));
    let rounds: Vec<(f64, f64)> = Sample::new(&rows, values.len()).resample(plan, || {
        |draws: &mut Draws, drawn: &mut [f64]| {
            let sum: f64 = drawn.iter().zip(values).map(|(times, value)| times * value).sum();
            let mean = sum / values.len() as f64;
            let mut toward = |end: f64, seen: bool| {
                let share = if seen { 0.0 } else { draws.unseen_share(values.len() as f64) };
                mean * (1.0 - share) + end * share
            };
            (toward(0.0, worst), toward(1.0, best))
        }
    });
    let (low, high) = rounds.into_iter().unzip();
    ends(low, high)
}

#[cfg(test)]
mod tests;
