//! Do two samples have the same shares of classes?

use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::bootstrap::Plan;
use super::random::Draws;

/// The smallest expected count for which the chi-squared distribution is trusted (Cochran 1954, Biometrics 10:417).
const LEAST_EXPECTED: f64 = 5.0;

/// The stream of the seed.
const STREAM: u64 = 0xd21f;

/// Rounds of a permutation test: as many as these draws allow, between the two numbers. Where they do not allow the fewest,
/// the rare classes are a small part of many rows, and count as one class.
const ROUNDS: (u64, u64) = (999, 9_999);
const WORK: u64 = 200_000_000;

/// Statistics closer than this part are the same: sums in another order differ in their last bits.
const ROUNDING: f64 = 1e-9;

/// Two samples compared by the counts of their classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Homogeneity {
    /// Pearson's chi-squared test (Pearson 1900). 1 if there is nothing to compare.
    pub p: f64,
    /// The total variation distance of the shares: 0 for the same, 1 for samples without a common class.
    pub distance: f64,
}

/// Compares two samples. Each class has its count in either. Where a class is too rare for the chi-squared distribution,
/// the rows are dealt to both samples at random, and p is the share of deals with as large a statistic (Hope 1968, JRSS B
/// 30:582).
pub(crate) fn compare(counts: &[(u64, u64)], seed: u64) -> Homogeneity {
    let table = Table::new(counts);
    if table.first == 0 || table.second == 0 {
        return Homogeneity { p: 1.0, distance: 0.0 };
    }
    let (a, b) = (table.first as f64, table.second as f64);
    let distance = counts.iter().map(|(x, y)| (*x as f64 / a - *y as f64 / b).abs()).sum::<f64>() / 2.0;
    let is_small = (table.first + table.second) * ROUNDS.0 <= WORK;
    let p = match table.cells.iter().any(|cell| table.is_rare(cell)) {
        true if is_small => table.p_of_deals(seed),
        true => table.with_rare_classes_as_one().p_of_chi_squared(),
        false => table.p_of_chi_squared(),
    };
    Homogeneity { p, distance }
}

/// The counts of the classes that occur, and their sums.
struct Table {
    cells: Vec<(u64, u64)>,
    first: u64,
    second: u64,
}

impl Table {
    fn new(counts: &[(u64, u64)]) -> Table {
        let cells: Vec<(u64, u64)> = counts.iter().filter(|(x, y)| x + y > 0).copied().collect();
        let (first, second) = cells.iter().fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
        Table { cells, first, second }
    }

    fn is_rare(&self, (x, y): &(u64, u64)) -> bool {
        let smaller = self.first.min(self.second) as f64 / (self.first + self.second) as f64;
        ((x + y) as f64) * smaller < LEAST_EXPECTED
    }

    fn with_rare_classes_as_one(&self) -> Table {
        let (rare, mut cells): (Vec<_>, Vec<_>) = self.cells.iter().copied().partition(|cell| self.is_rare(cell));
        cells.push(rare.iter().fold((0, 0), |(a, b), (x, y)| (a + x, b + y)));
        Table::new(&cells)
    }

    fn observed(&self) -> f64 {
        self.statistic(self.cells.iter().map(|(x, _)| *x))
    }

    fn p_of_chi_squared(&self) -> f64 {
        let freedom = self.cells.len().saturating_sub(1) as f64;
        ChiSquared::new(freedom).map_or(1.0, |distribution| distribution.sf(self.observed()))
    }

    /// Returns Pearson's statistic, were these the counts of the first sample.
    fn statistic(&self, firsts: impl Iterator<Item = u64>) -> f64 {
        let (a, b) = (self.first as f64, self.second as f64);
        let all = a + b;
        let term = |(x, cell): (u64, &(u64, u64))| {
            let of_class = (cell.0 + cell.1) as f64;
            (x as f64 - of_class * a / all).powi(2) * all * all / (of_class * a * b)
        };
        firsts.zip(&self.cells).map(term).sum()
    }

