//! Canonicaliser forms from the RFC and of what logs hold beyond it.

use proptest::prelude::*;

use super::*;

fn canonical(json: &str) -> Result<String, Reject> {
    let mut out = Vec::new();
    Canonicaliser::default().write(json, &mut out)?;
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

/// The canonical form of a value, made in another way: through a tree.
fn of_tree(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| key.encode_utf16().collect::<Vec<u16>>());
            let member = |(key, value): (&String, _)| format!("{}:{}", serde_json::json!(key), of_tree(value));
            format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
        }
        serde_json::Value::Array(items) => format!("[{}]", items.iter().map(of_tree).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    // Keys that begin alike, differ beyond eight bytes, or sort differently by bytes and by UTF-16 units.
    let key = prop_oneof![
        "[ab\u{e9}\u{ff5e}\u{1f600}\"\n]{0,3}",
        "completion_[ab\u{e9}]{0,2}",
        "[a-z]{1,12}",
        Just("\u{e000}".to_owned())
    ];
    let leaf = prop_oneof![any::<i64>().prop_map_into(), any::<bool>().prop_map_into(), ".{0,30}".prop_map_into()];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map_into(),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// The text in ASCII, as Python writes it.
fn in_ascii(text: &str) -> String {
    let unit = |c: char| match c {
        ' '..='~' => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect(),
    };
    text.chars().map(unit).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_what_a_tree_gives_however_the_text_is_written(value in json()) {
        let want = of_tree(&value);
        prop_assert_eq!(canonical(&value.to_string()).unwrap(), want.as_str());
        prop_assert_eq!(canonical(&serde_json::to_string_pretty(&value).unwrap()).unwrap(), want.as_str());
        prop_assert_eq!(canonical(&in_ascii(&value.to_string())).unwrap(), want.as_str());
        prop_assert_eq!(canonical(&want).unwrap(), want);
    }
}
