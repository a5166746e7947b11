//! Datasets built from generated logs: nothing is lost, nothing depends on order or store, nothing leaks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::read::{SPOOL, examined};
use super::write::CONFLICTS;
use super::*;
use crate::data::intake::{ExaminerScratch, Findings};
use crate::data::options::{Fields, Filter, LabelRules, SplitRules, TypeChoice};
use crate::data::origin::Origin;
use crate::data::record;
use crate::data::reject::Reject;
use crate::data::rows::RowRenderer;
use crate::data::workload_type::WorkloadType;
use crate::source::input::InputError;
use crate::source::input::packed::tests::{gzip, zstandard};
use crate::source::lines::Blocks;
use crate::source::manifest::DatasetFile;

#[test]
fn lines_are_read_again_in_any_order() {
    let folder = Folder::new();
    let lines: Vec<String> = (0..50_000).map(|n| format!("line {n}")).collect();
    let path = folder.file("a.jsonl", &lines);
    let mut reader = InputReader {
        intake: Intake::new(&request(Vec::new())).unwrap(),
        rejects: Rejects::new(None),
        reshaper: None,
        out: &folder.out("."),
        max_line: MAX_LINE,
    };
    let inputs = [reader.read(0, Input::file(&path)).unwrap()];
    let mut offset = 0;
    let mut origins = Vec::new();
    for line in &lines {
        origins.push(Origin { input: 0, offset, length: line.len() as u32, line: 0 });
        offset += line.len() as u64 + 1;
    }
    let mut again = LineReader::new(&inputs);
    for n in (0..50_000).chain([49_999, 0, 25_000, 24_999, 25_001]) {
        assert_eq!(again.read(&origins[n]).unwrap(), lines[n].as_bytes());
    }
    assert!(again.read(&Origin { offset, length: 1, ..Origin::default() }).is_err());
    assert!(inputs[0].check_unchanged().is_ok());
    std::fs::write(&path, "cut").unwrap();
    assert!(inputs[0].check_unchanged().is_err());
}

/// Builds from what needs no credentials.
fn build(request: &DatasetRequest, out: &Path, rejects: Option<&mut dyn Write>) -> Result<Manifest> {
    super::build(request, &Credentials::None, out, rejects, &CancellationToken::new())
}

fn request(paths: Vec<PathBuf>) -> DatasetRequest {
    DatasetRequest {
        input: LogSource::Files(paths),
        fields: Fields::default(),
        filter: Filter { workload: Some("news".into()), ..Filter::default() },
        workload_type: TypeChoice::Auto,
        labels: LabelRules::default(),
        accept_truncated: false,
        split: SplitRules {
            eval_size: 10,
            val_ratio: 0.2,
            min_total_records: 20,
            random_seed: 42,
            limit: None,
            parse_function_arguments: true,
            train_on_thoughts: false,
            stratify_enabled: true,
            min_samples_per_class: 2,
            rare_class_threshold: 1,
        },
    }
}

