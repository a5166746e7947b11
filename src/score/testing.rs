//! Helpers of the tests of this folder.

use serde_json::Value;

/// Returns the numbers that testdata/statistics_reference.py wrote.
pub(super) fn reference() -> Value {
    serde_json::from_str(include_str!("../../testdata/statistics_reference.json")).unwrap()
}

/// Returns a list of numbers.
pub(super) fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Returns the repetitions of a simulation: the first number where `.ci/full` asks for it by `DFWFD_SIMULATIONS`, else
/// the second.
pub(super) fn long(full: u64, quick: u64) -> u64 {
    if std::env::var_os("DFWFD_SIMULATIONS").is_some() { full } else { quick }
}

/// Checks that two numbers are the same to 1e-9, also in proportion where they are small.
pub(super) fn same(ours: f64, theirs: f64, what: &str) {
    let bound = 1e-9 * theirs.abs().clamp(1e-3, 1.0);
    assert!((ours - theirs).abs() <= bound, "{what}: {ours} and {theirs}");
}
