//! Holm's correction for several comparisons.

/// Returns the adjusted p values in the order given: the family's chance of one false difference stays below the level
/// to which each of them is compared (Holm 1979, Scandinavian Journal of Statistics 6:65).
pub(crate) fn adjust(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, place) in order.into_iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * p_values[place]).min(1.0);
        adjusted[place] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::super::testing::{numbers, reference, same};
    use super::*;

    #[test]
    fn adjusted_values_equal_those_of_statsmodels() {
        for case in reference()["holm"].as_array().unwrap() {
            for (ours, theirs) in adjust(&numbers(&case[0])).into_iter().zip(numbers(&case[1])) {
                same(ours, theirs, &case.to_string());
            }
        }
    }

    #[test]
    fn adjusted_values_never_fall_and_keep_their_places() {
        let adjusted = adjust(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(adjusted.iter().zip(expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-15), "{adjusted:?}");
        assert_eq!((adjust(&[]), adjust(&[0.7]), adjust(&[0.6, 0.9])), (vec![], vec![0.7], vec![1.0, 1.0]));
    }
}
