//! Do two samples have the same shares of classes?

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// The smallest expected count of a cell. Rarer classes are taken together (Cochran 1954, Biometrics 10:417).
const LEAST_EXPECTED: f64 = 5.0;

/// Two samples compared by the counts of their classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Homogeneity {
    /// Pearson's chi-squared test (Pearson 1900). 1 if there is nothing to compare.
    pub p: f64,
    /// The total variation distance of the shares: 0 for the same, 1 for samples without a common class.
    pub distance: f64,
}

/// Compares two samples. Each class has its count in either.
pub(crate) fn compare(counts: &[(u64, u64)]) -> Homogeneity {
    let (first, second) = counts.iter().fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
    if first == 0 || second == 0 {
        return Homogeneity { p: 1.0, distance: 0.0 };
    }
    let (a, b) = (first as f64, second as f64);
    let distance = counts.iter().map(|(x, y)| (*x as f64 / a - *y as f64 / b).abs()).sum::<f64>() / 2.0;
    let expected = |x: u64, y: u64, size: f64| (x + y) as f64 * size / (a + b);
    let is_rare = |(x, y): &&(u64, u64)| expected(*x, *y, a.min(b)) < LEAST_EXPECTED;
    let mut cells: Vec<(u64, u64)> = counts.iter().filter(|cell| !is_rare(cell)).copied().collect();
    let rare = counts.iter().filter(is_rare).fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
    cells.extend(Some(rare).filter(|(x, y)| x + y > 0));
    let term = |count: u64, expected: f64| (count as f64 - expected).powi(2) / expected;
    let statistic: f64 = cells.iter().map(|(x, y)| term(*x, expected(*x, *y, a)) + term(*y, expected(*x, *y, b))).sum();
    let freedom = cells.len().saturating_sub(1) as f64;
    let p = ChiSquared::new(freedom).map_or(1.0, |distribution| distribution.sf(statistic));
    Homogeneity { p, distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_equals_that_of_scipy() {
        // The example of scipy.stats.chi2_contingency: [[10, 10, 20], [20, 20, 20]] has p = 0.24935220877729614.
        let found = compare(&[(10, 20), (10, 20), (20, 20)]);
        assert!((found.p - 0.249_352_208_777_296_14).abs() < 1e-9, "{found:?}");
        // Shares 1/4, 1/4, 1/2 against thirds.
        assert!((found.distance - 1.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn rare_classes_count_together_and_nothing_is_no_difference() {
        let rare = compare(&[(100, 100), (3, 1), (1, 3)]);
        assert_eq!((rare.p, rare.distance), (compare(&[(100, 100), (4, 4)]).p, 2.0 / 104.0));
        assert_eq!(compare(&[(5, 0), (0, 0)]), Homogeneity { p: 1.0, distance: 0.0 });
        assert_eq!(compare(&[(50, 70)]).p, 1.0, "one class");
        let apart = compare(&[(50, 0), (0, 50)]);
        assert!(apart.p < 1e-9 && apart.distance == 1.0);
    }
}
