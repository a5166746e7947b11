//! The counts of a manifest add up, whatever the lines and the rules are.

use super::*;
use crate::data::corrections::RequestNamer;
use crate::data::options::SplitBy;
use crate::source::manifest::ClassCounts;

/// The rules of a build, and the part of the requests that are corrected.
#[derive(Clone, Debug)]
struct Rules {
    temporal: Option<u64>,
    max_per_class: Option<usize>,
    limit: Option<usize>,
    near: Option<f64>,
    is_allowed: bool,
    /// Takes the eval set of an earlier build.
    is_frozen: bool,
    /// Requests that are corrected: one in this many.
    corrected: Option<usize>,
}

fn rules() -> impl Strategy<Value = Rules> {
    let some = |range| prop::option::of(range);
    let first = (some(0_u64..20), prop::option::of(1_usize..6), prop::option::of(4_usize..60));
    (first, prop::option::of(Just(0.5)), any::<bool>(), any::<bool>(), prop::option::of(1_usize..4)).prop_map(
        |((temporal, max_per_class, limit), near, is_allowed, is_frozen, corrected)| Rules {
            temporal,
            max_per_class,
            limit,
            near,
            is_allowed,
            is_frozen,
            corrected,
        },
    )
}

fn any_line() -> impl Strategy<Value = String> {
    let record = (0_usize..40, 0_usize..4, 0_i64..50).prop_map(|(text, label, time)| {
        line("news", time, &format!("{} rises again today", words(text)), ["[[A]]", "[[B]]", "[[C]]", "[[Bee]]"][label])
    });
    let other = prop::sample::select(vec![
        line("other", 1, "x", "[[A]]"),
        line("news", 2, "unlabelled", "no label"),
        String::new(),
        "{".to_owned(),
        "7".to_owned(),
    ]);
    prop_oneof![9 => record, 1 => other]
}

/// Writes a review file that corrects some requests of the lines, and one that no line has.
fn corrections(folder: &Folder, lines: &[String], one_in: usize) -> PathBuf {
    let mut namer = RequestNamer::default();
    let names: BTreeSet<String> = lines.iter().filter_map(|line| namer.name(line.as_bytes()).ok()).collect();
    let row = |name: String| json!({"request": name, "correct": "A"}).to_string();
    let mut rows: Vec<String> = names.into_iter().step_by(one_in).map(row).collect();
    rows.push(row(format!("req-{:032x}", 1)));
    folder.file("checked.jsonl", &rows)
}

fn check(manifest: &Manifest) -> Result<(), TestCaseError> {
    let Manifest { read, other, duplicates, over_limit, kept, .. } = *manifest;
    prop_assert_eq!(read, manifest.all_rejected() + other + duplicates + over_limit + kept, "{:?}", manifest);
    let Manifest { eval, train, validation, held_back, .. } = *manifest;
    prop_assert_eq!(kept, eval + train + validation + held_back, "{:?}", manifest);
    prop_assert_eq!(read, manifest.inputs.iter().map(|input| input.lines).sum::<u64>());
    let rows = manifest.files.iter().filter(|file| file.path != preferences::PREFERENCES).map(|file| file.rows);
    prop_assert_eq!(eval + train + validation, rows.sum::<u64>());
    for (all, of) in [(eval, (|rows| rows.eval) as fn(&ClassCounts) -> u64), (train, |rows| rows.train)] {
        prop_assert_eq!(all, manifest.classes.values().map(of).sum::<u64>());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_in_one_count(lines in prop::collection::vec(any_line(), 20..120), rules in rules()) {
        let folder = Folder::new();
        let logs = folder.file("logs.jsonl", &lines);
        let mut request = request(vec![logs]);
        request.split.eval_size = 3;
        request.split.min_total_records = 5;
        if rules.is_frozen {
            let first = folder.out("first");
            let half = folder.file("half.jsonl", &lines[..lines.len() / 2]);
            let earlier = DatasetRequest { input: LogSource::Files(vec![half]), ..request.clone() };
            if build(&earlier, &first, None).is_ok() {
                request.eval_set = Some(first.join(EVAL));
            }
        }
        if let Some(embargo_s) = rules.temporal {
            (request.split.split, request.split.embargo_s) = (SplitBy::Temporal, embargo_s);
        }
        request.split.max_per_class = rules.max_per_class;
        request.split.limit = rules.limit;
        request.split.near_duplicate_threshold = rules.near;
        // The frozen rows keep their labels.
        let is_allowed = rules.is_allowed && request.eval_set.is_none();
        request.labels.allowed = is_allowed.then(|| ["A", "B", "C"].map(str::to_owned).to_vec());
        request.corrections = rules.corrected.map(|one_in| corrections(&folder, &lines, one_in));
        match build(&request, &folder.out("out"), None) {
            Err(error) => prop_assert!(error.is::<Unusable>(), "{error:?}"),
            Ok(manifest) => {
                check(&manifest)?;
                prop_assert_eq!(manifest.corrections.is_some(), request.corrections.is_some());
                if let Some(given) = &manifest.corrections {
                    prop_assert!(given.unused >= 1 && given.unused <= given.given, "{given:?}");
                    prop_assert!(given.records <= manifest.read, "{given:?}");
                }
            }
        }
    }
}
