//! Tests of reading tables.

use proptest::prelude::*;

use super::*;
use crate::data::record::{FieldDefaults, normalise};

fn rows(bytes: &[u8], options: &TableOptions) -> Vec<(u64, Result<String, Reject>)> {
    let Some(table) = Table::read(bytes, options).unwrap() else { return Vec::new() };
    let defaults = FieldDefaults { workload: Some("w"), ..FieldDefaults::default() };
    let line = |record: Vec<u8>| normalise(&record, &defaults).map(|record| String::from_utf8(record.line).unwrap());
    table.rows().map(|row| (row.line, row.record.and_then(line))).collect()
}

/// Line, text and label of each row; the reason in place of the text when there is no record.
fn texts(bytes: &[u8]) -> Vec<(u64, String, String)> {
    let bare = TableOptions { system: Some(String::new()), ..TableOptions::default() };
    let content = |message: &serde_json::Value| message["content"].as_str().unwrap().to_owned();
    let row = |(at, record): (u64, Result<String, Reject>)| match record {
        Err(reason) => (at, reason.as_str().to_owned(), String::new()),
        Ok(line) => {
            let record: serde_json::Value = serde_json::from_str(&line).unwrap();
            let messages = record["request"]["messages"].as_array().unwrap();
            assert_eq!(messages.len(), 1);
            (at, content(&messages[0]), content(&record["response"]["choices"][0]["message"]))
        }
    };
    rows(bytes, &bare).into_iter().map(row).collect()
}

fn error(bytes: &[u8], options: &TableOptions) -> TableError {
    Table::read(bytes, options).unwrap_err()
}

#[test]
fn the_default_prompt_lists_the_labels_as_written_most_often() {
    let table = b"headline,label\nA up,Price Move\nB down,price move\nC down,Price Move\nD buys E,Deals\n";
    let lines = rows(table, &TableOptions::default());
    let record: serde_json::Value = serde_json::from_str(lines[0].1.as_ref().unwrap()).unwrap();
    assert_eq!(
        record["request"]["messages"][0]["content"],
        "Classify the text. Choose exactly one of these classes:\n- Deals\n- Price Move\nAnswer with the class in \
         triple square brackets, such as [[[Deals]]], and nothing else."
    );
    assert_eq!(record["request"]["messages"][1]["content"], "A up");
    assert_eq!(record["response"]["choices"][0]["message"]["content"], "[[[Price Move]]]");
}

#[test]
fn quoting_newlines_bom_and_crlf() {
    let table = b"\xef\xbb\xbfheadline,label\r\n\"a, \"\"b\"\"\r\nc\",X\r\n\r\nd \"e\",Y\r\n";
    let want = [(2, "a, \"b\"\r\nc", "[[[X]]]"), (5, "d \"e\"", "[[[Y]]]")];
    assert_eq!(texts(table), want.map(|(line, text, label)| (line, text.to_owned(), label.to_owned())));
}

#[test]
fn the_last_row_needs_no_line_end_and_an_empty_file_no_header() {
    assert_eq!(texts(b"text,label\na,X").len(), 1);
    assert_eq!(texts(b"text,label\n\"a\",\"X\"").len(), 1);
    assert_eq!(texts(b"text,label").len(), 0);
    assert!(Table::read(b"", &TableOptions::default()).unwrap().is_none());
    assert!(Table::read(b"\xef\xbb\xbf\r\n\n", &TableOptions::default()).unwrap().is_none());
}

