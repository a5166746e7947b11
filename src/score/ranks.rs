//! Does one sample tend to larger values than another?

use statrs::distribution::{ContinuousCDF, Normal};

/// Returns the two-sided p value of Mann and Whitney's test (1947, Annals of Mathematical Statistics 18:50), from how often
/// each value is in either sample, smallest value first. It is the normal approximation, corrected for ties and for
/// continuity; `None` unless both samples have a value.
pub(crate) fn compare(counts: &[(u64, u64)]) -> Option<f64> {
    let (first, second) = counts.iter().fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
    if first == 0 || second == 0 {
        return None;
    }
    let (a, b) = (first as f64, second as f64);
    let all = a + b;
    let (mut wins, mut below, mut ties) = (0.0, 0.0, 0.0);
    for &(x, y) in counts {
        let (x, y) = (x as f64, y as f64);
        wins += x * (below + y / 2.0);
        below += y;
        ties += (x + y).powi(3) - (x + y);
    }
    let variance = a * b / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        return Some(1.0);
    }
    let beyond = (wins - a * b / 2.0).abs() - 0.5;
    Some((2.0 * Normal::standard().sf(beyond / variance.sqrt())).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{numbers, reference, same};
    use super::*;

    #[test]
    fn p_values_equal_those_of_scipy() {
        let reference = reference();
        let cases = reference["ranks"].as_array().unwrap();
        assert!(cases.len() >= 20);
        for case in cases {
            let counts: Vec<(u64, u64)> = case[0]
                .as_array()
                .unwrap()
                .iter()
                .map(|cell| (numbers(cell)[0] as u64, numbers(cell)[1] as u64))
                .collect();
            same(compare(&counts).unwrap(), case[1].as_f64().unwrap(), &case.to_string());
            let turned: Vec<(u64, u64)> = counts.iter().rev().map(|(x, y)| (*y, *x)).collect();
            same(compare(&turned).unwrap(), case[1].as_f64().unwrap(), &format!("turned {case}"));
        }
    }

    #[test]
    fn what_tells_nothing_is_no_difference() {
        assert_eq!((compare(&[]), compare(&[(3, 0), (1, 0)])), (None, None));
        assert_eq!((compare(&[(3, 4)]), compare(&[(0, 0), (1, 1)])), (Some(1.0), Some(1.0)));
        assert_eq!(compare(&[(1, 0), (0, 1)]), Some(1.0), "one row each");
        assert!(compare(&[(30, 0), (0, 0), (0, 30)]).is_some_and(|p| p < 1e-9));
    }
}
