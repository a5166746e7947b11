//! Runs that also evaluate base models with examples in the prompt, for both types of workload.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::control::{Home, Platform, until};
use super::openai::{Answer, Asked, OpenAi};
use crate::harness::{Output, files_below, testdata};

const KEY: &str = "k3y-of-the-embedder";

const WITH_EXAMPLES: [&str; 2] = ["--set", "icl_config.max_examples=3"];

/// Returns the rows of a file in the folder of a run.
fn rows(home: &Home, report: &Value, file: &str) -> Vec<Value> {
    let path = home.state.join("runs").join(report["run"].as_str().unwrap()).join(file);
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the questions of the examples in each prompt of the eval set with examples.
fn shown(home: &Home, report: &Value) -> Vec<Vec<String>> {
    let questions = |row: Value| {
        let system = row["request"]["messages"][0]["content"].as_str().unwrap().to_owned();
        system.lines().filter_map(|line| line.strip_prefix("user: ").map(str::to_owned)).collect()
    };
    rows(home, report, "icl/eval_data.jsonl").into_iter().map(questions).collect()
}

/// Checks that every example is a training row, and returns the different questions.
fn of_training_rows(home: &Home, report: &Value) -> BTreeSet<String> {
    let train: BTreeSet<String> = rows(home, report, "train/training/train_data.jsonl")
        .iter()
        .flat_map(|row| row["messages"].as_array().unwrap().clone())
        .filter(|message| message["role"] == "user")
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect();
    let shown: BTreeSet<String> = shown(home, report).into_iter().flatten().collect();
    assert!(shown.is_subset(&train), "{:?}", shown.difference(&train));
    shown
}

fn pairs(report: &Value) -> Vec<(String, String)> {
    let name = |value: &Value| value.as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    report["comparisons"].as_array().unwrap().iter().map(|one| (name(&one["a"]), name(&one["b"]))).collect()
}

#[test]
fn a_classification_is_evaluated_with_examples_of_its_training_rows() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    let output = platform.dfwfd(&home, &[&["run", "--format", "json"], &WITH_EXAMPLES[..]].concat()).expect(0);
    output.says("examples done").says("evaluate with examples done");
    let report = output.json();
    let evaluations = &report["candidates"][0]["evaluations"];
    let (base, icl) = (&evaluations["base"], &evaluations["icl"]);
    assert_eq!((&icl["rows"], &icl["state"]), (&json!(20), &json!("completed")), "{icl}");
    assert_ne!(base["scores"]["macro_f1"], icl["scores"]["macro_f1"], "the student takes the examples into account");
    // Three classes share three places, and every row shows the same examples.
    let each = shown(&home, &report);
    assert_eq!((each.len(), each[0].len()), (20, 3));
    assert!(each.iter().all(|row| *row == each[0]));
    of_training_rows(&home, &report);
    let ids = |variant: &str| -> Vec<Value> {
        let rows = rows(&home, &report, &format!("rows/ngram-small-{variant}.jsonl"));
        rows.into_iter().map(|row| row["id"].clone()).collect()
    };
    assert!(ids("base").iter().all(|id| id.as_str().is_some_and(|id| id.len() == 32)));
    assert_eq!(ids("icl"), ids("base"), "examples make no other record of a row");
    // The rows with examples are scored, and their texts are those of the eval set.
    let plain = rows(&home, &report, "eval/eval_data.jsonl");
    for (with, plain) in rows(&home, &report, "icl/eval_data.jsonl").iter().zip(&plain) {
        assert_eq!(
            (&with["response"], &with["request"]["messages"][1]),
            (&plain["response"], &plain["request"]["messages"][1])
        );
        let (with, plain) = (&with["request"]["messages"][0], &plain["request"]["messages"][0]);
        assert!(with["content"].as_str().unwrap().ends_with(plain["content"].as_str().unwrap()));
    }
    let told = ["base", "base", "icl"].into_iter().zip(["icl", "customized", "customized"]);
    let told: Vec<(String, String)> = told.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    assert_eq!(pairs(&report)[..3], told);
    assert!(report["verdict"]["sentence"].as_str().unwrap().contains("its base with examples"), "{report:#}");
    let run = report["run"].as_str().unwrap();
    let shown = platform.dfwfd(&home, &["status", run]).expect(0).stdout;
    assert!(shown.contains("with examples"), "{shown}");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    platform.dfwfd(&home, &["cleanup", run, "--purge"]).expect(0);
    assert_eq!(platform.purgeable(), Vec::<String>::new());
}

