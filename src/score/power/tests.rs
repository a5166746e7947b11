//! Against statsmodels, and one formula against another.

use super::super::testing::{numbers, reference, same};
use super::*;

#[test]
fn power_and_rows_equal_those_of_statsmodels() {
    for case in reference()["power"].as_array().unwrap() {
        let [deviation, rows, difference, level, wanted, chance, needed] = numbers(case)[..] else { unreachable!() };
        same(power(deviation, rows as u64, difference, level), chance, "power");
        same(rows_to_detect(deviation, difference, level, wanted), needed, "rows");
        let rows = needed.round().max(1.0) as u64;
        let detectable = detectable_difference(deviation, rows, level, wanted);
        same(rows_to_detect(deviation, detectable, level, wanted), rows as f64, "the difference of these rows");
    }
}

#[test]
fn values_by_hand_and_the_ends() {
    // (1.95996 + 0.84162)^2 * 4 = 31.4 and (1.95996 + 1.28155)^2 * 4 = 42.03.
    assert_eq!(rows_to_detect(1.0, 0.5, 0.05, 0.8).ceil(), 32.0);
    assert_eq!(rows_for_equivalence(1.0, 0.5, 0.05, 0.8).ceil(), 43.0);
    assert_eq!(rows_to_detect(1.0, 0.0, 0.05, 0.8), f64::INFINITY);
    same(power(1.0, 100, 0.0, 0.05), 0.05, "the power without a difference is the level");
}
