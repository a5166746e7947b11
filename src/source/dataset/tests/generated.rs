//! Generated logs and damaged lines: the sums hold, and nothing panics.

use super::*;

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
