//! The counts at 80 and 160 columns.

use super::super::samples;
use super::*;

#[test]
fn split_shows_where_every_record_went() {
    let data = samples::completed().data.unwrap();
    insta::assert_snapshot!("split_80", split(&data, 80, false));
    assert_eq!(split(&data, 160, false), split(&data, 80, false));
}

#[test]
fn load_shows_its_sum() {
    let counts = LoadCounts {
        read: 1_503,
        added: 1_400,
        present: 88,
        rejected: [("no_label".to_owned(), 12), ("not_json".to_owned(), 3)].into(),
        trimmed: 0,
        repeated_headers: 0,
        redacted: None,
    };
    insta::assert_snapshot!("load_80", load(&counts, 80, false));
    let clean = LoadCounts { read: 2, added: 2, ..LoadCounts::default() };
    assert!(!load(&clean, 80, false).contains("Rejected"));
}
