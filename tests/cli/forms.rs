//! Forms of files that `load` takes, or names as what they are.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::harness::{Folder, Output, lines, log, parse_lines, record};

/// Loads a file for the workload `w`, in JSON format.
fn load(folder: &Folder, file: &str, flags: &[&str]) -> Output {
    folder.dfwfd(["--format", "json", "load", file, "--workload", "w"]).args(flags).run()
}

/// The user message and the label of every record in the log store.
fn stored(folder: &Folder) -> Vec<[String; 2]> {
    let segments = crate::harness::files_below(&folder.at(".dfwfd/logs"));
    let segments = segments.into_iter().filter(|(path, _)| path.extension().is_some_and(|ending| ending == "jsonl"));
    let records = segments.flat_map(|(_, bytes)| parse_lines(&String::from_utf8(bytes).unwrap()));
    let text = |record: &Value, at: &str| record.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let of = |record: Value| {
        let messages = record["request"]["messages"].as_array().unwrap().len() - 1;
        [
            text(&record, &format!("/request/messages/{messages}/content")),
            text(&record, "/response/choices/0/message/content"),
        ]
    };
    let mut stored: Vec<_> = records.map(of).collect();
    stored.sort();
    stored
}

#[test]
fn quotes_of_a_table_with_tabs_are_part_of_the_texts_unless_they_plainly_stand_around_cells() {
    let folder = Folder::new();
    folder.write(
        "plain.tsv",
        "headline\tevent\n\"Strong Buy\" on Acme\tRatings\n\"Cut it now: fund\tActivism\nScreens of 27\"\tProducts\n",
    );
    let data = load(&folder, "plain.tsv", &[]).code(0).json()["data"].clone();
    assert_eq!((&data["added"], &data["rejected"]), (&json!(3), &json!({})));
    let texts: Vec<String> = stored(&folder).into_iter().map(|[text, _]| text).collect();
    assert_eq!(texts, ["\"Cut it now: fund", "\"Strong Buy\" on Acme", "Screens of 27\""]);
    for (table, text) in [
        ("headline\tevent\n\"He said \"\"Buy\"\"\"\tRatings\n", "He said \"Buy\""),
        ("headline\tevent\n\"one\ttwo\"\tRatings\n", "one\ttwo"),
        ("headline\tevent\n\"one\ntwo\"\tRatings\n", "one\ntwo"),
        ("\"headline\"\t\"event\"\n\"one\"\t\"Ratings\"\n", "one"),
    ] {
        let folder = Folder::new();
        folder.write("quoted.tsv", table);
        load(&folder, "quoted.tsv", &[]).code(0);
        assert_eq!(stored(&folder), [[text.to_owned(), "[[[Ratings]]]".to_owned()]], "{table}");
    }
}

#[test]
fn a_repeated_header_is_no_record_and_the_columns_that_were_taken_are_said() {
    let folder = Folder::new();
    for (name, table) in [
        ("a.csv", "headline,event\nAcme lifts payout,Dividends\nheadline,event\nCorvo names chief,People\n"),
        ("b.tsv", "headline\tevent\r\nDelta cuts jobs\tPeople\r\n\u{feff}headline\t event\r\nEpoch splits\tDeals\r\n"),
    ] {
        folder.write(name, table);
        let output = load(&folder, name, &[]);
        let data = output.code(0).json()["data"].clone();
        assert_eq!(
            (&data["read"], &data["added"], &data["repeated_headers"]),
            (&json!(2), &json!(2), &json!(1)),
            "{output}"
        );
        output.says("the text is column headline, the label column event").says("1 repeated header");
    }
    assert!(stored(&folder).iter().all(|[_, label]| label != "[[[event]]]"));
}