#[test]
fn a_broken_row_costs_no_other() {
    let good = |line, text: &str| (line, text.to_owned(), "[[[X]]]".to_owned());
    let bad = |line, reason: &str| (line, reason.to_owned(), String::new());
    for (table, want) in [
        ("a,X,more\nb,X\nc", vec![bad(2, "bad_row"), good(3, "b"), bad(4, "bad_row")]),
        ("\"a,X\nb,X\nc,X\n", vec![bad(2, "bad_row"), good(3, "b"), good(4, "c")]),
        ("\"a,X\nb,X\n\"c\",X\nd,X", vec![bad(2, "bad_row"), good(3, "b"), good(4, "c"), good(5, "d")]),
        ("a,X\nb,\"X", vec![good(2, "a"), bad(3, "bad_row")]),
        (" ,X\nb,\nc,X", vec![bad(2, "empty_text"), bad(3, "no_label"), good(4, "c")]),
        ("5\" disk,X\n\"b\",X\n", vec![good(2, "5\" disk"), good(3, "b")]),
        ("\"say \\\"hi\\\"\",X\nb,X\n", vec![bad(2, "bad_row"), good(3, "b")]),
        ("\"a \\\"b\\\", c\",X\nb,X\n", vec![bad(2, "bad_row"), good(3, "b")]),
        ("\"quoted\" tail,X\n\"b\" ,X\n", vec![bad(2, "bad_row"), good(3, "b ")]),
        ("\"C:\\dir\\\",X\nsay \"hi\" now,X\n", vec![good(2, "C:\\dir\\"), good(3, "say \"hi\" now")]),
    ] {
        assert_eq!(texts(format!("text,label\n{table}").as_bytes()), want, "{table}");
    }
    assert_eq!(texts(b"text,label\n\xe9t\xe9,X\nb,X\n"), [bad(2, "invalid_utf8"), good(3, "b")]);
}

#[test]
fn delimiters_are_found_from_the_header() {
    for table in
        ["label\ttext\nX\ta, b; c", "label;text\nX;\"a, b; c\"", "label,text\nX,\"a, b; c\"", "label|text\nX|a, b; c"]
    {
        assert_eq!(texts(table.as_bytes()), [(2, "a, b; c".to_owned(), "[[[X]]]".to_owned())], "{table}");
    }
}

