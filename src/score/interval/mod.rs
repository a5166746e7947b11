//! 95 % intervals of a proportion and of a mean. Those of the F1 averages are in [`super::classification`], those of
//! differences in [`super::difference`].

use std::collections::HashMap;

use statrs::distribution::{Beta, ContinuousCDF};

use super::bootstrap::{Plan, ROUNDS, Sample, SampleRow, ends};
use super::random::Draws;

/// The standard normal's 97.5 % point.
const Z: f64 = 1.959_963_984_540_054;

/// The probability that an interval leaves out at either end.
const TAIL: f64 = 0.025;

/// Returns Wilson's score interval for a proportion of `n` trials (Wilson 1927, JASA 22:209), without continuity
/// correction; `None` without trials. It covers 95 % on average, also for few trials (Brown, Cai and DasGupta 2001, Statistical Science
/// 16:101).
pub(crate) fn wilson(successes: f64, n: f64) -> Option<(f64, f64)> {
    if n <= 0.0 {
        return None;
    }
    let p = successes / n;
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    let low = if successes <= 0.0 { 0.0 } else { (centre - half) / scale };
    let high = if successes >= n { 1.0 } else { (centre + half) / scale };
    Some((low, high))
}

/// Returns the interval of the share of rows that are hits; `None` without rows. Rows with the same number in `units`
/// depend on each other. Then it is [`wilson`]'s for as many independent rows as tell the share equally well: the rows
/// by the design effect (Rao and Scott 1992, Biometrics 48:577; Korn and Graubard 1998, Survey Methodology 24:193).
pub(crate) fn share(hits: &[bool], units: Option<&[u64]>) -> Option<(f64, f64)> {
    let (successes, rows) = (hits.iter().filter(|hit| **hit).count() as f64, hits.len() as f64);
    let effect = units.map_or(1.0, |units| design_effect(hits, units));
    wilson(successes / effect, rows / effect)
}

/// Returns how many times more rows a share takes because rows of one unit depend on each other, 1 at least.
fn design_effect(hits: &[bool], units: &[u64]) -> f64 {
    let mut by_unit: HashMap<u64, (f64, f64)> = HashMap::new();
    for (hit, unit) in hits.iter().zip(units) {
        let (rows, right) = by_unit.entry(*unit).or_default();
        *rows += 1.0;
        *right += f64::from(u8::from(*hit));
    }
    let (n, drawn) = (hits.len() as f64, by_unit.len() as f64);
    if drawn >= n {
        return 1.0;
    }
    let share = by_unit.values().map(|(_, right)| right).sum::<f64>() / n;
    let spread = share * (1.0 - share);
    let squares = |of: fn(f64, f64, f64) -> f64| -> f64 {
        by_unit.values().map(|&(rows, right)| of(rows, right, share).powi(2)).sum()
    };
    let effect = if drawn < 2.0 || spread <= 0.0 {
        // Nothing tells how alike the rows of a unit are: they count as one.
        squares(|rows, _, _| rows) / n
    } else {
        let residuals = squares(|rows, right, share| right - share * rows);
        residuals / (n * spread) * (drawn / (drawn - 1.0)) * ((n - 1.0) / n)
    };
    effect.max(1.0)
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
/// values that no row shows: beyond the lowest down to 0, and beyond the highest up to 1. Rows with the same number in
/// `units` depend on each other and are drawn together.
pub fn mean(values: &[f64], units: Option<&[u64]>, seed: u64, stream: u64) -> Option<(f64, f64)> {
    let unit = |at: usize| units.and_then(|units| units.get(at).copied());
    let rows: Vec<SampleRow> =
        (0..values.len()).map(|at| SampleRow { kind: at as u32, stratum: 0, unit: unit(at) }).collect();
    let plan = Plan { seed, stream, rounds: ROUNDS, threads: None };
    let (worst, best) = (values.contains(&0.0), values.contains(&1.0));
    let sample = Sample::new(&rows, values.len());
    let drawn_apart = sample.units().count() as f64;
    let rounds: Vec<(f64, f64)> = sample.resample(plan, || {
        |draws: &mut Draws, drawn: &mut [f64]| {
            let (sum, n) =
                drawn.iter().zip(values).fold((0.0, 0.0), |(sum, n), (times, value)| (sum + times * value, n + times));
            let mean = sum / n;
            let mut toward = |end: f64, seen: bool| {
                let share = if seen { 0.0 } else { draws.unseen_share(drawn_apart) };
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
