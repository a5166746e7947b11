//! Shares rows out among strata.

/// Divides `target` among strata in proportion to `sizes` by the largest remainder: each stratum gets its share rounded
/// down, and the rows that are left go to those with the largest fraction cut off. Of equal ones the earlier comes first.
/// The quotas sum to `target`, or are all 0 if all sizes are.
pub(super) fn largest_remainder(target: u64, sizes: &[u64]) -> Vec<u64> {
    let total: u64 = sizes.iter().sum();
    if total == 0 {
        return vec![0; sizes.len()];
    }
    let total = u128::from(total);
    let share = |size: u64| u128::from(target) * u128::from(size);
    let mut quotas: Vec<u64> = sizes.iter().map(|&size| (share(size) / total) as u64).collect();
    let left = target - quotas.iter().sum::<u64>();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(share(sizes[at]) % total));
    for at in order.into_iter().take(left as usize) {
        quotas[at] += 1;
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::largest_remainder;

    #[test]
    fn what_is_left_goes_to_the_largest_fractions_and_then_to_the_earlier() {
        assert_eq!(largest_remainder(10, &[50, 30, 20]), [5, 3, 2]);
        assert_eq!(largest_remainder(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(largest_remainder(7, &[10, 29, 1]), [2, 5, 0]);
        assert_eq!(largest_remainder(3, &[0, 0]), [0, 0]);
        assert_eq!(largest_remainder(u64::MAX, &[u64::MAX / 2, 1]).iter().sum::<u64>(), u64::MAX);
    }
}