#[test]
fn tool_calls_are_evaluated_with_examples_whose_arguments_help() {
    let home = Home::new(1, "1");
    std::fs::copy(testdata("tools_logs.jsonl"), home.folder().join("logs.jsonl")).unwrap();
    let platform = Platform::start(&["--gpus", "1"]);
    let settings = ["--set", "icl_config.max_examples=6", "--set", "evaluation_config.workload_type=tool_calling"];
    let report = platform.dfwfd(&home, &[&["run", "--format", "json"], &settings[..]].concat()).expect(0).json();
    let score = |which: &str| {
        let scores = &report["candidates"][0]["evaluations"][which]["scores"];
        scores["name_and_arguments_accuracy"]["value"].as_f64().unwrap()
    };
    assert!(score("base") < score("icl"), "{report:#}");
    // Six functions share six places.
    assert_eq!(of_training_rows(&home, &report).len(), 6);
}

#[test]
fn a_row_without_room_is_evaluated_as_it_is_and_counted() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    let tight = ["--set", "icl_config.max_context_length=200", "--set", "icl_config.reserved_tokens=190"];
    let report = platform.dfwfd(&home, &[&["run", "--format", "json"], &tight[..]].concat()).expect(0).json();
    let evaluations = &report["candidates"][0]["evaluations"];
    assert_eq!(evaluations["icl"]["scores"], evaluations["base"]["scores"]);
    assert_eq!(rows(&home, &report, "icl/eval_data.jsonl"), rows(&home, &report, "eval/eval_data.jsonl"));
    let told = "20 of 20 eval rows have room for fewer than 1 examples (icl_config.min_examples)";
    assert!(report["warnings"].to_string().contains(told), "{}", report["warnings"]);
}

#[test]
fn a_killed_run_resumes_with_the_same_examples() {
    let wanted = {
        let home = Home::new(1, "8");
        Platform::start(&[]).dfwfd(&home, &[&["run", "--format", "json"], &WITH_EXAMPLES[..]].concat()).expect(0).json()
    };
    let (home, platform) = (Home::new(1, "8"), Platform::start(&[]));
    // The run dies before the first dataset is registered, and makes the one with examples only later.
    platform.hold_first("POST /nemo/v1/datasets");
    let running = platform.command(&home, &[&["run"], &WITH_EXAMPLES[..]].concat()).spawn();
    until("the first dataset", || platform.calls().1.then_some(()));
    running.kill();
    platform.release();
    let report = platform.dfwfd(&home, &["run", "--resume", "--format", "json"]).expect(0).json();
    for which in ["base", "icl", "customized"] {
        let scores = |report: &Value| report["candidates"][0]["evaluations"][which]["scores"].clone();
        assert_eq!(scores(&report), scores(&wanted), "{which}");
    }
    platform.dfwfd(&home, &["cleanup", report["run"].as_str().unwrap(), "--purge"]).expect(0);
    assert_eq!(platform.purgeable(), Vec::<String>::new());
}

#[test]
fn a_plan_says_that_examples_are_evaluated_and_how_they_are_chosen() {
    let (home, platform) = (Home::new(1, "8"), Platform::start(&[]));
    let plan = |more: &[&str]| platform.dfwfd(&home, &[&["run", "--plan"], more].concat()).expect(0);
    let json = |more: &[&str]| plan(&[more, &["--format", "json"]].concat()).json()["examples"].clone();
    assert_eq!(json(&[]), Value::Null);
    let uniform = json!({"most": 3, "selection": "uniform_distribution", "model": null});
    assert_eq!(json(&WITH_EXAMPLES), uniform);
    let page = plan(&WITH_EXAMPLES).stdout;
    assert!(page.contains("examples: each base model is also evaluated with up to 3 training rows"), "{page}");
    let settings = similar(&["model_name=acme/embed-1b"]);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let near = json!({"most": 3, "selection": "semantic_similarity", "model": "acme/embed-1b"});
    assert_eq!(json(&settings), near);
    assert!(plan(&settings).stdout.contains("acme/embed-1b"));
}

#[test]
fn impossible_rules_are_refused() {
    let home = Home::new(1, "8");
    for (set, told) in [
        ("icl_config.reserved_tokens=8192", "less than 8192"),
        ("icl_config.min_examples=4", "at most 3"),
        ("icl_config.example_selection=random", "uniform_distribution"),
    ] {
        home.command(&["run", "--plan", "--set", set]).run().expect(2).says(told);
    }
}