fn line(workload: &str, timestamp: i64, text: &str, reply: &str) -> String {
    json!({
        "timestamp": timestamp, "workload_id": workload, "client_id": "desk",
        "request": {"messages": [{"role": "system", "content": "Classify."}, {"role": "user", "content": text}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": reply}}]},
    })
    .to_string()
}

fn words(n: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    format!("story {}{}{}", letter(n), letter(n / 26), letter(n / 676))
}

/// Sixty records of three labels, each with a text of its own.
fn sixty() -> Vec<String> {
    (0..60).map(|n| line("news", n as i64, &words(n), ["[[A]]", "[[B]]", "[[C]]"][n % 3])).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, lines: &[String]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, lines.join("\n")).unwrap();
        path
    }

    fn out(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn unusable(result: Result<Manifest>) -> Unusable {
    result.unwrap_err().downcast_ref::<Unusable>().unwrap().clone()
}

fn dataset(out: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join(name)).unwrap_or_default();
    assert!(!text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn eval_texts(out: &Path) -> Vec<String> {
    let user = |row: &Value| row["request"]["messages"][1]["content"].as_str().unwrap().to_owned();
    dataset(out, EVAL).iter().map(user).collect()
}

fn training_texts(out: &Path, name: &str) -> Vec<String> {
    dataset(out, name).iter().map(|row| row["messages"][1]["content"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_line_is_somewhere() {
    let folder = Folder::new();
    let mut lines = sixty();
    lines.push(line("other", 1, "x", "[[A]]"));
    lines.push("{".into());
    lines.push(line("news", 5, "unlabelled", "no label"));
    lines.push(line("news", 99, &words(0), "[[B]]"));
    let mut refused = Vec::new();
    let logs = folder.file("logs.jsonl", &lines);
    let out = folder.out("out");
    let manifest = build(&request(vec![logs.clone()]), &out, Some(&mut refused)).unwrap();
    assert_eq!((manifest.read, manifest.other, manifest.duplicates, manifest.kept), (64, 1, 1, 60));
    assert_eq!(manifest.rejected, BTreeMap::from([(Reject::InvalidJson, 1), (Reject::NoLabel, 1)]));
    assert_eq!((manifest.eval, manifest.validation, manifest.train, manifest.held_back), (10, 10, 40, 0));
    assert_eq!((manifest.conflicts, manifest.workload_type), (1, WorkloadType::Classification));
    let refused: Vec<Value> =
        String::from_utf8(refused).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(refused[0], json!({"file": logs, "line": 62, "reason": "invalid_json", "text": "{"}));
    assert_eq!((&refused[1]["line"], &refused[1]["reason"]), (&json!(63), &json!("no_label")));
    assert_eq!(dataset(&out, CONFLICTS)[0]["labels"], json!({"A": 1, "B": 1}));
    assert_eq!(dataset(&out, CONFLICTS)[0]["kept"], "B");
    let written = std::fs::read(out.join(MANIFEST)).unwrap();
    assert_eq!(serde_json::from_slice::<Manifest>(&written).unwrap(), manifest);
    for file in &manifest.files {
        let bytes = std::fs::read(out.join(&file.path)).unwrap();
        assert_eq!(bytes.split(|&b| b == b'\n').count() as u64, file.rows);
    }
    assert_eq!(manifest.inputs[0].blake3, blake3::hash(&std::fs::read(logs).unwrap()).to_hex().to_string());
}

#[test]
fn labels_are_shown_as_written_most_often() {
    let folder = Folder::new();
    let mut lines = sixty();
    lines.extend((60..90).map(|n| line("news", n as i64, &words(n), "maybe [[x]], no: [[ a ]]")));
    let manifest = build(&request(vec![folder.file("logs.jsonl", &lines)]), &folder.out("out"), None).unwrap();
    // Written "a" 30 times and "A" 20 times.
    assert_eq!(manifest.classes.keys().collect::<Vec<_>>(), ["B", "C", "a"]);
    let rows: u64 = manifest.classes["a"].eval + manifest.classes["a"].train + manifest.classes["a"].validation;
    assert_eq!(rows, 50);
}

#[test]
fn the_same_bytes_from_any_order_and_any_store() {
    let folder = Folder::new();
    let mut lines = sixty();
    lines.extend((0..20).map(|n| line("news", 7, &format!("{} {n}!", words(n)), "[[A]]")));
    lines.push("garbage".into());
    let text = lines.join("\n") + "\n";
    let mut backwards = lines.clone();
    backwards.reverse();
    let stored: Vec<String> = lines
        .iter()
        .filter_map(|line| record::normalise(line.as_bytes(), &record::FieldDefaults::default()).ok())
        .map(|normal| String::from_utf8(normal.line).unwrap())
        .collect();
    folder.file("store/news.jsonl", &stored);
    let files = |paths| (LogSource::Files(paths), Vec::new());
    let (head, tail) = backwards.split_at(33);
    let inputs = [
        files(vec![folder.file("a.jsonl", &lines)]),
        files(vec![folder.file("b.jsonl", &backwards)]),
        files(vec![folder.file("tail.jsonl", tail), folder.file("head.jsonl", head)]),
        (LogSource::Stdin, text.into_bytes()),
        (LogSource::Local(folder.out("store")), Vec::new()),
    ];
    let mut first: Option<Vec<DatasetFile>> = None;
    for (n, (input, stdin)) in inputs.into_iter().enumerate() {
        let request = DatasetRequest { input, ..request(Vec::new()) };
        let out = folder.out(&format!("out{n}"));
        let manifest = if request.input == LogSource::Stdin {
            let piped = Input::stream("-", stdin.as_slice());
            build_from(&request, vec![piped], &out, Rejects::new(None), MAX_LINE).unwrap()
        } else {
            build(&request, &out, None).unwrap()
        };
        assert!(!out.join(format!("{SPOOL}0")).exists());
        assert_eq!(first.get_or_insert_with(|| manifest.files.clone()), &manifest.files, "input {n}");
    }
    let another = DatasetRequest {
        split: SplitRules { random_seed: 43, ..request(Vec::new()).split },
        ..request(vec![folder.out("a.jsonl")])
    };
    let manifest = build(&another, &folder.out("another"), None).unwrap();
    assert_ne!(first.unwrap()[0], manifest.files[0]);
}

#[test]
fn the_newest_of_a_text_wins_and_within_a_second_the_greater_id() {
    let folder = Folder::new();
    let same_second: Vec<String> = (0..4).map(|n| line("news", 500, "the same text", &format!("[[S{n}]]"))).collect();
    let id = |line: &String| record::normalise(line.as_bytes(), &record::FieldDefaults::default()).unwrap().id;
    let winner = (0..4).max_by_key(|&n| id(&same_second[n])).unwrap();
    let mut lines = sixty();
    lines.push(line("news", 499, "the same text", "[[Older]]"));
    for turn in 0..4 {
        lines.push(same_second[turn].clone());
        let mut turned = lines.clone();
        turned.extend((1..4).map(|more| same_second[(turn + more) % 4].clone()));
        let out = folder.out("out");
        let manifest = build(&request(vec![folder.file("logs.jsonl", &turned)]), &out, None).unwrap();
        assert_eq!((manifest.kept, manifest.duplicates, manifest.conflicts), (61, 4, 1), "turn {turn}");
        assert_eq!(dataset(&out, CONFLICTS)[0]["kept"], format!("S{winner}"));
        lines.pop();
    }
}

#[test]
fn a_second_build_leaves_nothing_of_the_first() {
    let folder = Folder::new();
    let mut lines = sixty();
    lines.push(line("news", 99, &words(0), "[[B]]"));
    let out = folder.out("out");
    let mut wanted = request(vec![folder.file("logs.jsonl", &lines)]);
    build(&wanted, &out, None).unwrap();
    assert!(out.join(CONFLICTS).exists() && out.join(VALIDATION).exists());
    folder.file("logs.jsonl", &sixty());
    wanted.split.val_ratio = 0.0;
    let manifest = build(&wanted, &out, None).unwrap();
    assert_eq!((manifest.files.len(), manifest.validation), (2, 0));
    assert!(!out.join(CONFLICTS).exists() && !out.join(VALIDATION).exists());
    wanted.split.eval_size = 60;
    assert!(build(&wanted, &out, None).is_err());
    assert!(!out.join(MANIFEST).exists());
}

#[test]
fn what_cannot_be_used_says_why() {
    let folder = Folder::new();
    let logs = folder.file("logs.jsonl", &sixty());
    let mut wanted = request(vec![logs.clone()]);
    wanted.split.eval_size = 60;
    let problem = unusable(build(&wanted, &folder.out("out"), None));
    assert!(matches!(problem, Unusable::EvalTooLarge { eval_size: 60, kept: 60, .. }), "{problem}");
    assert!(problem.hint().contains("eval_size=30"));

    let mut wanted = request(vec![logs.clone()]);
    wanted.split.limit = Some(19);
    let problem = unusable(build(&wanted, &folder.out("out"), None));
    assert!(matches!(problem, Unusable::TooFew { kept: 19, needed: 20, over_limit: 41, .. }), "{problem}");

    let mut wanted = request(vec![logs.clone()]);
    wanted.filter.workload = Some("nwes".into());
    let problem = unusable(build(&wanted, &folder.out("out"), None));
    assert!(problem.to_string().contains("workloads in the logs: news (60)") && !problem.is_usage(), "{problem}");

    let two = folder.file("two.jsonl", &[line("b", 1, "x", "[[A]]")]);
    let mut wanted = request(vec![logs.clone(), two]);
    wanted.filter.workload = None;
    let problem = unusable(build(&wanted, &folder.out("out"), None));
    assert_eq!(problem, Unusable::Ambiguous { workloads: vec![("b".into(), 1), ("news".into(), 60)] });
    assert!(problem.is_usage());

    wanted.input = LogSource::Files(vec![logs]);
    assert_eq!(build(&wanted, &folder.out("out"), None).unwrap().workload, "news");

    wanted.input = LogSource::Local(folder.out("nowhere"));
    assert!(matches!(unusable(build(&wanted, &folder.out("out"), None)), Unusable::NoRecords { .. }));
}

#[test]
fn tool_calls_are_found_and_not_taken_for_classification() {
    let folder = Folder::new();
    let call = |n: usize| {
        json!({
            "workload_id": "news", "request": {"messages": [{"role": "user", "content": words(n)}], "tools": [{}]},
            "response": {"choices": [{"message": {"content": null, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": (["buy", "sell"][n % 2]), "arguments": "{\"n\": 1}"}}]}}]},
        })
        .to_string()
    };
    let lines: Vec<String> = (0..40).map(call).collect();
    let mut wanted = request(vec![folder.file("logs.jsonl", &lines)]);
    let out = folder.out("out");
    let manifest = build(&wanted, &out, None).unwrap();
    assert_eq!(manifest.workload_type, WorkloadType::ToolCalling);
    assert_eq!((manifest.types.tool_calls, manifest.types.labels, manifest.types.records), (40, 0, 40));
    assert_eq!(manifest.classes.keys().collect::<Vec<_>>(), ["buy", "sell"]);
    let row = &dataset(&out, TRAIN)[0];
    assert_eq!(row["messages"][1]["content"], "");
    assert_eq!(row["messages"][1]["tool_calls"][0]["function"]["arguments"], json!({"n": 1}));

    wanted.workload_type = TypeChoice::Classification;
    let problem = unusable(build(&wanted, &out, None));
    assert_eq!(problem.to_string(), "cannot make classification datasets: 40 of 40 records hold tool calls");
    assert!(problem.hint().contains("tool_calling"));
    wanted.workload_type = TypeChoice::Auto;
    wanted.input = LogSource::Files(vec![
        folder.file("text.jsonl", &(0..40).map(|n| line("news", 0, &words(n), "prose")).collect::<Vec<_>>()),
    ]);
    let manifest = build(&wanted, &out, None).unwrap();
    assert_eq!((manifest.workload_type, manifest.classes.len()), (WorkloadType::Text, 0));
    assert_eq!(manifest.warnings, Vec::<String>::new());
}

#[test]
fn clients_and_times_select() {
    let folder = Folder::new();
    let lines = sixty();
    let mut wanted = request(vec![folder.file("logs.jsonl", &lines)]);
    wanted.filter.since = Some(10);
    wanted.filter.until = Some(50);
    let manifest = build(&wanted, &folder.out("out"), None).unwrap();
    assert_eq!((manifest.kept, manifest.other), (40, 20));
    wanted.filter.clients = vec!["desk".into(), "else".into()];
    assert_eq!(build(&wanted, &folder.out("out"), None).unwrap().kept, 40);
    wanted.filter.clients = vec!["else".into()];
    assert!(matches!(unusable(build(&wanted, &folder.out("out"), None)), Unusable::NoneSelected { .. }));
}

#[test]
fn streamed_responses_make_the_datasets_of_whole_ones() {
    let folder = Folder::new();
    let reply = |n: usize| format!("[[{}]]", ["A", "B"][n % 2]);
    let whole: Vec<String> = (0..600).map(|n| line("news", n as i64 / 2, &words(n), &reply(n))).collect();
    let streamed = whole.iter().zip(0..).map(|(line, n)| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let (first, second) = (reply(n)[..3].to_owned(), reply(n)[3..].to_owned());
        record["response"] = json!([
            {"choices": [{"delta": {"role": "assistant", "content": first}}]}, {"choices": [{"delta": {"content": second}, "finish_reason": "stop"}]},
        ]);
        record.to_string()
    });
    // The completion that chunks make says more than the shortest one that is allowed.
    let mut completions = whole.clone();
    for (line, n) in completions.iter_mut().zip(0..) {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let message = json!({"role": "assistant", "content": reply(n)});
        record["response"] = json!({
            "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        });
        *line = record.to_string();
    }
    let streamed: Vec<String> = streamed.collect();
    let built = |name: &str, lines: &[String]| {
        let logs = folder.file(&format!("{name}.jsonl"), lines);
        let manifest = build(&request(vec![logs]), &folder.out(name), None).unwrap();
        assert_eq!((manifest.all_rejected(), manifest.kept), (0, 600));
        manifest.files
    };
    let wanted = built("whole", &completions);
    assert_eq!(built("streamed", &streamed), wanted);
    // In another order their ids are made later.
    assert_eq!(built("reversed", &streamed.into_iter().rev().collect::<Vec<_>>()), wanted);
}

#[test]
fn packed_logs_make_the_datasets_of_what_is_in_them() {
    let folder = Folder::new();
    let text = sixty().join("\n").into_bytes();
    let plain = folder.file("plain.jsonl", &sixty());
    let wanted = build(&request(vec![plain]), &folder.out("plain"), None).unwrap();
    for (name, packed) in [("a.gz", gzip(&text)), ("a.zst", zstandard(&text))] {
        let (path, out) = (folder.out(name), folder.out(&format!("of-{name}")));
        std::fs::write(&path, &packed).unwrap();
        let manifest = build(&request(vec![path.clone()]), &out, None).unwrap();
        assert_eq!((&manifest.files, manifest.read), (&wanted.files, 60));
        let input = &manifest.inputs[0];
        let hash = blake3::hash(&packed).to_hex().to_string();
        assert_eq!((input.bytes, &input.blake3, input.lines), (packed.len() as u64, &hash, 60), "of the file itself");
        let left = std::fs::read_dir(&out)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(SPOOL));
        assert_eq!(left.count(), 0);
        std::fs::write(&path, &packed[..packed.len() - 9]).unwrap();
        let cut = build(&request(vec![path]), &out, None).unwrap_err();
        let known = cut.downcast_ref::<InputError>();
        assert!(matches!(known, Some(InputError::Damaged { name: file, .. }) if file.ends_with(name)), "{cut:#}");
    }
}

#[test]
fn ids_made_while_reading_order_records_as_those_made_later_do() {
    let pairs: Vec<String> =
        (0..1000).map(|n| line("news", n as i64 / 2, &words(n), ["[[A]]", "[[B]]"][n % 2])).collect();
    let apart: Vec<String> = pairs.iter().step_by(2).chain(pairs.iter().skip(1).step_by(2)).cloned().collect();
    let folder = Folder::new();
    let without_id = |lines: &[String]| {
        let mut intake = Intake::new(&request(Vec::new())).unwrap();
        let (examiner, mut scratch, mut findings) =
            (intake.examiner(), ExaminerScratch::default(), Findings::default());
        for (line, offset) in lines.iter().zip(0..) {
            examiner.examine(Origin { offset, ..Origin::default() }, line.as_bytes(), &mut scratch, &mut findings);
        }
        assert_eq!(intake.absorb(findings), []);
        intake.ties().len()
    };
    assert_eq!(
        (without_id(&pairs), without_id(&apart)),
        (255, 1000),
        "ids are made once seconds turn out to be shared"
    );
    let built = |name: &str, lines: &[String]| {
        let logs = folder.file(&format!("{name}.jsonl"), lines);
        build(&request(vec![logs]), &folder.out(name), None).unwrap().files
    };
    assert_eq!(built("pairs", &pairs), built("apart", &apart));
}

/// One generated line: workload, text, copy of the text that differs in a digit, label, timestamp; or garbage.
type Spec = Option<(usize, usize, usize, usize, i64)>;

fn spec() -> impl Strategy<Value = Spec> {
    prop_oneof![9 => (0..12_usize, 0..60_usize, 0..4_usize, 0..5_usize, 0..6_i64).prop_map(Some), 1 => Just(None)]
}

fn log(specs: &[Spec]) -> Vec<String> {
    let label = |n: usize| ["[[A]]", "[[a]]", "[[B]]", "[[Rare One]]", "none"][n];
    let line = |spec: &Spec| match *spec {
        None => "{\"timestamp\":".to_owned(),
        Some((workload, text, copy, reply, timestamp)) => line(
            if workload == 0 { "old" } else { "news" },
            timestamp,
            &format!("{}: {copy}%", words(text)),
            label(reply),
        ),
    };
    specs.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_are_exact_groups_whole_and_order_does_not_matter(
        specs in prop::collection::vec(spec(), 40..200), eval_size in 1..20_usize, seed: u64, val_ratio in 0.0..0.5,
        stratify: bool, limit in prop::option::of(25..80_usize),
    ) {
        let folder = Folder::new();
        let mut wanted = request(vec![folder.file("a.jsonl", &log(&specs))]);
        wanted.split = SplitRules {
            eval_size, random_seed: seed, val_ratio, stratify_enabled: stratify, limit, ..wanted.split
        };
        let out = folder.out("out");
        let manifest = match build(&wanted, &out, None) {
            Ok(manifest) => manifest,
            Err(e) => {
                prop_assert!(e.downcast_ref::<Unusable>().is_some(), "{e:#}");
                return Ok(());
            }
        };
        prop_assert_eq!(manifest.read as usize, specs.len());
        prop_assert_eq!(
            manifest.read,
            manifest.all_rejected() + manifest.other + manifest.duplicates + manifest.over_limit + manifest.kept
        );
        prop_assert_eq!(manifest.kept, manifest.eval + manifest.train + manifest.validation + manifest.held_back);
        prop_assert_eq!(manifest.eval as usize, eval_size);
        prop_assert!(manifest.train > 0);
        let texts = [eval_texts(&out), training_texts(&out, TRAIN), training_texts(&out, VALIDATION)];
        prop_assert_eq!(texts.each_ref().map(|texts| texts.len() as u64), [manifest.eval, manifest.train, manifest.validation]);
        let all: HashSet<&String> = texts.iter().flatten().collect();
        prop_assert_eq!(all.len(), texts.iter().map(Vec::len).sum::<usize>(), "a text stands twice");
        let groups = texts.each_ref().map(|texts| {
            texts.iter().map(|text| text.split(':').next().unwrap()).collect::<BTreeSet<_>>()
        });
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            prop_assert!(groups[a].is_disjoint(&groups[b]), "a group straddles two datasets");
        }
        let mut shuffled = specs.clone();
        shuffled.reverse();
        shuffled.rotate_left(specs.len() / 3);
        wanted.input = LogSource::Files(vec![folder.file("b.jsonl", &log(&shuffled))]);
        let again = build(&wanted, &folder.out("again"), None).unwrap();
        prop_assert_eq!(again.files, manifest.files);
        prop_assert_eq!(again.conflicts, manifest.conflicts);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut intake = Intake::new(&request(Vec::new())).unwrap();
        let mut blocks = Blocks::new(bytes.as_slice(), 0).with_max_line(100);
        while let Some(block) = blocks.next(Vec::new()).unwrap() {
            intake.absorb(examined(&intake.examiner(), 0, &block, &mut ExaminerScratch::default()));
        }
        let _ = intake.finish();
    }

    #[test]
    fn no_damage_to_a_record_makes_it_panic(cut in 0..400_usize, at in 0..400_usize, byte: u8, with: u8) {
        let whole = line("news", 1_700_000_000, "caf\u{e9} \\ud83d\\ude00 \"x\"", "[[A]]").into_bytes();
        let mut damaged = whole.clone();
        let place = at % whole.len();
        damaged[place] = byte;
        damaged.insert(place, with);
        for bytes in [&whole[..cut.min(whole.len())], damaged.as_slice()] {
            if let Ok(normal) = record::normalise(bytes, &record::FieldDefaults::default()) {
                let again = record::normalise(&normal.line, &record::FieldDefaults::default());
                prop_assert_eq!(again.as_ref(), Ok(&normal));
                let mut row = Vec::new();
                prop_assert_eq!(RowRenderer::new(true).eval_row(bytes, &mut row), Ok(()));
                prop_assert_eq!(RowRenderer::new(true).training_row(bytes, &mut row), Ok(()));
            }
        }
    }
}