#[test]
fn columns_are_named_known_or_the_other_of_two() {
    let named = |text: &str, label: &str| TableOptions {
        text_column: Some(text.to_owned()),
        label_column: Some(label.to_owned()),
        system: Some(String::new()),
        ..TableOptions::default()
    };
    let line = rows(b"a,b,c\n1,2,3\n", &named("C", "a")).remove(0).1.unwrap();
    assert!(line.contains(r#""content":"3""#) && line.contains("[[[1]]]") && line.contains(r#""metadata":{"b":"2"}"#));
    assert_eq!(texts(b"story,Label\nx,Y").len(), 1);
    assert_eq!(texts(b"Headline,kind\nx,Y").len(), 1);
    assert!(matches!(error(b"a,b\n", &TableOptions::default()), TableError::Unclear { what: "text", .. }));
    assert!(matches!(error(b"text,b,c\n", &TableOptions::default()), TableError::Unclear { what: "label", .. }));
    let message = error(b"a,b\n", &named("txt", "a")).to_string();
    assert_eq!(message, "there is no column txt: the header has a, b");
    assert_eq!(error(b"te\xff,b\n", &TableOptions::default()), TableError::Header);
}

#[test]
fn templates_may_use_other_columns_but_not_the_label() {
    let options = |system: &str, prompt: &str| TableOptions {
        system: Some(system.to_owned()),
        prompt: Some(prompt.to_owned()),
        ..TableOptions::default()
    };
    let table = b"text,label,source\nx,Y,wire\nz,W,paper\n";
    let line = rows(table, &options("Labels:\n{labels}", "{source}: {text}")).remove(0).1.unwrap();
    assert!(line.contains(r"Labels:\n- W\n- Y") && line.contains("wire: x"), "{line}");
    assert!(matches!(error(table, &options("", "{txt}")), TableError::Placeholder { flag: "--prompt", .. }));
    assert_eq!(error(table, &options("", "{text} {Label}")), TableError::Leak("--prompt"));
    assert_eq!(error(table, &options("{text}", "classify")), TableError::Constant);
}

#[test]
fn columns_of_the_record_are_taken_as_such() {
    let table = b"Timestamp,client_id,workload_id,text,label\n2023-11-14T22:13:20Z,desk,mine,x,Y\n,,,x,Y\nsoon,,,x,Y\n";
    let lines = rows(table, &TableOptions { system: Some(String::new()), ..TableOptions::default() });
    let first = lines[0].1.as_ref().unwrap();
    assert!(first.contains(r#""timestamp":1700000000,"workload_id":"mine""#), "{first}");
    assert!(first.starts_with(r#"{"client_id":"desk""#), "{first}");
    assert!(lines[1].1.as_ref().unwrap().contains(r#""timestamp":0,"workload_id":"w""#));
    assert_eq!(lines[2].1, Err(Reject::BadTimestamp));
}

proptest! {
    #[test]
    fn what_the_csv_crate_writes_is_read_back(cells in prop::collection::vec(("[a-c\",\n\r;é]{0,8}", "[a-c\",\n é]{0,6}"), 0..20)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["text", "label"]).unwrap();
        for (text, label) in &cells {
            writer.write_record([format!("t{text}t"), format!("l{label}l")]).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let found: Vec<_> = texts(&bytes).into_iter().map(|(_, text, label)| (text, label)).collect();
        let want: Vec<_> = cells.iter().map(|(t, l)| (format!("t{t}t"), format!("[[[l{l}l]]]"))).collect();
        prop_assert_eq!(found, want);
    }

    #[test]
    fn any_bytes_are_rows_or_an_error_and_every_row_has_its_line(bytes in prop::collection::vec(prop::sample::select(b"ab\",\n\r\xff".as_slice()), 0..80)) {
        let bytes = [b"text,label\n".as_slice(), &bytes].concat();
        let table = Table::read(&bytes, &TableOptions::default()).unwrap().unwrap();
        let lines: Vec<u64> = table.rows().map(|row| row.line).collect();
        prop_assert!(lines.windows(2).all(|pair| pair[0] <= pair[1]));
        let newlines = bytes.iter().filter(|b| **b == b'\n').count() as u64;
        prop_assert!(lines.iter().all(|line| (2..=newlines + 1).contains(line)));
    }
}

#[test]
fn a_line_that_declares_the_delimiter_is_obeyed() {
    for table in
        ["sep=;\ntext;label\na, b;X\n", "\u{feff}\"SEP=|\"\r\ntext|label\r\na, b|X\r\n", "sep=\t\ntext\tlabel\na, b\tX"]
    {
        assert_eq!(texts(table.as_bytes()), [(3, "a, b".to_owned(), "[[[X]]]".to_owned())], "{table}");
    }
    let numbered = TableOptions {
        has_no_header: true,
        text_column: Some("1".into()),
        label_column: Some("2".into()),
        ..TableOptions::default()
    };
    let table = Table::read(b"sep=;\na, b;X\n", &numbered).unwrap().unwrap();
    assert_eq!(table.rows().map(|row| row.line).collect::<Vec<_>>(), [2]);
    assert_eq!(
        error(b"sep=ab,label\nx,y\n", &TableOptions { text_column: Some("text".into()), ..TableOptions::default() })
            .to_string(),
        "there is no column text: the header has sep=ab, label"
    );
}

#[test]
fn a_name_of_two_columns_tells_none_of_them() {
    let with = |text: Option<&str>| TableOptions { text_column: text.map(str::to_owned), ..TableOptions::default() };
    let table = b"text,label,text,id,id\nx,A,q,1,2\ny,B,r,3,4\n";
    for given in [None, Some("text"), Some("TEXT")] {
        let TableError::Twice { columns, flag, .. } = error(table, &with(given)) else { panic!("{given:?}") };
        assert_eq!((columns, flag), (vec![0, 2], "--text-column"));
    }
    for (given, text) in [("1", "x"), ("3", "q")] {
        let table = Table::read(table, &with(Some(given))).unwrap().unwrap();
        let record = String::from_utf8(table.rows().next().unwrap().record.unwrap()).unwrap();
        assert!(record.contains(&format!(r#""content":"{text}""#)), "{record}");
    }
    let labels = error(b"text,label,label\nx,A,B\n", &TableOptions::default());
    assert!(matches!(labels, TableError::Twice { flag: "--label-column", .. }), "{labels}");
}

#[test]
fn a_header_with_zeros_is_no_text() {
    for has_no_header in [false, true] {
        let options = TableOptions { has_no_header, text_column: Some("1".into()), ..TableOptions::default() };
        assert_eq!(error(b"t\0e\0,\0l\0\nx,y\n", &options), TableError::Header);
    }
}
