//! Inputs of every kind: read again, packed, streamed, in any order, from any store.

use super::*;

#[test]
fn lines_are_read_again_in_any_order() {
    let folder = Folder::new();
    let lines: Vec<String> = (0..50_000).map(|n| format!("line {n}")).collect();
    let path = folder.file("a.jsonl", &lines);
    let mut reader = InputReader {
        intake: Intake::new(&request(Vec::new())).unwrap(),
        rejects: Rejects::new(None),
        reshaper: None,
        redactor: None,
        sample: None,
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
            build_from(&request, vec![piped], &out, Notes::default(), MAX_LINE).unwrap()
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

#[test]
fn no_number_of_a_record_ends_a_split() {
    let folder = Folder::new();
    let end = r#","usage":{"prompt_tokens":18446744073709551615,"completion_tokens":1}},"huge":1e400}"#;
    let lines: Vec<String> = (0..40)
        .map(|n| line("news", n as i64, &words(n), "[[A]]"))
        .map(|line| format!("{}{end}", line.strip_suffix("}}").unwrap()))
        .collect();
    let manifest = build(&request(vec![folder.file("a.jsonl", &lines)]), &folder.out("out"), None).unwrap();
    let teacher = manifest.teacher.unwrap();
    assert_eq!((teacher.prompt_tokens, teacher.completion_tokens, teacher.usage_rows), (u64::MAX, 10, 10));
}
