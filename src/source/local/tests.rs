//! Tests of the local log store.

use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;

use super::delete::Deleted;
use super::*;
use crate::data::label::LabelReader;
use crate::data::options::{Filter, LabelRules};
use crate::data::record::{FieldDefaults, normalise};
use crate::source::listing::{StoreListing, WorkloadListing};

fn json(workload: &str, n: u32) -> String {
    serde_json::json!({
        "timestamp": n, "workload_id": workload, "client_id": format!("c{}", n % 2),
        "request": {"messages": [{"role": "user", "content": format!("text {n}")}]},
        "response": {"choices": [{"message": {"content": format!("[[{}]]", ["A", "b", "B"][n as usize % 3])}}]},
    })
    .to_string()
}

fn batch(workload: &str, numbers: impl IntoIterator<Item = u32>) -> AppendBatch {
    let mut batch = AppendBatch::default();
    for n in numbers {
        let record = normalise(json(workload, n).as_bytes(), &FieldDefaults::default()).unwrap();
        batch.push(record.id, &record.line);
    }
    batch
}

/// Returns the timestamps in the only segment of a workload, in order.
fn numbers(store: &LocalStore, workload: &str) -> Vec<u32> {
    let text = fs::read_to_string(store.dir().join(segment_name(workload))).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let number = |line: &str| normalise(line.as_bytes(), &FieldDefaults::default()).unwrap().timestamp as u32;
    text.lines().map(number).collect()
}

fn store() -> (tempfile::TempDir, LocalStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::at(dir.path().join("logs"));
    (dir, store)
}

fn append(store: &LocalStore, workload: &str, numbers: impl IntoIterator<Item = u32>) -> (u64, u64) {
    let done = store.writer().append(workload, &batch(workload, numbers)).unwrap();
    (done.added, done.present)
}

#[test]
fn a_record_is_there_once_whoever_writes_it() {
    let (_dir, store) = store();
    assert_eq!(append(&store, "w", [1, 2, 2]), (2, 1));
    assert_eq!(append(&store, "w", [2, 1]), (0, 2));
    let mut one = store.writer();
    let mut two = store.writer();
    assert_eq!(one.append("w", &batch("w", [3])).unwrap().added, 1);
    assert_eq!(two.append("w", &batch("w", [3, 4])).unwrap().added, 1);
    assert_eq!(one.append("w", &batch("w", [4, 5])).unwrap().added, 1);
    assert_eq!(numbers(&store, "w"), [1, 2, 3, 4, 5]);
}

#[test]
fn names_are_safe_and_distinct() {
    let names =
        ["news", "News", "../etc/passwd", "新聞", "ニュース", "", ".", "a b", "a-b", "a/b", "CON", &"x".repeat(300)];
    let files: BTreeSet<String> = names.iter().map(|name| segment_name(name).to_lowercase()).collect();
    assert_eq!(files.len(), names.len());
    for file in &files {
        assert!(file.len() < 64 && !file.starts_with('.'), "{file}");
        assert!(file.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)), "{file}");
    }
    assert!(segment_name("news_classifier").starts_with("news_classifier-"));
}

#[test]
fn workloads_have_segments_of_their_own() {
    let (_dir, store) = store();
    append(&store, "新聞", [1, 2]);
    append(&store, "ニュース", [1]);
    assert_eq!(store.read().unwrap().files.len(), 2);
    assert_eq!(numbers(&store, "新聞"), [1, 2]);
    let labels = LabelReader::new(&LabelRules::default()).unwrap();
    let contents = store.list(&labels, &Filter::default()).unwrap();
    let found: Vec<_> = contents.workloads.iter().map(|one| (one.workload.as_str(), one.records)).collect();
    assert_eq!(found, [("ニュース", 1), ("新聞", 2)]);
}

#[test]
fn a_store_that_was_never_written_to_is_empty_and_stays_away() {
    let (_dir, store) = store();
    let labels = LabelReader::new(&LabelRules::default()).unwrap();
    assert_eq!(store.list(&labels, &Filter::default()).unwrap(), StoreListing::default());
    assert_eq!(store.delete(&Filter::default()).unwrap(), Deleted::default());
    assert!(!store.dir().exists());
}

