//! Tests the judge of tool calls: both spellings, missing keys, and the API key, which is in no plan.

use super::*;

/// Adds tool calls and this judge to `SMALL`.
fn judged(judge: &str) -> String {
    format!(
        "{SMALL}evaluation_config: {{workload_type: tool_calling, tool_eval_type: tool-calling-judge}}\n\
         llm_judge_config: {judge}\n"
    )
}

fn judge_of(judge: &str, variables: &[(&str, &str)]) -> Result<Plan, Problems> {
    load_text(&judged(judge), |_, around| around.process = Environment::of(variables.iter().copied()))
}

const REMOTE: &str = "{url: 'https://judge.test/v1', model_name: j, gpus: 8}";

#[test]
fn a_judge_is_read_in_both_spellings() {
    let local = judge_of("{model_name: dfwfd/ngram-large, gpus: 2, tag: 1.20}", &[]).unwrap().judge.unwrap();
    let nim = |gpus, tag: &str| {
        let (pvc_size, registry_base) = (Some("25Gi".to_owned()), Some("nvcr.io/nim".to_owned()));
        ServicePlace::Local(LocalService { gpus, pvc_size, tag: Some(tag.to_owned()), registry_base })
    };
    assert_eq!((local.place, local.model_name.as_str()), (nim(2, "1.20"), "dfwfd/ngram-large"));
    let remote = |key| JudgePlan {
        model_name: "j".to_owned(),
        place: ServicePlace::Remote { url: "https://judge.test/v1".to_owned(), key },
    };
    let usual = ServiceKey::Variables(vec!["LLM_JUDGE_API_KEY".to_owned(), "NVIDIA_API_KEY".to_owned()]);
    assert_eq!(judge_of(REMOTE, &[]).unwrap().judge, Some(remote(usual)));
    let older = "{type: remote, url: 'https://judge.test/v1', model_id: j, api_key_env: OWN_KEY}";
    let plan = judge_of(older, &[("OWN_KEY", "s3cr3t")]).unwrap();
    assert_eq!(plan.judge, Some(remote(ServiceKey::Variables(vec!["OWN_KEY".to_owned()]))));
    assert!(plan.warnings[0].contains("older spelling"), "{:?}", plan.warnings);
    assert!(said(judge_of(older, &[]))[0].contains("OWN_KEY is not set"));
}

#[test]
fn a_judge_is_only_read_where_tool_calls_are_judged() {
    let without = |evaluation: &str| {
        let text = format!("{SMALL}evaluation_config: {{{evaluation}}}\nllm_judge_config: {REMOTE}\n");
        load_text(&text, |_, _| {}).unwrap()
    };
    for evaluation in [
        "workload_type: classification, tool_eval_type: tool-calling-judge",
        "workload_type: tool_calling, tool_eval_type: tool-calling-metric",
        "workload_type: tool_calling, tool_eval_type: null",
    ] {
        let plan = without(evaluation);
        assert_eq!((plan.judge, plan.text_judge, plan.warnings), (None, None, Vec::new()), "{evaluation}");
        assert!(!plan.origins.keys().any(|key| key.starts_with("llm_judge_config")), "{evaluation}");
    }
    let auto = without("workload_type: auto, tool_eval_type: tool-calling-judge");
    assert!(auto.judge.is_some() && auto.judge == auto.text_judge, "the records decide");
    // Texts are judged wherever a judge is given.
    for evaluation in ["workload_type: auto", "workload_type: text"] {
        let plan = without(evaluation);
        assert!(plan.judge.is_none() && plan.text_judge.is_some(), "{evaluation}");
    }
    // Datasets need no judge.
    let split = load_text(&judged("{}"), |invocation, _| invocation.need = Need::Data).unwrap();
    assert_eq!(split.judge, None);
}

