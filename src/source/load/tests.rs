//! Tests of loading.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::format::detect;
use super::outcome::{LOCATED, LocatedReject};
use super::*;
use crate::data::forms::table::TableError;
use crate::data::reject::Reject;
use crate::source::input::packed::tests::{gzip, zstandard};
use crate::source::local::LocalStore;

const GOOD: &str = r#"{"timestamp":1,"workload_id":"w","request":{"messages":[{"role":"user","content":"hi"}]},"response":{"choices":[{"message":{"content":"[[A]]"}}]}}"#;
const CHAT: &str = r#"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"[[A]]"}]}"#;

struct Trial {
    dir: tempfile::TempDir,
    store: LocalStore,
}

impl Trial {
    fn new() -> Trial {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::at(dir.path().join("logs"));
        Trial { dir, store }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn load(&self, request: &LoadRequest) -> Loaded {
        let loaded = load(request, &self.store, None, &mut |_| {}).unwrap();
        assert_eq!(loaded.read, loaded.added + loaded.present + loaded.rejects());
        loaded
    }

    fn load_file(&self, name: &str, bytes: impl AsRef<[u8]>) -> Loaded {
        self.load(&request(&[self.file(name, bytes)]))
    }

    fn lines(&self) -> BTreeSet<String> {
        let files = self.store.read().unwrap().files;
        let text = |path: &PathBuf| fs::read_to_string(path).unwrap();
        files.iter().flat_map(|path| text(path).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }
}

fn request(files: &[PathBuf]) -> LoadRequest {
    LoadRequest { files: files.to_vec(), workload: Some("filled".to_owned()), ..LoadRequest::default() }
}

fn counts(loaded: &Loaded) -> (u64, u64, u64, u64) {
    (loaded.read, loaded.added, loaded.present, loaded.rejects())
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

#[test]
fn log_records_and_chat_rows_may_stand_in_one_file() {
    let trial = Trial::new();
    let loaded = trial.load_file("a.jsonl", format!("\u{feff}{GOOD}\r\n{CHAT}\r\n{GOOD}"));
    assert_eq!(counts(&loaded), (3, 2, 1, 0));
    let workloads: Vec<_> = loaded.workloads.into_iter().collect();
    assert_eq!(workloads, [("filled".to_owned(), 1), ("w".to_owned(), 1)]);
}

#[test]
fn defaults_fill_in_and_never_filter() {
    let trial = Trial::new();
    let path = trial.file("a.jsonl", format!("{GOOD}\n{CHAT}\n"));
    let loaded = trial.load(&LoadRequest { client: Some("c".to_owned()), timestamp: Some(9), ..request(&[path]) });
    assert_eq!(loaded.added, 2);
    let lines = trial.lines();
    assert!(lines.iter().any(|line| line.contains(r#""client_id":"c""#) && line.contains(r#""timestamp":1,"#)));
    assert!(lines.iter().any(|line| line.contains(r#""timestamp":9,"workload_id":"filled""#)));
}

#[test]
fn a_row_left_without_a_workload_is_refused() {
    let trial = Trial::new();
    let path = trial.file("a.jsonl", format!("{GOOD}\n{CHAT}\n"));
    let loaded = trial.load(&LoadRequest { files: vec![path], ..LoadRequest::default() });
    assert_eq!(counts(&loaded), (2, 1, 0, 1));
    assert_eq!(loaded.rejected[&Reject::MissingWorkload], 1);
}

#[test]
fn loading_again_adds_nothing_and_order_does_not_matter() {
    let trial = Trial::new();
    let news = testdata("news_logs.jsonl");
    let tools = testdata("tools_logs.jsonl");
    let first = trial.load(&request(&[news.clone(), tools.clone()]));
    let again = trial.load(&request(&[tools.clone(), news.clone()]));
    assert_eq!((again.added, again.present), (0, first.added + first.present));
    let other = Trial::new();
    let text = fs::read_to_string(&news).unwrap();
    let reversed: Vec<&str> = text.lines().rev().collect();
    other.load(&request(&[tools, other.file("news.jsonl", reversed.join("\n"))]));
    assert_eq!(trial.lines(), other.lines());
}

#[test]
fn the_shipped_news_log_holds_its_broken_lines_on_purpose() {
    let trial = Trial::new();
    let loaded = trial.load(&LoadRequest { files: vec![testdata("news_logs.jsonl")], ..LoadRequest::default() });
    assert_eq!(counts(&loaded), (1510, 1500, 0, 10));
    let rejected: Vec<_> = loaded.rejected.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
    let want = [
        ("invalid_json", 3),
        ("not_an_object", 1),
        ("no_messages", 1),
        ("no_response", 2),
        ("no_choices", 1),
        ("no_content", 2),
    ];
    assert_eq!(rejected, want);
    let tools = trial.load(&LoadRequest { files: vec![testdata("tools_logs.jsonl")], ..LoadRequest::default() });
    assert_eq!(counts(&tools), (301, 299, 0, 2));
}

#[test]
fn the_shipped_table_loads_without_options() {
    let trial = Trial::new();
    let loaded = trial.load(&request(&[testdata("headlines_sample.csv")]));
    assert_eq!(counts(&loaded), (100, 100, 0, 0));
}

#[test]
fn rejects_are_located_and_written_out() {
    let trial = Trial::new();
    let lines = trial.file("a.jsonl", format!("{GOOD}\n\n{{\"cut\n\u{e9}\n{GOOD}\n[]\n"));
    let table = trial.file("b.csv", "text,label\nx,Y\n\"y\nz\",\nq\n");
    let mut out = Vec::new();
    let loaded = load(&request(&[lines.clone(), table.clone()]), &trial.store, Some(&mut out), &mut |_| {}).unwrap();
    assert_eq!(counts(&loaded), (9, 2, 1, 6));
    let (a, b) = (lines.display().to_string(), table.display().to_string());
    let text = String::from_utf8(out).unwrap();
    let found: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let want = [
        (&a, 2, "empty_line", ""),
        (&a, 3, "invalid_json", "{\"cut"),
        (&a, 4, "invalid_json", "\u{e9}"),
        (&a, 6, "not_an_object", "[]"),
        (&b, 3, "no_label", "\"y\nz\","),
        (&b, 5, "bad_row", "q"),
    ];
    let want = want.map(
        |(file, line, reason, text)| serde_json::json!({"file": file, "line": line, "reason": reason, "text": text}),
    );
    assert_eq!(found, want);
    assert_eq!(loaded.located[0], LocatedReject { file: a, line: 2, reason: Reject::EmptyLine });
    assert_eq!(loaded.located.len(), LOCATED);
}

#[test]
fn formats_are_known_by_name_then_by_content() {
    for (name, beginning, want) in [
        ("x.jsonl", "text,label", FileFormat::Jsonl),
        ("x.CSV", "{", FileFormat::Table(None)),
        ("x.tsv", "", FileFormat::Table(Some(b'\t'))),
        ("<stdin>", "\u{feff}\n {\"a\":1,", FileFormat::Jsonl),
        ("<stdin>", "[1,2]", FileFormat::Jsonl),
        ("<stdin>", "", FileFormat::Jsonl),
        ("<stdin>", "words", FileFormat::Jsonl),
        ("x.txt", "\ntext\tlabel\n", FileFormat::Table(Some(b'\t'))),
        ("x", "\"a;b\",label", FileFormat::Table(Some(b','))),
    ] {
        assert_eq!(detect(name, beginning.as_bytes()), want, "{name} {beginning}");
    }
}

#[test]
fn a_table_on_an_unnamed_stream_is_found_behind_blank_lines() {
    let trial = Trial::new();
    assert_eq!(counts(&trial.load_file("table", "\n\n text;label\nx;Y\n")), (1, 1, 0, 0));
    let forced = LoadRequest { format: Some(FileFormat::Jsonl), ..request(&[trial.file("b.csv", CHAT)]) };
    assert_eq!(trial.load(&forced).added, 1);
}

#[test]
fn empty_files_hold_nothing() {
    let trial = Trial::new();
    for (name, text) in [("a.jsonl", ""), ("b.csv", ""), ("c", ""), ("d.csv", "text,label\n"), ("e.tsv", "\u{feff}")] {
        assert_eq!(counts(&trial.load_file(name, text)), (0, 0, 0, 0), "{name}");
    }
    assert_eq!(counts(&trial.load(&LoadRequest::default())), (0, 0, 0, 0));
}

#[test]
fn what_cannot_be_read_at_all_is_an_error_of_its_own() {
    let trial = Trial::new();
    let good = trial.file("a.jsonl", GOOD);
    let fails = |second: PathBuf| {
        let error = load(&request(&[good.clone(), second]), &trial.store, None, &mut |_| {}).unwrap_err();
        (error, trial.lines().len())
    };
    let missing = fails(trial.dir.path().join("missing"));
    assert!(matches!(missing.0.downcast_ref(), Some(InputError::Open { .. })) && missing.1 == 0);
    let folder = fails(trial.dir.path().to_owned());
    assert!(matches!(folder.0.downcast_ref(), Some(InputError::Folder { .. })) && folder.1 == 0);
    let packed = fails(trial.file("b.jsonl.xz", b"\xfd7zXZ\x00rest"));
    assert!(matches!(packed.0.downcast_ref(), Some(InputError::Foreign { unpack: "xz -dc", .. })) && packed.1 == 1);
    let unclear = fails(trial.file("c.csv", "a,b,c\n"));
    let Some(UnclearTable { source, .. }) = unclear.0.downcast_ref() else { unreachable!("{:#}", unclear.0) };
    assert!(matches!(source, TableError::Unclear { what: "text", .. }));
}

#[test]
fn a_streamed_response_is_stored_whole() {
    let trial = Trial::new();
    let chunks = r#"[{"choices":[{"delta":{"content":"[[A"}}]},{"choices":[{"delta":{"content":"]]"},"finish_reason":"stop"}]}]"#;
    let streamed = GOOD.replace(r#"{"choices":[{"message":{"content":"[[A]]"}}]}"#, chunks);
    assert_eq!(counts(&trial.load_file("a.jsonl", format!("{streamed}\n{streamed}\n"))), (2, 1, 1, 0));
    let line = trial.lines().pop_first().unwrap();
    assert!(line.contains(r#""message":{"content":"[[A]]","role":"assistant"}"#), "{line}");
    assert_eq!(counts(&trial.load_file("b.jsonl", line)), (1, 0, 1, 0), "as it is stored it has the same id");
}

#[test]
fn packed_files_are_loaded_as_what_is_in_them() {
    let (news, table) = (fs::read(testdata("news_logs.jsonl")).unwrap(), b"text,label\nup 5%,Up\ndown 2%,Down\n");
    for pack in [gzip, zstandard] {
        let trial = Trial::new();
        // Without a name that tells what it is.
        let loaded = trial.load_file("news", pack(&news));
        let plain = Trial::new().load_file("news", &news);
        assert_eq!((counts(&loaded), &loaded.rejected), (counts(&plain), &plain.rejected));
        assert!(loaded.added > 0 && loaded.rejects() > 0);
        assert_eq!(counts(&trial.load_file("news.jsonl", &news)).1, 0);
        for name in ["table.csv.gz", "table.tsv.zst"] {
            let table = if name.contains("tsv") { table.map(|b| if b == b',' { b'\t' } else { b }) } else { *table };
            let loaded = trial.load_file(name, pack(&table));
            assert_eq!((loaded.read, loaded.rejects()), (2, 0), "{name}");
        }
    }
}

#[test]
fn a_packed_file_that_is_cut_off_loses_only_what_is_not_in_it() {
    let lines: Vec<String> = (0..20_000).map(|n| GOOD.replace("hi", &format!("{n} {}", n * 7919 % 10_007))).collect();
    let whole = gzip(lines.join("\n").as_bytes());
    let trial = Trial::new();
    let cut = trial.file("day.jsonl.gz", &whole[..whole.len() * 3 / 4]);
    let error = load(&request(&[cut]), &trial.store, None, &mut |_| {}).unwrap_err();
    let known = error.downcast_ref::<InputError>();
    assert!(matches!(known, Some(InputError::Damaged { name, .. }) if name.ends_with("day.jsonl.gz")), "{error:#}");
    let before = trial.lines().len();
    assert!((10_000..20_000).contains(&before), "{before}");
    let loaded = trial.load_file("day.jsonl.gz", whole);
    assert_eq!(counts(&loaded), (20_000, 20_000 - before as u64, before as u64, 0));
}

#[test]
fn loads_at_once_add_every_record_once() {
    let trial = Trial::new();
    let news = request(&[testdata("news_logs.jsonl")]);
    let added: u64 = std::thread::scope(|scope| {
        let loads: Vec<_> = (0..3).map(|_| scope.spawn(|| trial.load(&news).added)).collect();
        loads.into_iter().map(|load| load.join().unwrap()).sum()
    });
    assert_eq!(added, 1500);
    assert_eq!(trial.lines().len(), 1500);
}

#[test]
fn large_loads_are_appended_in_parts() {
    let trial = Trial::new();
    let filler = "x".repeat(4000);
    let line = |n: usize| GOOD.replace("hi", &format!("{} {filler}", n % 3000));
    let text: Vec<String> = (0..6000).map(line).collect();
    let path = trial.file("big.jsonl", text.join("\n"));
    let mut reports = Vec::new();
    let files = [path.clone(), path];
    let loaded = load(&request(&files), &trial.store, None, &mut |progress| reports.push(progress)).unwrap();
    assert_eq!(counts(&loaded), (12_000, 3000, 9000, 0));
    assert!(reports.is_sorted_by(|a, b| a.read < b.read && a.bytes < b.bytes));
    let bytes = 2 * text.join("\n").len() as u64;
    assert_eq!(reports.last(), Some(&LoadProgress { read: 12_000, bytes, of: Some(bytes) }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn broken_lines_cost_no_good_one(lines in prop::collection::vec(
        prop_oneof![
            (0u8..5).prop_map(|n| GOOD.replace("hi", &n.to_string())),
            (0usize..GOOD.len()).prop_map(|cut| GOOD[..cut].to_owned()),
            "[ -~é]{0,20}",
            Just(CHAT.to_owned()),
        ], 0..20))
    {
        let trial = Trial::new();
        let loaded = trial.load_file("a.jsonl", lines.join("\n"));
        let good: BTreeSet<&String> = lines.iter().filter(|line| line.ends_with("}]}}") || *line == CHAT).collect();
        prop_assert_eq!(loaded.added, good.len() as u64);
        let blank_tail = lines.last().is_some_and(String::is_empty);
        prop_assert_eq!(loaded.read, lines.len() as u64 - u64::from(blank_tail));
    }
}
