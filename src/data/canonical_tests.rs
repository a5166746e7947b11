//! Canonical forms from the RFC and of what logs hold beyond it.

use super::*;

fn canonical(json: &str) -> Result<String, Reject> {
    let mut out = Vec::new();
    Canonical::default().write(json, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn the_example_of_the_rfc() {
    // RFC 8785 section 3.2.2, its own example and result, but for the integer that is kept digit for digit.
    let json = r#"{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"#;
    let want = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
    assert_eq!(canonical(json).unwrap(), want);
}

#[test]
fn keys_are_sorted_by_utf16_units() {
    // RFC 8785 section 3.2.3.
    let json = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
        "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
    let text = canonical(json).unwrap();
    let values: Vec<&str> = text.split(['"', ':', ',', '{', '}']).filter(|part| part.len() > 6).collect();
    let order = ["Carriage Return", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign"];
    assert_eq!(values[..4], order);
    assert!(text.find("Grinning").unwrap() < text.find("Hebrew").unwrap());
}

#[test]
fn integers_keep_their_digits_and_other_numbers_are_doubles() {
    assert_eq!(
        canonical("[12345678901234567890123, -7, -0, 1.0, 1e2]").unwrap(),
        "[12345678901234567890123,-7,0,1,100]"
    );
    assert_eq!(canonical("[-1e999]").unwrap(), "[-1.7976931348623157e+308]");
}

#[test]
fn what_no_id_can_be_made_of_is_refused() {
    assert_eq!(canonical(r#""\ud800""#), Err(Reject::LoneSurrogate));
    assert_eq!(canonical(r#""\ud800\u0041""#), Err(Reject::LoneSurrogate));
    assert_eq!(canonical(&"[".repeat(10_000)), Err(Reject::TooDeep));
    assert_eq!(canonical("{} {}"), Err(Reject::TrailingData));
}

#[test]
fn of_a_key_that_stands_twice_the_last_value_counts() {
    assert_eq!(canonical(r#"{"b":0,"a":1,"\u0061":2,"a":{"c":3}}"#).unwrap(), r#"{"a":{"c":3},"b":0}"#);
}

#[test]
fn objects_within_objects_and_lists_are_all_sorted() {
    assert_eq!(
        canonical(r#"{"b":[{"z":1,"y":{"d":0,"c":[]}}],"a":{}}"#).unwrap(),
        r#"{"a":{},"b":[{"y":{"c":[],"d":0},"z":1}]}"#
    );
}