const NIM: &str = "icl_config.similarity_config.embedding_nim_config";

/// The settings of a run whose examples are chosen by an embedding model of these settings.
fn similar(model: &[&str]) -> Vec<String> {
    let mut settings = vec!["--set".to_owned(), "icl_config.example_selection=semantic_similarity".to_owned()];
    settings.extend(model.iter().flat_map(|set| ["--set".to_owned(), format!("{NIM}.{set}")]));
    settings
}

fn run(platform: &Platform, home: &Home, settings: &[String]) -> Output {
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let command = platform.command(home, &[&["run", "--format", "json", "-vv"], &settings[..]].concat());
    command.env("EMB_API_KEY", KEY).run()
}

#[test]
fn the_nearest_examples_are_found_by_a_nim_that_is_gone_before_the_candidates_start() {
    let home = Home::new(1, "1");
    let platform = Platform::start(&["--gpus", "1"]);
    platform.hold_first("POST /nemo/v1/customization/jobs");
    let settings = similar(&["model_name=acme/embed-1b"]);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let running = platform.command(&home, &[&["run", "--format", "json"], &settings[..]].concat()).spawn();
    until("the training", || platform.calls().1.then_some(()));
    let (_, _, calls) = platform.calls();
    let place = |start: &str| calls.iter().position(|call| call.starts_with(start));
    let embedded = place("POST /nim/v1/embeddings").expect("the questions are embedded");
    assert!(
        place("POST /nemo/v1/deployment/model-deployments").is_some_and(|deployed| deployed < embedded),
        "{calls:?}"
    );
    assert_eq!(platform.gpus_held(), Vec::<String>::new(), "one GPU is enough");
    platform.release();
    let output = running.wait().expect(0);
    let report = output.json();
    for step in ["deploy embedding model", "embed questions", "undeploy embedding model"] {
        let lines: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with(&format!("{step} done"))).collect();
        assert_eq!(lines.len(), 1, "{step}: {lines:?}");
    }
    let each = shown(&home, &report);
    assert!(each.iter().all(|row| row.len() == 3) && each.iter().any(|row| *row != each[0]), "{each:?}");
    of_training_rows(&home, &report);
    // The first example is the training row that shares most words with the question.
    let asked = rows(&home, &report, "eval/eval_data.jsonl");
    let words = |text: &str| -> BTreeSet<String> { text.split(' ').map(str::to_owned).collect() };
    let shared = |row: &Value, other: &str| {
        words(row["request"]["messages"][1]["content"].as_str().unwrap()).intersection(&words(other)).count()
    };
    let near: usize = asked.iter().zip(&each).map(|(row, shown)| shared(row, &shown[0])).sum();
    let last: usize = asked.iter().zip(&each).map(|(row, shown)| shared(row, &shown[2])).sum();
    assert!(near > last, "{near} {last}");
    platform.dfwfd(&home, &["cleanup", report["run"].as_str().unwrap(), "--purge"]).expect(0);
    assert_eq!(platform.purgeable(), Vec::<String>::new());
    platform
        .dfwfd(&home, &[&["run", "--set", &format!("{NIM}.gpus=2")], &settings[..]].concat())
        .expect(2)
        .says("acme/embed-1b");
}

/// Embeds texts by their letters, and answers the last text first.
fn by_letters(asked: &Asked, _: usize) -> Answer {
    let vector = |text: &Value| {
        let mut counts = [0.0; 26];
        let letters = text.as_str().unwrap().bytes().filter(u8::is_ascii_alphabetic);
        letters.for_each(|letter| counts[usize::from(letter.to_ascii_lowercase() - b'a')] += 1.0);
        counts.to_vec()
    };
    let texts = asked.body["input"].as_array().unwrap().iter().enumerate().rev();
    let data: Vec<Value> = texts.map(|(index, text)| json!({"index": index, "embedding": vector(text)})).collect();
    (200, json!({"object": "list", "data": data}))
}