#[test]
fn a_table_without_a_header_says_so_and_is_read_by_numbers() {
    let folder = Folder::new();
    let latin = b"neutral,\"Acme , the company , has no plans to move .\"\nneutral,\"Borel\x92s plant opens\"\npositive,Corvo profit rose to 3 mln\n";
    folder.write("nohdr.csv", latin);
    load(&folder, "nohdr.csv", &[]).code(2).says("the first row looks like data").says("--no-header");
    folder.write("numbers.tsv", "1\tAcme\n0\tBorel\n");
    load(&folder, "numbers.tsv", &[]).code(2).says("the first row looks like data");
    let flags = ["--no-header", "--text-column", "2", "--label-column", "1"];
    let output = load(&folder, "nohdr.csv", &flags);
    let told = output.code(0).says("--encoding NAME").json()["data"].clone();
    assert_eq!((&told["added"], &told["rejected"]), (&json!(2), &json!({"invalid_utf8": 1})));
    let data =
        load(&folder, "nohdr.csv", &[&flags[..], &["--encoding", "latin1"]].concat()).code(0).json()["data"].clone();
    assert_eq!((&data["read"], &data["rejected"]), (&json!(3), &json!({})));
    assert!(stored(&folder).iter().any(|[text, _]| text == "Borel\u{2019}s plant opens"));
    folder.write("header.csv", b"text,cat\xe9gorie\nAcme,Up\n");
    load(&folder, "header.csv", &[]).code(2).says("--encoding NAME");
    folder.write("bars.txt", "text~label\nAcme rises~Up\n");
    load(&folder, "bars.txt", &["--delimiter", "~", "--text-column", "1", "--label-column", "label"]).code(0);
    load(&folder, "bars.txt", &["--delimiter", "~~"]).code(2).says("--delimiter");
    load(&folder, "bars.txt", &["--encoding", "klingon"]).code(2).says("klingon");
}

#[test]
fn a_load_that_refused_every_line_is_code_6_and_an_empty_file_is_not() {
    let folder = Folder::new();
    folder.write("bad.jsonl", "no\nrecord\n");
    let output = load(&folder, "bad.jsonl", &[]);
    let report = output.code(6).says("2 lines rejected").hints().json();
    assert_eq!((&report["exit_code"], &report["data"]["rejected"]), (&json!(6), &json!({"invalid_json": 2})));
    for (text, lines) in [("\n\n\n", 3), (" \t\r\n", 1), ("\u{feff}", 1)] {
        folder.write("blank.jsonl", text);
        let report = load(&folder, "blank.jsonl", &[]).code(6).hints().json();
        assert_eq!(report["data"]["rejected"], json!({"empty_line": lines}));
    }
    folder.write("empty.jsonl", "");
    assert_eq!(load(&folder, "empty.jsonl", &[]).code(0).json()["data"]["read"], json!(0));
    folder.write("mixed.jsonl", format!("no\n{}", log("w", 1)));
    load(&folder, "mixed.jsonl", &[]).code(0);
    load(&folder, "mixed.jsonl", &[]).code(0);
}

#[test]
fn marked_utf_16_is_read_and_another_kind_of_file_is_named() {
    let folder = Folder::new();
    let text = lines(&[record("w", 1), record("w", 2)]);
    let units: Vec<u16> = std::iter::once(0xfeff).chain(text.encode_utf16()).collect();
    folder.write("big.jsonl", units.iter().flat_map(|unit| unit.to_be_bytes()).collect::<Vec<u8>>());
    folder.write("little.jsonl", units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>());
    let added = |name: &str| load(&folder, name, &[]).code(0).json()["data"]["added"].clone();
    assert_eq!((added("big.jsonl"), added("little.jsonl")), (json!(2), json!(0)));
    let split = [
        "--set",
        "data_split_config.min_total_records=1",
        "--set",
        "data_split_config.eval_size=1",
        "split",
        "--logs",
        "big.jsonl",
        "--out",
        "o",
    ];
    folder.dfwfd(split).run().code(0);
    for (bytes, kind) in [
        (&b"PARE\x15\x00"[..], "an encrypted Parquet file"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"%PDF-1.4", "a PDF document"),
    ] {
        folder.write("other.jsonl", bytes);
        load(&folder, "other.jsonl", &[]).code(6).says(kind).hints();
    }
}