#[test]
fn what_a_judge_lacks_is_told() {
    let evaluation = "evaluation_config: {workload_type: tool_calling, tool_eval_type: tool-calling-judge}";
    let cases = [
        (format!("{SMALL}{evaluation}\n"), "llm_judge_config: missing; needed: the model that judges"),
        (judged("{deployment_type: remote, model_name: j}"), "llm_judge_config.url: missing"),
        (judged("{url: 'https://judge.test/v1'}"), "llm_judge_config.model_name: missing"),
        (
            judged("{model_name: meta/llama}"),
            "llm_judge_config.model_name: found the text \"meta/llama\"; allowed: dfwfd/",
        ),
        (judged("{model_name: a b}"), "llm_judge_config.model_name: found"),
        (
            judged("{model_name: dfwfd/ngram-large, gpus: 4}\ngpus: 4"),
            "llm_judge_config.gpus: found 4 GPUs for the judge; allowed: at most 3",
        ),
    ];
    for (text, expected) in cases {
        let said = said(load_text(&text, |_, _| {}));
        assert!(said.len() == 1 && said[0].contains(expected), "{expected}\n{said:?}");
    }
}

#[test]
fn a_rehearsal_asks_no_remote_judge() {
    let text = judged(REMOTE);
    let plan = load_text(&text, |invocation, _| invocation.rehearse = true).unwrap();
    let judge = plan.judge.unwrap();
    assert_eq!((judge.gpus(), matches!(judge.place, ServicePlace::Local(_))), (0, true));
}

#[test]
fn the_key_of_a_judge_is_found_and_in_no_plan() {
    let written = judged("{url: 'https://judge.test/v1', model_name: j, api_key: s3cr3t}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(locate::NAME);
    std::fs::write(&file, &written).unwrap();
    let around = Surroundings { cwd: folder.path().to_owned(), ..around(&[]) };
    let plan = load_in(&run(file), &around).unwrap();
    assert!(plan.warnings.iter().any(|warning| warning.contains("plain text")), "{:?}", plan.warnings);
    assert_eq!(plan.origins["llm_judge_config.api_key"].value, "****");
    assert!(!serde_json::to_string(&plan).unwrap().contains("s3cr3t"));
    let nothing = Environment::default();
    assert_eq!(judge_key(&plan, &[], &nothing).as_deref(), Some("s3cr3t"));
    let set = ["llm_judge_config.api_key=other".to_owned()];
    assert_eq!(judge_key(&plan, &set, &nothing).as_deref(), Some("other"));
    // The file may have changed since the run started. The environment may still hold the key.
    std::fs::write(folder.path().join(locate::NAME), "nims: [").unwrap();
    assert_eq!(judge_key(&plan, &[], &nothing), None);
    let variables = Environment::of([("LLM_JUDGE_API_KEY", "again")]);
    assert_eq!(judge_key(&plan, &[], &variables).as_deref(), Some("again"));

    let variables = [("NVIDIA_API_KEY", "n3v3r"), ("LLM_JUDGE_API_KEY", "s3cr3t")];
    let plan = judge_of(REMOTE, &variables).unwrap();
    assert_eq!(plan.origins["llm_judge_config.api_key"].value, "**** (LLM_JUDGE_API_KEY)");
    assert_eq!(judge_key(&plan, &[], &Environment::of(variables)).as_deref(), Some("s3cr3t"));
    assert!(!serde_json::to_string(&plan).unwrap().contains("s3cr3t"));
    assert_eq!(judge_key(&plan, &[], &nothing), None);
}

#[test]
fn a_candidate_that_judges_itself_is_worth_a_word() {
    let text =
        judged("{model_name: meta/llama-3.2-1b-instruct}").replace("dfwfd/ngram-small", "meta/llama-3.2-1b-instruct");
    let plan = load_text(&text, |invocation, _| invocation.rehearse = true).unwrap();
    assert!(plan.warnings[0].contains("judges its own replies"), "{:?}", plan.warnings);
}