#[test]
fn a_torn_last_line_is_cut_off_and_a_whole_one_closed() {
    let (_dir, store) = store();
    append(&store, "w", [1, 2]);
    let path = store.dir().join(segment_name("w"));
    let whole = fs::read_to_string(&path).unwrap();
    for cut in 1..json("w", 3).len() {
        fs::write(&path, format!("{whole}{}", &json("w", 3)[..cut])).unwrap();
        let done = store.writer().append("w", &batch("w", [2, 4])).unwrap();
        assert_eq!(done, Appended { added: 1, present: 1, repaired: 1 });
        assert_eq!(numbers(&store, "w"), [1, 2, 4]);
    }
    fs::write(&path, whole.trim_end()).unwrap();
    let done = store.writer().append("w", &batch("w", [2, 5])).unwrap();
    assert_eq!(done, Appended { added: 1, present: 1, repaired: 0 });
    fs::write(&path, format!("{whole}{}", json("w", 3))).unwrap();
    assert_eq!(append(&store, "w", [3, 6]), (1, 1));
    assert_eq!(numbers(&store, "w"), [1, 2, 3, 6]);
}

#[test]
fn a_lost_damaged_or_foreign_id_cache_loses_nothing() {
    let (_dir, store) = store();
    append(&store, "w", 0..40);
    append(&store, "v", 0..3);
    let ids = segment::ids_path(&store.dir().join(segment_name("w")));
    let good = fs::read(&ids).unwrap();
    assert_eq!(good.len(), 16 + 40 * 24);
    let foreign = fs::read(segment::ids_path(&store.dir().join(segment_name("v")))).unwrap();
    let damaged = [
        Vec::new(),
        b"something else".to_vec(),
        good[..good.len() - 7].to_vec(),
        good[..16].to_vec(),
        [&good[..], &good[16..]].concat(),
        [&good[..], b"torn"].concat(),
        foreign,
        [&good[..good.len() - 8], &u64::MAX.to_le_bytes()[..]].concat(),
    ];
    for bytes in damaged {
        fs::write(&ids, bytes).unwrap();
        assert_eq!(append(&store, "w", 0..40), (0, 40));
        assert!(fs::read(&ids).unwrap()[16..good.len()] == good[16..]);
    }
    fs::remove_file(&ids).unwrap();
    assert_eq!(append(&store, "w", [39, 40]), (1, 1));
    assert_eq!(numbers(&store, "w"), (0..=40).collect::<Vec<_>>());
}

#[test]
fn lines_added_by_hand_count_too() {
    let (_dir, store) = store();
    append(&store, "w", [1]);
    let path = store.dir().join(segment_name("w"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{}\nnot a record\n", json("w", 2))).unwrap();
    assert_eq!(append(&store, "w", [2, 3]), (1, 1));
    assert_eq!(append(&store, "w", [1, 2, 3]), (0, 3));
    let labels = LabelReader::new(&LabelRules::default()).unwrap();
    let contents = store.list(&labels, &Filter::default()).unwrap();
    assert_eq!((contents.workloads[0].records, contents.unreadable), (3, 1));
}

#[test]
fn writers_at_once_add_every_record_once() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for start in 0..4 {
            let store = &store;
            scope.spawn(move || {
                let mut writer = store.writer();
                for step in 0..25 {
                    let first = (start * 10 + step) % 50;
                    writer.append("w", &batch("w", first..first + 10)).unwrap();
                }
            });
        }
    });
    let mut found = numbers(&store, "w");
    found.sort_unstable();
    assert_eq!(found, (0..60).filter(|n| found.contains(n)).collect::<Vec<_>>());
    assert!(found.len() >= 35);
}