#[test]
fn a_remote_embedding_model_is_asked_with_its_key_which_shows_nowhere() {
    let model = OpenAi::start(by_letters);
    let url = format!("url={}", model.url().replace("/chat/completions", ""));
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    let output = run(&platform, &home, &similar(&[&url, "model_name=e"]));
    let report = output.code(0).json();
    of_training_rows(&home, &report);
    let asked = model.asked();
    let train = rows(&home, &report, "train/training/train_data.jsonl").len();
    // Before anything is made, the model is asked for one word.
    assert_eq!(asked[0].body["input"], json!(["hello"]));
    assert_eq!(asked.len(), 2 + train.div_ceil(32));
    for asked in &asked {
        assert_eq!((asked.line.as_str(), &asked.body["input_type"]), ("POST /v1/embeddings", &json!("query")));
        assert_eq!((asked.authorization.as_str(), &asked.body["model"]), (&*format!("Bearer {KEY}"), &json!("e")));
    }
    assert!(!output.to_string().contains(KEY));
    for (path, bytes) in files_below(home.folder()) {
        assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "{}", path.display());
    }
    // An endpoint of OpenAI's does not know the key.
    run(&platform, &home, &similar(&[&url, "model_name=e", "input_type=null"])).code(0);
    assert_eq!(model.asked().last().unwrap().body.get("input_type"), None);
}

#[test]
fn an_embedding_model_that_refuses_or_answers_nonsense_ends_the_run() {
    for (answer, told) in [
        ((401, json!({"error": {"message": "no key"}})), "401"),
        ((200, json!({"data": []})), "not one embedding for each text"),
        ((200, json!({"data": [{"embedding": []}]})), "not one embedding for each text"),
    ] {
        let model = OpenAi::start(move |_, _| answer.clone());
        let url = format!("url={}", model.url().replace("/chat/completions", "/embeddings"));
        let home = Home::new(1, "8");
        let platform = Platform::start(&[]);
        let output = run(&platform, &home, &similar(&[&url, "model_name=e"]));
        output.says("cannot embed texts with e").says(told).hints();
        assert_eq!(platform.purgeable(), Vec::<String>::new(), "nothing is made for a model that does not answer");
        assert_ne!(output.code, Some(0));
        assert_eq!(platform.gpus_held(), Vec::<String>::new());
    }
    let home = Home::new(1, "8");
    home.command(&["run", "--plan", "--set", "icl_config.example_selection=semantic_similarity"])
        .run()
        .expect(2)
        .says("model_name");
}

/// Returns records of 60 questions, each asked in two conversations that begin otherwise: no group holds both.
fn asked_twice() -> String {
    let record = |at: usize| {
        let (n, begin) = (at % 60, ["Hello", "GOOD day"][at / 60]);
        let word = |of: usize| char::from(b'a' + (n / of % 5) as u8).to_string().repeat(4);
        let question = format!("{} {} {} of the desk", word(1), word(5), word(25));
        let question = if at < 60 { question } else { format!(" {}", question.to_uppercase()) };
        let label = ["Up", "Down"][n % 2];
        json!({
            "timestamp": 1_700_000_000 + at, "workload_id": "w", "client_id": "c",
            "request": {"model": "teacher", "messages": [
                {"role": "user", "content": format!("{begin} {}", word(1) + &word(5) + &word(25))},
                {"role": "assistant", "content": "Yes?"},
                {"role": "user", "content": question},
            ]},
            "response": {"choices": [{"message": {"role": "assistant", "content": format!("[[[{label}]]]")}}]},
        })
    };
    (0..120).map(|at| format!("{}\n", record(at))).collect()
}

#[test]
fn no_row_sees_its_own_question_from_another_conversation() {
    let model = OpenAi::start(by_letters);
    let url = format!("url={}", model.url().replace("/chat/completions", ""));
    let home = Home::new(1, "8");
    std::fs::write(home.folder().join("logs.jsonl"), asked_twice()).unwrap();
    let platform = Platform::start(&[]);
    let report = run(&platform, &home, &similar(&[&url, "model_name=e"])).code(0).json();
    let asked = rows(&home, &report, "eval/eval_data.jsonl");
    let question = |row: &Value| row["request"]["messages"][2]["content"].as_str().unwrap().trim().to_lowercase();
    let train: BTreeSet<String> = rows(&home, &report, "train/training/train_data.jsonl")
        .iter()
        .map(|row| row["messages"][2]["content"].as_str().unwrap().trim().to_lowercase())
        .collect();
    let twins = asked.iter().filter(|row| train.contains(&question(row))).count();
    assert!(twins > 0, "the training set has the questions of eval rows");
    let each = shown(&home, &report);
    assert!(each.iter().any(|row| !row.is_empty()));
    for (row, shown) in asked.iter().zip(&each) {
        let shown: Vec<String> = shown.iter().map(|text| text.trim().to_lowercase()).collect();
        assert!(!shown.contains(&question(row)), "{} {shown:?}", question(row));
    }
}
