//! How many rows a decision needs, and how small a difference so many rows can show. The formulas come from the
//! normal approximation for paired rows (Connett, Smith and McHugh 1987, Biometrics 43:607; Julious 2004, Statistics in
//! Medicine 23:1921). `deviation` is the standard deviation of the paired difference of one row, `level` the two-sided
//! level of the test.

use statrs::distribution::{ContinuousCDF, Normal};

/// Returns the standard normal's quantile.
fn z(share: f64) -> f64 {
    Normal::standard().inverse_cdf(share)
}

/// Returns the chance that a two-sided test of so many rows finds a true difference. The other formulas are tested with it.
#[cfg(test)]
pub(crate) fn power(deviation: f64, rows: u64, difference: f64, level: f64) -> f64 {
    let shift = difference.abs() * (rows as f64).sqrt() / deviation;
    let normal = Normal::standard();
    let limit = z(1.0 - level / 2.0);
    normal.cdf(shift - limit) + normal.cdf(-shift - limit)
}

/// Returns the smallest true difference that a two-sided test of so many rows finds with this power.
pub(crate) fn detectable_difference(deviation: f64, rows: u64, level: f64, power: f64) -> f64 {
    (z(1.0 - level / 2.0) + z(power)) * deviation / (rows as f64).sqrt()
}

/// Returns the rows at which a two-sided test finds a true difference with this power; infinite for no difference.
pub(crate) fn rows_to_detect(deviation: f64, difference: f64, level: f64, power: f64) -> f64 {
    ((z(1.0 - level / 2.0) + z(power)) * deviation / difference).powi(2)
}

/// Returns the rows at which the interval of models that do not differ lies within the margin with this power. At so
/// many rows a true difference of the margin is found with even more power.
pub(crate) fn rows_for_equivalence(deviation: f64, margin: f64, level: f64, power: f64) -> f64 {
    ((z(1.0 - level / 2.0) + z((1.0 + power) / 2.0)) * deviation / margin).powi(2)
}

#[cfg(test)]
mod tests;
