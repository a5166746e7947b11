//! McNemar's test: do two models that answered the same rows differ in how many they have right?

use statrs::distribution::{Binomial, DiscreteCDF};

/// Returns the two-sided exact p value, from the rows that only the first and only the second model has right (McNemar
/// 1947, Psychometrika 12:153, with the binomial distribution instead of its approximation). Rows that both have right
/// or both have wrong say nothing. It is 1 without rows that differ.
pub fn exact(only_first: u64, only_second: u64) -> f64 {
    let Ok(binomial) = Binomial::new(0.5, only_first + only_second) else { return 1.0 };
    (2.0 * binomial.cdf(only_first.min(only_second))).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{numbers, reference, same};
    use super::*;

    #[test]
    fn p_values_equal_those_of_statsmodels() {
        for case in reference()["mcnemar"].as_array().unwrap() {
            let [first, second, p] = numbers(case)[..] else { unreachable!() };
            same(exact(first as u64, second as u64), p, &case.to_string());
        }
    }

    #[test]
    fn values_by_hand() {
        assert_eq!((exact(0, 0), exact(7, 7)), (1.0, 1.0));
        // By hand: 2 * (1/2)^5 and 2 * (1 + 6) / 2^6.
        assert!((exact(5, 0) - 0.0625).abs() < 1e-12 && (exact(1, 5) - 0.218_75).abs() < 1e-12);
        assert_eq!(exact(3, 12), exact(12, 3));
    }
}