#[test]
fn a_list_of_records_is_read_as_the_lines_that_it_holds() {
    let folder = Folder::new();
    let records: Vec<Value> = (0..120).map(|n| record("w", n)).collect();
    folder.write("lines.jsonl", lines(&records));
    folder.write("list.json", serde_json::to_string_pretty(&records).unwrap());
    let spread: Vec<String> = records.iter().map(|record| format!("{record:#}\n")).collect();
    folder.write("spread.json", spread.concat());
    let utf_16: Vec<u8> = std::iter::once(0xfeff)
        .chain(Value::from(records.clone()).to_string().encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    folder.write("utf16.json", utf_16);
    let counts = |name: &str| {
        let data = load(&folder, name, &[]).code(0).json()["data"].clone();
        (data["read"].clone(), data["added"].clone())
    };
    assert_eq!(counts("lines.jsonl"), (json!(120), json!(120)));
    for name in ["list.json", "spread.json", "utf16.json"] {
        assert_eq!(counts(name), (json!(120), json!(0)), "{name}");
    }
    let files = |name: &str| {
        let flags = ["--set", "data_split_config.eval_size=20", "split", "--logs", name, "--out"];
        folder.dfwfd(flags).args([&format!("{name}.out")]).run().code(0);
        let files = crate::harness::files_below(&folder.at(&format!("{name}.out")));
        files
            .into_iter()
            .filter(|(path, _)| !path.ends_with("manifest.json"))
            .map(|(_, bytes)| bytes)
            .collect::<Vec<_>>()
    };
    assert_eq!(files("list.json"), files("lines.jsonl"));
    folder.write("cut.json", serde_json::to_string_pretty(&records[..3]).unwrap().trim_end_matches("}\n]"));
    folder.write("broken.json", format!("[{}, {{\"request\": 1}}, 7]", record("w", 200)));
    load(&folder, "cut.json", &[]).code(6).says("the list of records is not closed").hints();
    let data = load(&folder, "broken.json", &[]).code(0).json()["data"].clone();
    assert_eq!((&data["added"], &data["rejected"]), (&json!(1), &json!({"no_request": 1, "not_an_object": 1})));
}

#[test]
fn requests_and_responses_without_their_envelope_are_read_through_fields_too() {
    let folder = Folder::new();
    let document = json!({"startTime": "2024-05-01T10:00:00.000Z", "input": [{"role": "user", "content": "Acme"}],
        "output": {"role": "assistant", "content": "[[A]]"}});
    folder.write("trace.jsonl", lines(&[document]));
    let fields = ["logs.fields.request=input", "logs.fields.response=output", "logs.fields.timestamp=startTime"];
    let flags: Vec<&str> = fields.iter().flat_map(|field| ["--set", field]).collect();
    load(&folder, "trace.jsonl", &flags).code(0);
    let bare = json!({"request": "[{\"role\":\"user\",\"content\":\"Borel\"}]", "response": "{\"content\":\"[[B]]\"}"});
    folder.write("bare.jsonl", lines(&[bare]));
    load(&folder, "bare.jsonl", &[]).code(0);
    let pair = |text: &str, label: &str| [text.to_owned(), label.to_owned()];
    assert_eq!(stored(&folder), [pair("Acme", "[[A]]"), pair("Borel", "[[B]]")]);
}

#[test]
fn a_first_row_that_is_data_is_never_lost_as_a_header() {
    let folder = Folder::new();
    let by_number = ["--text-column", "2", "--label-column", "1"];
    for (name, table, flags) in [
        ("sentence.csv", "neutral,Acme has no plans to move\nneutral,Borel opens a plant\n", &by_number[..]),
        ("label.csv", "up,Acme rises\ndown,Borel falls\nup,Corvo rises\n", &by_number),
        ("case.tsv", "Up\tAcme rises\ndown\tBorel falls\nup\tCorvo rises\n", &by_number),
        ("number.csv", "1,Acme rises\n0,Borel falls\n", &by_number),
        ("time.csv", "A,Acme rises,2024-05-01\nB,Borel falls,2024-05-02\n", &by_number),
        ("one.csv", "up,Acme rises\nup,Corvo rises\n", &["--text-column", "2"]),
        ("none.csv", "Acme rises today,A\nBorel falls,B\nCorvo rises,A\n", &[]),
    ] {
        folder.write(name, table);
        load(&folder, name, flags).code(2).says("the first row looks like data").says("--no-header").hints();
        let rows = table.lines().count();
        let flags = [&by_number[..], &["--no-header"]].concat();
        assert_eq!(load(&folder, name, &flags).code(0).json()["data"]["read"], rows, "{name}");
    }
    folder.write("short.csv", "Acme rises today,A\n");
    load(&folder, "short.csv", &[]).code(2).says("--no-header").hints();
    for (name, table, flags) in [
        ("named.csv", "kind,story\nkind,a story\nother,b\n", &["--text-column", "story", "--label-column", "kind"][..]),
        ("known.csv", "Event,Headline\nEvent,Acme rises\nOther,Borel falls\n", &by_number),
        ("numbered.csv", "kind,story\nup,a\ndown,b\n", &by_number),
    ] {
        folder.write(name, table);
        let data = load(&Folder::new(), &folder.at(name).display().to_string(), flags).code(0).json()["data"].clone();
        assert_eq!(data["added"], 2, "{name}: {data}");
    }
}

#[test]
fn a_header_that_is_repeated_in_another_case_is_no_record() {
    let folder = Folder::new();
    for (name, table) in [
        ("upper.csv", "headline,event\nAcme,Deals\nHEADLINE,EVENT\nBorel,People\n"),
        ("title.tsv", "headline\tevent\nCorvo\tDeals\nHeadline\t Event \nDelta\tPeople\n"),
        ("full.csv", "headline,event\nEpoch,Deals\n\u{ff28}eadline,event\nFalco,People\n"),
    ] {
        folder.write(name, table);
        let data = load(&folder, name, &[]).code(0).json()["data"].clone();
        assert_eq!(
            (&data["read"], &data["added"], &data["repeated_headers"]),
            (&json!(2), &json!(2), &json!(1)),
            "{name}"
        );
    }
}

#[test]
fn a_table_that_cannot_be_read_shows_a_terminal_little_of_it_and_nothing_to_obey() {
    let folder = Folder::new();
    let cells: Vec<String> = (0..60).map(|n| format!("cell{n}\u{1b}[31m\u{7}\u{9b}{}", "x".repeat(4000))).collect();
    folder.write("odd.csv", cells.join(","));
    for flags in
        [&[][..], &["--text-column", "9999"], &["--prompt", "{nothing}", "--text-column", "1", "--label-column", "2"]]
    {
        let output = folder.dfwfd(["load", "odd.csv", "--workload", "w"]).args(flags).run();
        let text = output.code(2).stderr.clone();
        assert!(text.len() < 1500 && !text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("and 48 more"), "{text:?}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn files_of_other_kinds_are_named_with_what_to_type_next() {
    let folder = Folder::new();
    let text = lines(&[record("w", 1), record("w", 2)]);
    let tar = [&b"a.jsonl"[..], &[0; 250], b"ustar\x0000", &[0; 247], text.as_bytes()].concat();
    let sheet = [&b"PK\x03\x04"[..], &[0; 26], b"[Content_Types].xml"].concat();
    for (name, bytes, kind, next) in [
        ("a.tar", tar.clone(), "a tar archive", "tar -xOf a.tar | dfwfd load -"),
        ("a.tar.gz", gzip(&tar), "a tar archive", "tar -xOf a.tar.gz | dfwfd load -"),
        ("a.xlsx", sheet, "an Excel sheet", "CSV UTF-8"),
        ("a.jsonl", b"<!DOCTYPE html><p>log in".to_vec(), "an HTML page", "login"),
        ("b.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(), "Git LFS", "git lfs pull"),
        ("c.csv", b"ORC\x08\x03\x10,".to_vec(), "an ORC file", "export its records"),
        ("d.jsonl", text.bytes().flat_map(|byte| [byte, 0, 0, 0]).collect(), "text in UTF-32", "iconv -f UTF-32LE"),
    ] {
        folder.write(name, bytes);
        let output = folder.dfwfd(["load", name, "--workload", "w"]).run();
        output.code(6).says(kind).says(next).hints();
        assert!(!output.stderr.chars().any(|c| c.is_control() && c != '\n'), "{output}");
        let split = folder.dfwfd(["split", "--out", "o", "--logs", name]).run();
        split.code(6).says(kind).hints();
    }
}

#[test]
fn utf_16_without_a_mark_is_read_by_every_command() {
    let folder = Folder::new();
    let text = lines(&[record("w", 1), record("w", 2)]);
    let of = |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    folder.write("marked.jsonl", of(&format!("\u{feff}{text}"), u16::to_le_bytes));
    folder.write("little.jsonl", of(&text, u16::to_le_bytes));
    folder.write("big.jsonl", of(&text, u16::to_be_bytes));
    folder.write("packed.jsonl.gz", gzip(&of(&text, u16::to_le_bytes)));
    let added: Vec<Value> = ["marked.jsonl", "little.jsonl", "big.jsonl", "packed.jsonl.gz"]
        .map(|name| load(&folder, name, &[]).code(0).json()["data"]["added"].clone())
        .into();
    assert_eq!(added, [2, 0, 0, 0]);
    folder.write("table.csv", of("headline,event\nB\u{f6}rse steigt,Up\nKurs f\u{e4}llt,Down\n", u16::to_le_bytes));
    load(&folder, "table.csv", &[]).code(0);
    assert!(stored(&folder).iter().any(|[text, _]| text == "B\u{f6}rse steigt"));
    let split = ["split", "--set", "data_split_config.min_total_records=1", "--set", "data_split_config.eval_size=1"];
    folder.dfwfd(split).args(["--logs", "big.jsonl", "--out", "o"]).run().code(0);
}

#[test]
fn tables_in_utf_16_are_read_whatever_script_their_header_is_in() {
    let folder = Folder::new();
    for (name, text) in [("a.tsv", "текст\tметка\nпривет\tA\nпока\tB\n"), ("b.csv", "見出し,ラベル\n一二,A\n三四,B\n")]
    {
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        folder.write(name, wide);
        let loaded = load(&folder, name, &["--text-column", "1", "--label-column", "2"]);
        assert_eq!(loaded.code(0).json()["data"]["added"], 2, "{name}");
    }
    assert!(stored(&folder).iter().any(|[text, _]| text == "привет"), "{:?}", stored(&folder));
}

#[test]
fn a_line_that_is_not_in_the_encoding_is_refused() {
    let folder = Folder::new();
    let good = lines(&[record("w", 1)]);
    let with = |bytes: &[u8]| [good.as_bytes(), b"{\"a\": \"", bytes, b"\"}\n"].concat();
    folder.write("latin.jsonl", with(b"caf\xe9"));
    folder.write("japanese.jsonl", with(b"\x82"));
    let wide: Vec<u16> = good.encode_utf16().chain([0xd800, 0x0a]).collect();
    folder.write("wide.jsonl", wide.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>());
    for (name, flags) in [
        ("latin.jsonl", &["--encoding", "utf-8"][..]),
        ("latin.jsonl", &[]),
        ("japanese.jsonl", &["--encoding", "shift_jis"]),
        ("wide.jsonl", &[]),
    ] {
        let rejected = load(&folder, name, flags).code(0).json()["data"]["rejected"].clone();
        assert_eq!(rejected, json!({"invalid_utf8": 1}), "{name} {flags:?}");
    }
}

#[test]
fn a_table_whose_cells_cannot_be_told_is_not_guessed_at() {
    let folder = Folder::new();
    folder.write("twice.csv", "text,label,text\nx,A,q\ny,B,r\n");
    load(&folder, "twice.csv", &[]).code(2).says("columns 1 and 3 have the same name text").hints();
    load(&folder, "twice.csv", &["--text-column", "3"]).code(0);
    assert_eq!(stored(&folder).iter().map(|[text, _]| text.clone()).collect::<Vec<_>>(), ["q", "r"]);
    folder.write("spark.csv", "text,label\n\"say \\\"hi\\\"\",A\nplain,B\n\"five\" 5,A\n");
    let human = folder.dfwfd(["load", "spark.csv", "--workload", "w"]).run();
    human.code(0).says("backslash");
    assert!(human.stderr.contains("2 lines rejected"), "{human}");
}
