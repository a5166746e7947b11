//! Tests the configuration as a whole: files that must load, every kind of problem, precedence, and the reference.

mod judge;
mod log_store;

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::plan::{JudgePlan, LocalService, LogLevel, ServiceKey, ServicePlace, ValueSource};
use super::*;
use crate::data::options::{LogSource, TypeChoice};
use crate::vocabulary::{Generation, PlatformKind};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn run(config: impl Into<PathBuf>) -> Invocation {
    Invocation { config: Some(config.into()), need: Need::Candidates, ..Invocation::default() }
}

fn around(variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        cwd: PathBuf::from(ROOT),
        process: Environment::of(variables.iter().copied()),
        now: "2025-06-10T00:00:00Z".parse().unwrap(),
        ..Surroundings::fixed()
    }
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(Path::new(ROOT).join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

fn said(result: Result<Plan, Problems>) -> Vec<String> {
    result.expect_err("a problem").each().iter().map(ToString::to_string).collect()
}

/// Loads a text as the `flywheel.yaml` of a new folder.
pub(super) fn load_text(text: &str, change: impl FnOnce(&mut Invocation, &mut Surroundings)) -> Result<Plan, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(locate::NAME);
    std::fs::write(&file, text).unwrap();
    let mut invocation = run(file);
    let mut around = Surroundings { cwd: folder.path().to_owned(), ..around(&[]) };
    change(&mut invocation, &mut around);
    load_in(&invocation, &around)
}

const SMALL: &str = "nmp_config: {platform: embedded}\nnims: [{model_name: dfwfd/ngram-small, tag: 1.10}]\n";

#[test]
fn every_file_that_is_shown_to_users_loads() {
    let variables = [("NEMO_TOKEN", "a"), ("DESK_TOKEN", "b"), ("NGC_API_KEY", "c")];
    let mut files = yaml_files("examples");
    files.extend(yaml_files("testdata/configs/valid"));
    files.push(Path::new(ROOT).join("flywheel.yaml"));
    for file in files {
        let plan = load_in(&run(&file), &around(&variables)).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(!plan.candidates.is_empty(), "{}", file.display());
    }
}