#[test]
fn listing_counts_clients_labels_and_range() {
    let (_dir, store) = store();
    append(&store, "w", 1..=6);
    let plain = json("w", 7).replace("[[b]]", "no label");
    let tools = json("w", 9).replace(
        r#""content":"[[A]]""#,
        r#""content":null,"tool_calls":[{"function":{"name":"get","arguments":"{}"}}]"#,
    );
    let mut more = AppendBatch::default();
    for json in [plain, tools] {
        let record = normalise(json.as_bytes(), &FieldDefaults::default()).unwrap();
        more.push(record.id, &record.line);
    }
    store.writer().append("w", &more).unwrap();
    let labels = LabelReader::new(&LabelRules::default()).unwrap();
    let listing = store.list(&labels, &Filter::default()).unwrap().workloads.remove(0);
    let pairs = |list: &[(&str, u64)]| list.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>();
    let want = WorkloadListing {
        workload: "w".to_owned(),
        records: 8,
        first: 1,
        last: 9,
        clients: pairs(&[("c0", 3), ("c1", 5)]),
        labels: pairs(&[("B", 4), ("A", 2), ("get", 1)]),
        unlabelled: 1,
        tool_calls: 1,
    };
    assert_eq!(listing, want);
    let since = Filter { since: Some(5), clients: vec!["c1".to_owned()], ..Filter::default() };
    assert_eq!(store.list(&labels, &since).unwrap().workloads[0].records, 3);
    let other = Filter { workload: Some("v".to_owned()), ..Filter::default() };
    assert_eq!(store.list(&labels, &other).unwrap(), StoreListing::default());
}

#[test]
fn deleting_takes_what_matches_and_an_open_writer_goes_on() {
    let (_dir, store) = store();
    let mut writer = store.writer();
    writer.append("w", &batch("w", 0..10)).unwrap();
    writer.append("v", &batch("v", 0..10)).unwrap();
    let window = Filter { workload: Some("w".to_owned()), since: Some(3), until: Some(6), ..Filter::default() };
    assert_eq!(store.delete(&window).unwrap(), Deleted { records: 3, kept: 17 });
    assert_eq!(store.delete(&window).unwrap(), Deleted { records: 0, kept: 17 });
    assert_eq!(numbers(&store, "w"), [0, 1, 2, 6, 7, 8, 9]);
    assert_eq!(writer.append("w", &batch("w", [2, 4, 9])).unwrap().added, 1);
    let mut other = store.writer();
    assert_eq!(other.append("w", &batch("w", [4, 5])).unwrap().added, 1);
    assert_eq!(writer.append("w", &batch("w", [4, 5])).unwrap().added, 0);
    let ids = segment::ids_path(&store.dir().join(segment_name("w")));
    let before = fs::read(&ids).unwrap();
    other.append("w", &batch("w", [4, 5])).unwrap();
    writer.append("w", &batch("w", [4, 5])).unwrap();
    assert_eq!(fs::read(&ids).unwrap(), before, "writers share one cache");

    let all = Filter { workload: Some("v".to_owned()), ..Filter::default() };
    assert_eq!(store.delete(&all).unwrap().records, 10);
    assert_eq!(store.read().unwrap().files.len(), 1);
    assert_eq!(writer.append("v", &batch("v", [1])).unwrap().added, 1);
    let client = Filter { clients: vec!["c1".to_owned()], ..Filter::default() };
    store.delete(&client).unwrap();
    assert!(numbers(&store, "w").iter().all(|n| n % 2 == 0));
}

#[test]
fn deleting_keeps_lines_that_are_no_records() {
    let (_dir, store) = store();
    append(&store, "w", [1]);
    let path = store.dir().join(segment_name("w"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("by hand\n{text}")).unwrap();
    assert_eq!(store.delete(&Filter::default()).unwrap(), Deleted { records: 1, kept: 1 });
    assert_eq!(fs::read_to_string(&path).unwrap(), "by hand\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batches_in_any_order_and_cut_give_the_same_records(
        parts in prop::collection::vec(prop::collection::vec(0u32..30, 1..12), 1..6),
        damage in prop::option::of(0usize..400),
    ) {
        let (_dir, store) = store();
        let mut read = 0;
        let mut counted = 0;
        for part in &parts {
            let (added, present) = append(&store, "w", part.iter().copied());
            counted += added + present;
            read += part.len() as u64;
            if let Some(damage) = damage {
                let ids = segment::ids_path(&store.dir().join(segment_name("w")));
                let mut bytes = fs::read(&ids).unwrap_or_default();
                bytes.truncate(damage);
                fs::write(&ids, bytes).unwrap();
            }
        }
        prop_assert_eq!(read, counted);
        let found = numbers(&store, "w");
        let distinct: BTreeSet<u32> = parts.iter().flatten().copied().collect();
        prop_assert_eq!(found.len(), distinct.len());
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), distinct);
    }
}
