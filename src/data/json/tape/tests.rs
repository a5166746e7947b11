//! The tape against serde_json: both take the same texts, and find the same values in them.

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::grammar::plain_run;
use super::*;

/// The value that a tape holds, made anew.
fn rebuilt(value: JsonValue<'_, '_>) -> serde_json::Value {
    match value.kind() {
        JsonKind::Object => {
            let pair = |(key, value): (JsonValue<'_, '_>, _)| (key.text().unwrap().read().into_owned(), rebuilt(value));
            value.members().map(pair).collect::<serde_json::Map<_, _>>().into()
        }
        JsonKind::List => value.items().map(rebuilt).collect(),
        JsonKind::Plain | JsonKind::Escaped | JsonKind::Encoded => value.text().unwrap().read().into_owned().into(),
        JsonKind::Integer | JsonKind::Number | JsonKind::Null | JsonKind::Bool => {
            serde_json::from_str(value.raw()).unwrap()
        }
    }
}

fn read(text: &str) -> Result<(), Reject> {
    Tape::default().read(text, 0).map(|_| ())
}

#[test]
fn the_grammar_is_that_of_rfc_8259() {
    for good in [
        "0",
        "-0",
        "-1.5e+3",
        "1E9",
        "10",
        "\"\"",
        r#""\u00e9\/\"""#,
        "[]",
        "{}",
        " [ ] ",
        "{\"a\" : [1 , {}]}",
        "null",
        "\t1\r\n",
        "\"\u{7f}\"",
        "1e999",
    ] {
        assert_eq!(read(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        " ",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "--1",
        "\"",
        "\"\n\"",
        r#""\x""#,
        r#""\u12""#,
        r#""\u12g4""#,
        "[1,]",
        "[,1]",
        "[1",
        "{\"a\"}",
        "{a:1}",
        "{\"a\":1,}",
        "{\"a\":1",
        "nul",
        "True",
        "NaN",
        "'a'",
        "[1 2]",
        "\u{a0}1",
        r#""\"#,
        r#""\ud800\u12""#,
    ] {
        assert_eq!(read(bad), Err(Reject::InvalidJson), "{bad}");
    }
    assert_eq!(read("{} {}"), Err(Reject::TrailingData));
    assert_eq!(read("01"), Err(Reject::TrailingData));
}

#[test]
fn nesting_has_a_limit_and_no_text_overflows_the_stack() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert_eq!(read(&nested(MAX_DEPTH)), Ok(()));
    assert_eq!(read(&nested(MAX_DEPTH + 2)), Err(Reject::TooDeep));
    assert_eq!(read(&"{\"a\":".repeat(1_000_000)), Err(Reject::TooDeep));
    assert!(Tape::default().read(&nested(50), MAX_DEPTH - 50).is_ok());
    assert_eq!(Tape::default().read(&nested(50), MAX_DEPTH - 40).err(), Some(Reject::TooDeep));
}

#[test]
fn half_a_surrogate_pair_is_told() {
    for (text, lone) in [
        (r#""\ud83d\ude00""#, false),
        (r#""\ud800""#, true),
        (r#""\ud800\u0041""#, true),
        (r#""\udc00""#, true),
        (r#""\ud800\ud83d\ude00""#, true),
        (r#""\\ud800""#, false),
    ] {
        let mut tape = Tape::default();
        assert_eq!(tape.read(text, 0).unwrap().has_lone_surrogate, lone, "{text}");
    }
}

#[test]
fn texts_and_keys_are_compared_as_they_read() {
    let mut tape = Tape::default();
    let text = r#"{"a\/b": 0, "\u0061\/b": 1, "a/b": 2, "a/": 3, "timestamp": 4, "timestamps": 5, "": 6}"#;
    let root = tape.read(text, 0).unwrap().root;
    let found =
        |name| root.members().filter(|(key, _)| key.is_key(KeyName::new(name))).map(|(_, value)| value.raw()).collect();
    let found: Vec<Vec<&str>> = ["a/b", "timestamp", "", "a"].map(found).into();
    assert_eq!(found, [vec!["0", "1", "2"], vec!["4"], vec!["6"], vec![]]);
    assert_eq!(root.get(KeyName::new("a/b")).map(|value| value.raw()), Some("2"));
    for (text, blank) in
        [(r#""\n\u3000 ""#, true), (r#""""#, true), (r#"" \/ ""#, false), (r#""a\n""#, false), (r#""\"""#, false)]
    {
        assert_eq!(tape.read(text, 0).unwrap().root.text().unwrap().is_blank(), blank, "{text}");
    }
}

fn json() -> impl Strategy<Value = String> {
    let space = "[ \t]{0,2}";
    let text = prop_oneof![
        Just(r#""\u00e9\/\n\"\\""#.to_owned()),
        Just(r#""\ud83d\ude00""#.to_owned()),
        ".{0,20}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?";
    let leaf = prop_oneof![text.clone(), number, Just("null".into()), Just("true".into()), Just("false".into())];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let members = prop::collection::vec((text.clone(), space, inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(" ,"))),
            members.prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(key, space, value)| format!("{space}{key}:{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn its_values_are_those_of_serde(text in json()) {
        let mut tape = Tape::default();
        let root = tape.read(&text, 0).unwrap().root;
        prop_assert_eq!(root.raw(), text.trim());
        prop_assert_eq!(rebuilt(root), serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }

    #[test]
    fn it_takes_what_serde_takes(text in json(), cut in any::<prop::sample::Index>(), with in "[\\[\\]{},:\"\\\\0-9a-z. eE+\u{0}\n-]?") {
        // One character of a good text is taken out, and another may stand in its place.
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let at = places[cut.index(places.len())];
        let behind = at + text[at..].chars().next().unwrap().len_utf8();
        let text = format!("{}{with}{}", &text[..at], &text[behind..]);
        let serde = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        prop_assert_eq!(read(&text).is_ok(), serde, "{}", text);
    }

    #[test]
    fn a_run_ends_where_the_first_special_byte_stands(bytes in prop::collection::vec(any::<u8>(), 0..40), plain in 0..40_usize) {
        let mut text = vec![b'x'; plain];
        text.extend(bytes);
        let want = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(text.len());
        prop_assert_eq!(plain_run(&text), want);
    }
}