#[test]
fn what_init_writes_loads_and_is_the_shipped_configuration_in_substance() {
    let shipped = load_in(&run("flywheel.yaml"), &around(&[])).unwrap();
    let local = load_text(&templates::embedded(None), |_, _| {}).unwrap();
    assert_eq!(local.warnings, [""; 0]);
    assert_eq!(local.candidates, shipped.candidates);
    assert_eq!(local.training, shipped.training);
    assert_eq!(local.data.split, shipped.data.split);
    assert_eq!(local.data.input, LogSource::Local(local.state_dir.join("logs")));
    assert_eq!(shipped.data.input, LogSource::Files(vec![Path::new(ROOT).join("testdata/news_logs.jsonl")]));
    assert_eq!(shipped.platform.kind, PlatformKind::Embedded);

    let nemo = load_text(templates::NEMO, |_, _| {}).unwrap();
    assert_eq!(nemo.warnings, [""; 0]);
    let models = |plan: &Plan| plan.candidates.iter().map(|one| one.model_name.clone()).collect::<Vec<_>>();
    assert_eq!(models(&nemo), ["meta/llama-3.2-1b-instruct"]);
    let all: String = templates::NEMO
        .lines()
        .map(|line| match line.strip_prefix("  # ") {
            Some(rest) if rest.starts_with("- model_name") || rest.starts_with("  ") && !rest.contains("X-Team") => {
                format!("  {rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let every = load_text(&all, |_, _| {}).unwrap();
    assert_eq!(
        models(&every),
        ["meta/llama-3.2-1b-instruct", "meta/llama-3.2-3b-instruct", "meta/llama-3.1-8b-instruct"]
    );
}

#[test]
fn every_kind_of_problem_is_said_as_its_file_expects() {
    let folder = Path::new(ROOT).join("testdata/configs/invalid");
    let mut different = Vec::new();
    for file in yaml_files("testdata/configs/invalid") {
        let bytes = std::fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let expected: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# expect: "))
            .map(|line| line.replace("/FOLDER", &folder.display().to_string()))
            .collect();
        assert!(!expected.is_empty(), "{} expects nothing", file.display());
        let around = Surroundings { cwd: folder.clone(), ..around(&[]) };
        let said = said(load_in(&run(&file), &around));
        if said != expected {
            different.push(format!("said:\n{}\nexpected:\n{}", said.join("\n"), expected.join("\n")));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

#[test]
fn five_planted_errors_are_five_with_their_lines() {
    let file = "testdata/configs/invalid/five_errors.yaml";
    let problems = load_in(&run(file), &around(&[])).unwrap_err();
    let lines: Vec<Option<usize>> = problems
        .each()
        .iter()
        .map(|problem| match problem.location {
            Location::File(_, line) => line,
            _ => None,
        })
        .collect();
    assert_eq!(lines, [9, 13, 14, 24, 27].map(Some));
    assert!(
        problems
            .to_string()
            .starts_with("cannot use the configuration: it has 5 problems\n  testdata/configs/invalid/five")
    );
}

#[test]
fn text_stays_text_from_everywhere() {
    let tag = |plan: Plan| plan.candidates[0].tag.clone().unwrap();
    assert_eq!(tag(load_text(SMALL, |_, _| {}).unwrap()), "1.10");
    let set = load_text(SMALL, |invocation, _| invocation.set = vec!["nims.0.tag=1.20".into()]).unwrap();
    assert_eq!(tag(set), "1.20");
    let variables = [("DFWFD__NIMS__0__TAG", "1.30")];
    let variable = load_text(SMALL, |_, around| around.process = Environment::of(variables)).unwrap();
    assert_eq!(tag(variable), "1.30");
}

#[test]
fn flag_then_environment_then_file_then_default() {
    let text = format!("{SMALL}training_config: {{epochs: 2}}\n");
    let variables = [("DFWFD__TRAINING_CONFIG__EPOCHS", "3")];
    let epochs = |flag: bool, variable: bool, file: bool| {
        let plan = load_text(if file { &text } else { SMALL }, |invocation, around| {
            if flag {
                invocation.set = vec!["training_config.epochs=4".into()];
            }
            if variable {
                around.process = Environment::of(variables);
            }
        })
        .unwrap();
        (plan.training.epochs, plan.origins["training_config.epochs"].from)
    };
    assert_eq!(epochs(true, true, true), (4, ValueSource::Flag));
    assert_eq!(epochs(false, true, true), (3, ValueSource::Environment));
    assert_eq!(epochs(false, false, true), (2, ValueSource::File));
    assert_eq!(epochs(false, false, false), (1, ValueSource::Default));
}

#[test]
fn a_bad_override_is_told_where_it_stands() {
    let variables = [("DFWFD__TRAINING_CONFIG__EPOCHS", "many"), ("DFWFD__TRAINING__EPOCHS", "3")];
    let result = load_text(SMALL, |invocation, around| {
        invocation.set = vec!["data_split_config.eval_sise=5".into(), "gpus=0".into()];
        around.process = Environment::of(variables);
    });
    let said = said(result);
    let starts = [
        "environment variable DFWFD__TRAINING_CONFIG__EPOCHS: training_config.epochs: found \"many\"; allowed: a whole",
        "environment variable DFWFD__TRAINING__EPOCHS: training: unknown key; did you mean training_config?",
        "--set: data_split_config.eval_sise: unknown key; did you mean data_split_config.eval_size?",
        "--set: gpus: found \"0\"; allowed: a whole number from 1 to 4096",
    ];
    for start in starts {
        assert!(said.iter().any(|line| line.starts_with(start)), "{start}\nin {said:#?}");
    }
    assert_eq!(said.len(), starts.len());
}

#[test]
fn one_base_url_means_helix_and_needs_no_target() {
    let text = "nmp_config: {nemo_base_url: 'http://a/', nmp_namespace: w}\n\
                nims: [{model_name: meta/llama-3.2-1b-instruct, customization_enabled: true, base_model: shared/llama, \
                customizer_configs: {gpus: 1}}]\n";
    let plan = load_text(text, |_, _| {}).unwrap();
    assert_eq!(plan.platform.generation, Some(Generation::Helix));
    assert_eq!(plan.platform.nim_base_url, "http://a/apis/inference-gateway/v2/workspaces/w/openai/-");
    assert_eq!(plan.candidates[0].helix.base_model.as_deref(), Some("shared/llama"));
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    let pinned = text.replace("nmp_namespace: w", "generation: v1");
    assert!(load_text(&pinned, |_, _| {}).is_err(), "version 1 needs three base URLs and a target");
}

#[test]
fn defaults_are_those_of_the_reference() {
    let text = "nmp_config: {nemo_base_url: 'http://a/', nim_base_url: 'http://b', datastore_base_url: 'http://c'}\n\
                nims: [{model_name: meta/llama-3.2-1b-instruct, customization_enabled: true}]\n";
    let plan = load_text(text, |_, _| {}).unwrap();
    assert_eq!(plan.platform.kind, PlatformKind::Nemo);
    assert_eq!(plan.platform.nemo_base_url, "http://a");
    assert_eq!(plan.platform.namespace, "dfwfd");
    let split = &plan.data.split;
    assert_eq!((split.eval_size, split.val_ratio, split.min_total_records), (100, 0.1, 50));
    assert_eq!((split.random_seed, split.limit), (42, None));
    assert_eq!((split.stratify_enabled, split.min_samples_per_class, split.rare_class_threshold), (true, 2, 1));
    let training = &plan.training;
    assert_eq!((training.training_type.as_str(), training.finetuning_type.as_str()), ("sft", "lora"));
    assert_eq!((training.epochs, training.batch_size, training.learning_rate), (1, 64, 1e-4));
    assert_eq!((training.adapter_dim, training.adapter_dropout, training.sequence_packing_enabled), (16, 0.1, true));
    let limits = plan.limits;
    let minutes = [limits.deploy_ms, limits.train_ms, limits.evaluate_ms, limits.adapter_ms, limits.release_ms]
        .map(|ms| ms / 60_000);
    assert_eq!((minutes, limits.settle_ms), ([180, 720, 120, 30, 5], 60_000));
    assert_eq!((plan.gpus, plan.log_level), (None, LogLevel::Info));
    assert_eq!(plan.data.workload_type, TypeChoice::Classification);
    let candidate = &plan.candidates[0];
    assert_eq!((candidate.context_length, candidate.gpus), (8192, 1));
    assert_eq!(candidate.customizer.as_ref().unwrap().target.as_deref(), Some("meta/llama-3.2-1b-instruct@2.0"));
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    assert_eq!(plan.origins["data_split_config.eval_size"].from, ValueSource::Default);
}

#[test]
fn a_seed_of_null_is_drawn_and_recorded() {
    let text = format!("{SMALL}data_split_config: {{random_seed: null}}\n");
    let plan = load_text(&text, |_, around| around.drawn_seed = 1234).unwrap();
    assert_eq!(plan.data.split.random_seed, 1234);
    assert_eq!(plan.origins["data_split_config.random_seed"].value, "1234 (drawn)");
}

#[test]
fn what_a_file_of_nvidia_says_in_vain_is_warned_about_once_each() {
    let warnings = |name: &str| {
        let plan = load_in(&run(format!("testdata/configs/valid/{name}.yaml")), &around(&[])).unwrap();
        plan.warnings.iter().map(|text| text.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(warnings("financial"), ["mlflow_config"]);
    let told = ["icl_config.max_context_length", "llm_judge_config"];
    assert_eq!(warnings("blueprint"), told);
    assert_eq!(warnings("blueprint_local_judge"), ["icl_config.similarity_config.embedding_nim_config.api_key"]);
}

#[test]
fn a_rehearsal_takes_any_model_and_needs_no_cluster() {
    let text = "nims: [{model_name: meta/llama-3.2-1b-instruct}]\n";
    let plan = load_text(text, |invocation, _| invocation.rehearse = true).unwrap();
    assert_eq!((plan.platform.kind, plan.rehearse), (PlatformKind::Embedded, true));
    assert_eq!(plan.origins["nmp_config.platform"].from, ValueSource::Flag);
}

#[test]
fn only_takes_some_and_names_those_there_are() {
    let only = |name: &str| load_in(&Invocation { only: vec![name.into()], ..run("flywheel.yaml") }, &around(&[]));
    assert_eq!(only("dfwfd/ngram-large").unwrap().candidates.len(), 1);
    assert_eq!(said(only("large")), ["--only: found \"large\"; allowed: dfwfd/ngram-small, dfwfd/ngram-large"]);
}

#[test]
fn records_are_chosen_by_flags() {
    let logs = Path::new(ROOT).join("testdata");
    let plan = load_text(SMALL, |invocation, around| {
        around.cwd = logs.clone();
        invocation.logs = vec!["news_logs.jsonl".into()];
        invocation.workload = Some("w".into());
        invocation.since = Some("7d".into());
        invocation.until = Some("2025-06-09".into());
    })
    .unwrap();
    assert_eq!(plan.data.input, LogSource::Files(vec![logs.join("news_logs.jsonl")]));
    assert_eq!((plan.data.filter.since, plan.data.filter.until), (Some(1_748_908_800), Some(1_749_427_200)));
    assert_eq!(plan.origins["since"].value, "2025-06-03T00:00:00Z");

    let stdin = load_text(SMALL, |invocation, _| invocation.logs = vec!["-".into()]).unwrap();
    assert_eq!(stdin.data.input, LogSource::Stdin);

    let result = load_text(SMALL, |invocation, around| {
        around.cwd = logs.clone();
        invocation.logs = vec!["-".into(), "nowhere.jsonl".into()];
        invocation.since = Some("soon".into());
    });
    let lines = said(result);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    let result = load_text(SMALL, |invocation, _| {
        invocation.since = Some("1d".into());
        invocation.until = Some("2d".into());
    });
    assert_eq!(said(result), ["--until: must be later than --since"]);
}

#[test]
fn loading_does_not_need_the_files_that_are_read() {
    let store = Invocation { need: Need::Store, ..run("flywheel.yaml") };
    let plan = load_in(&store, &around(&[])).unwrap();
    assert!(matches!(plan.data.input, LogSource::Files(_)));
    let told = Invocation { set: vec!["logs.source=local".into()], ..store };
    let plan = load_in(&told, &around(&[])).unwrap();
    assert_eq!(plan.data.input, LogSource::Local(Path::new(ROOT).join(".dfwfd/logs")));
}

#[test]
fn what_a_command_does_not_need_may_be_missing() {
    let cwd = tempfile::tempdir().unwrap();
    let around = Surroundings { cwd: cwd.path().to_owned(), ..around(&[]) };
    for need in [Need::Settings, Need::Store, Need::Data] {
        let plan = load_in(&Invocation { need, ..Invocation::default() }, &around).unwrap();
        assert_eq!(plan.config_file, None);
        assert_eq!(plan.state_dir, cwd.path().join(".dfwfd"));
    }
    let problems = load_in(&Invocation { need: Need::Candidates, ..Invocation::default() }, &around).unwrap_err();
    assert_eq!(problems.each().len(), 1, "{problems}");
    assert!(problems.hint().unwrap().contains("dfwfd init"), "{problems}");
    let gone = Invocation { config: Some("gone.yaml".into()), ..Invocation::default() };
    assert!(load_in(&gone, &around).unwrap_err().to_string().contains("gone.yaml: cannot read the file"));
}

#[test]
fn no_secret_is_in_a_plan_or_a_problem() {
    let secret = "hunter2hunter2";
    let text = format!(
        "{SMALL}llm_judge_config: {{api_key: {secret}}}\nembedding_nim_config: {{api_key: [{secret}]}}\n\
         icl_config: {{similarity_config: {{embedding_nim_config: {{api_kee: {secret}}}}}}}\n"
    );
    let problems = load_text(&text, |_, _| {}).unwrap_err();
    assert!(!problems.to_string().contains(secret), "{problems}");
    let text = format!("{SMALL}llm_judge_config: {{api_key: {secret}}}\n");
    let plan = load_text(&text, |_, around| around.process = Environment::of([("NEMO_TOKEN", secret)])).unwrap();
    assert!(!format!("{plan:?}").contains(secret));
}

#[test]
fn a_plan_is_read_back_as_it_was_stored() {
    let variables = [("NEMO_TOKEN", "a"), ("DESK_TOKEN", "b")];
    let plan = load_in(&run("testdata/configs/valid/everything.yaml"), &around(&variables)).unwrap();
    let stored = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&stored).unwrap(), plan);
    assert_eq!(plan.candidates[1].tag.as_deref(), Some("1.10"));
    assert_eq!(plan.candidates[1].customizer.as_ref().unwrap().gpus, 2);
    assert_eq!(plan.platform.nim_parallelism, Some(2));
    assert_eq!(plan.data.labels.allowed.as_ref().unwrap()[2], "2025");
    assert_eq!(plan.limits.deploy_ms, 5_400_000);
}

#[test]
fn the_reference_describes_every_key_with_its_default() {
    let reference = std::fs::read_to_string(Path::new(ROOT).join("docs/configuration.md")).unwrap();
    let row = |path: &str| {
        let start = format!("| `{path}` |");
        let row = reference.lines().find(|line| line.starts_with(&start));
        row.unwrap_or_else(|| panic!("docs/configuration.md has no row for {path}"))
    };
    for path in schema::paths() {
        let default = defaults::default_of(&path.replace(".N", ".0"))
            .map_or("|".to_owned(), |default| format!("| `{default}` |"));
        assert!(row(&path).contains(&default), "the row of {path} does not have the default {default}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        lines in prop::collection::vec(
            ("( {0,4}|- |  - )", prop::sample::select(schema::paths()), "(: |:|: &a |: \\*a |: \\[|: \\{)", "[-0-9a-z.'\"~!/@{}\\[\\],]{0,12}"),
            0..12,
        )
    ) {
        let text: String = lines
            .iter()
            .map(|(indent, path, colon, value)| {
                format!("{indent}{}{colon}{value}\n", path.rsplit('.').next().unwrap_or_default())
            })
            .collect();
        let _ = load_text(&text, |_, _| {});
    }

    #[test]
    fn nor_does_any_other(text in "\\PC{0,60}(\n\\PC{0,40}){0,6}") {
        let _ = load_text(&text, |_, _| {});
    }

    #[test]
    fn no_override_makes_it_panic(set in "[a-z_.0-9=\\[\\]{}:]{0,30}", value in "[-a-z0-9.\\[\\]{}:, ]{0,12}", path in prop::sample::select(schema::paths())) {
        let sets = vec![set, format!("{}={value}", path.replace(".N", ".0"))];
        let _ = load_text(SMALL, |invocation, _| invocation.set = sets);
    }
}