    fn p_of_deals(&self, seed: u64) -> f64 {
        let (all, observed) = (self.first + self.second, self.observed());
        let rounds = (WORK / all).min(ROUNDS.1) as usize;
        let plan = Plan { seed, stream: STREAM, rounds, threads: None };
        let statistics = plan.run(all as usize, || |draws: &mut Draws| self.statistic(self.deal(draws).into_iter()));
        let as_large = statistics.iter().filter(|dealt| **dealt >= observed * (1.0 - ROUNDING)).count();
        (as_large + 1) as f64 / (rounds + 1) as f64
    }

    /// Deals the rows to both samples at random, and returns the counts of the first.
    fn deal(&self, draws: &mut Draws) -> Vec<u64> {
        let (mut left, mut wanted) = (self.first + self.second, self.first);
        let class = |(x, y): &(u64, u64)| {
            let mut dealt = 0;
            for _ in 0..x + y {
                let is_first = u64::from(draws.below(u32::try_from(left).unwrap_or(u32::MAX))) < wanted;
                dealt += u64::from(is_first);
                wanted -= u64::from(is_first);
                left -= 1;
            }
            dealt
        };
        self.cells.iter().map(class).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{numbers, reference};
    use super::*;

    #[test]
    fn the_test_equals_that_of_scipy() {
        // The example of scipy.stats.chi2_contingency: [[10, 10, 20], [20, 20, 20]] has p = 0.24935220877729614.
        let found = compare(&[(10, 20), (10, 20), (20, 20)], 1);
        assert!((found.p - 0.249_352_208_777_296_14).abs() < 1e-9, "{found:?}");
        // Shares 1/4, 1/4, 1/2 against thirds.
        assert!((found.distance - 1.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn rare_classes_get_the_p_value_of_all_deals() {
        let reference = reference();
        let cases = reference["deals"].as_array().unwrap();
        assert!(cases.len() >= 10);
        for case in cases {
            let counts: Vec<(u64, u64)> = case[0]
                .as_array()
                .unwrap()
                .iter()
                .map(|cell| (numbers(cell)[0] as u64, numbers(cell)[1] as u64))
                .collect();
            let (ours, theirs) = (compare(&counts, 5).p, case[1].as_f64().unwrap());
            // Four and a half standard deviations of a share of 9,999 deals.
            let bound = 4.5 * (theirs * (1.0 - theirs) / 9_999.0).sqrt() + 2e-4;
            assert!((ours - theirs).abs() <= bound, "{case}: {ours}");
        }
    }

    #[test]
    fn many_small_classes_do_not_hide_that_all_of_them_changed() {
        let counts: Vec<(u64, u64)> = (0..50).map(|at| if at < 25 { (4, 0) } else { (0, 4) }).collect();
        let found = compare(&counts, 1);
        assert_eq!(found.p, 1.0 / 10_000.0);
        assert!((found.distance - 1.0).abs() < 1e-12, "{found:?}");
        assert_eq!(found, compare(&counts, 1), "the seed decides");
        let same: Vec<(u64, u64)> = (0..50).map(|_| (2, 2)).collect();
        assert_eq!(compare(&same, 1), Homogeneity { p: 1.0, distance: 0.0 });
        // Nothing can be told of three rows each.
        assert!(compare(&[(1, 0), (1, 0), (1, 0), (0, 1), (0, 1), (0, 1)], 1).p > 0.9);
    }

    #[test]
    fn rare_classes_of_very_many_rows_count_as_one() {
        let many = 1_000_000_000;
        let found = compare(&[(many, many), (many, many), (3, 1), (1, 3)], 1);
        assert_eq!(found.p, compare(&[(many, many), (many, many), (4, 4)], 1).p);
        assert!(compare(&[(many, many), (many, many + 4_000_000), (3, 1)], 1).p < 1e-9);
    }

    #[test]
    fn nothing_is_no_difference() {
        assert_eq!(compare(&[(5, 0), (0, 0)], 1), Homogeneity { p: 1.0, distance: 0.0 });
        assert_eq!(compare(&[(50, 70)], 1).p, 1.0, "one class");
        let apart = compare(&[(50, 0), (0, 50)], 1);
        assert!(apart.p < 1e-9 && apart.distance == 1.0);
    }
}
