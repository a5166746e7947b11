//! The longer checks against a real NeMo Helix, which `.ci/full` runs: stops in each phase, failing trainings and
//! endpoints, tool calls with a judge, and base models that runs share. `kills.rs` has the kills.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Folder, request, testdata};
use crate::hub;
use crate::openai::{Asked, OpenAi, says};
use crate::platform::{ENTITY, Platform, Started};
use crate::proxy::{Fate, ProxiedRequest, Proxy};

/// Checks that a run holds nothing, and that purging it leaves nothing.
fn nothing_is_left(platform: &Platform, folder: &Folder, report: &Value) {
    assert_eq!(report["held"], json!([]), "{report:#}");
    for list in ["models/deployments/", "models/deployment-configs/", "deployments/"] {
        assert!(!platform.made().iter().any(|one| one.starts_with(list)), "{list} of {:#?}", platform.made());
    }
    folder.dfwfd(["cleanup", report["run"].as_str().unwrap(), "--purge"]).run().code(0);
    assert_eq!(platform.made(), Vec::<String>::new());
}

/// Interrupts a run once there are so many things in a list.
fn stopped_once(phase: &str, service: &str, list: &str, count: usize) {
    let Some(platform) = Platform::of(&format!("stop-{phase}")) else { return };
    let folder = platform.folder();
    let mut running = folder.dfwfd(["run", "--format", "json"]).spawn();
    platform.wait_for(service, list, count, &mut running);
    running.signal(Signal::INT);
    let output = running.wait();
    let report = output.code(130).json();
    assert_eq!(report["state"], "cancelled", "{phase}: {report:#}");
    nothing_is_left(&platform, &folder, &report);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_run_that_is_stopped_while_it_deploys_holds_nothing() {
    stopped_once("deploy", "models", "deployments", 1);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_run_that_is_stopped_while_it_evaluates_the_base_model_holds_nothing() {
    stopped_once("base", "evals", "evaluate/jobs", 1);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_run_that_is_stopped_while_it_trains_holds_nothing() {
    stopped_once("train", "customization", "automodel/jobs", 1);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_run_that_is_stopped_while_it_evaluates_the_customized_model_holds_nothing() {
    stopped_once("customized", "evals", "evaluate/jobs", 2);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_training_that_fails_is_told_with_the_reason_of_the_platform() {
    let Some(failing) = Started::start("failing", "failing") else { return };
    let platform = Platform::at(&failing.url, "failing");
    let folder = platform.folder();
    let output = folder.dfwfd(["run", "--format", "json"]).run();
    output.code(1).says("Training failed: CUDA out of memory (stand-in)");
    let report = output.json();
    assert_eq!((&report["state"], &report["candidates"][0]["state"]), (&json!("failed"), &json!("failed")));
    // The base model has its scores all the same.
    assert_eq!(report["candidates"][0]["evaluations"]["base"]["rows"], 12);
    nothing_is_left(&platform, &folder, &report);
}

#[test]
#[ignore = ".ci/full runs it"]
fn an_endpoint_that_dies_is_told_and_nothing_is_held() {
    let Some(platform) = Platform::of("dead") else { return };
    // The endpoint is taken away before the first evaluation, whose job needs some seconds until it asks.
    let (address, deployments) = (platform.address, platform.path("models", "deployments"));
    let mut alive = true;
    let proxy = Proxy::before(platform.address, move |sent: &ProxiedRequest<'_>| {
        if alive && sent.line.starts_with("POST ") && sent.line.contains("/evaluate/jobs ") {
            alive = false;
            let (_, there) = request(address, "GET", &deployments, None);
            let place = format!("{deployments}/{}", there["data"][0]["name"].as_str().unwrap());
            assert_eq!(request(address, "DELETE", &place, None).0, 202);
        }
        Fate::Pass
    });
    let folder = platform.folder_at(&proxy.url(), "limits: {adapter: 20s}\n");
    let output = folder.dfwfd(["run", "--format", "json"]).run();
    output.code(1).says("none of the 12 rows has a reply").says("the first reason: ");
    let report = output.json();
    assert_eq!(report["state"], "failed");
    nothing_is_left(&platform, &folder, &report);
}

/// Returns a log of calls of two functions whose arguments have other names, so that a table of them has gaps. The callers
/// differ, and most questions about one place or share are answered by the same call.
fn calls() -> String {
    let functions = [("exchange_status", "exchange", "string"), ("share_price", "days", "integer")];
    let tools: Vec<Value> = functions
        .iter()
        .map(|(name, key, kind)| {
            let parameters = json!({"type": "object", "properties": {*key: {"type": kind}}});
            json!({"type": "function", "function": {"name": name, "description": name, "parameters": parameters}})
        })
        .collect();
    let callers = ["Arlo", "Brisk", "Corda", "Dunmore", "Elvan", "Farrow", "Gantry", "Holt", "Isham", "Juno"];
    let mut log = String::new();
    for (at, caller) in callers.iter().enumerate() {
        for place in ["Oslo", "Lima", "Kyoto"] {
            for (user, name, arguments) in [
                (format!("{caller} asks whether the exchange of {place} is open"), 0, json!({ "exchange": place })),
                (format!("{caller} wants the price of {place} Harbour shares"), 1, json!({ "days": place.len() })),
            ] {
                let call = json!({"name": functions[name].0, "arguments": arguments.to_string()});
                let message = json!({"role": "assistant", "content": null,
                    "tool_calls": [{"id": "c", "type": "function", "function": call}]});
                let record = json!({
                    "timestamp": 1_700_000_000 + at, "workload_id": "calls", "client_id": "c",
                    "request": {"model": "big", "messages": [{"role": "user", "content": user}], "tools": tools},
                    "response": {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]},
                });
                log.push_str(&format!("{record}\n"));
            }
        }
    }
    log
}

#[test]
#[ignore = ".ci/full runs it"]
fn tool_calls_are_compared_and_judged_and_the_key_of_the_judge_does_not_stay() {
    let Some(platform) = Platform::of("tools") else { return };
    let key = "k3y-of-the-judge";
    // The probe has one message, the question of the evaluator two.
    let judge = OpenAi::start(|asked: &Asked, _| match asked.body["messages"].as_array().map(Vec::len) {
        Some(2) => says("Both call the same.\nRATING: 1"),
        _ => says("hello"),
    });
    let more = format!(
        "evaluation_config: {{workload_type: tool_calling, tool_eval_type: tool-calling-judge}}\n\
         llm_judge_config: {{deployment_type: remote, url: '{}', model_name: j}}\n",
        judge.url()
    );
    let folder = platform.folder_at(&platform.url, &more);
    let logs = folder.write("calls.jsonl", calls());
    let run = folder.dfwfd(["run", "--format", "json", "--logs"]).arg(&logs).env("LLM_JUDGE_API_KEY", key).run();
    let report = run.code(0).json();
    assert!(!run.to_string().contains(key), "the key was shown");
    let asked = judge.asked();
    assert!(asked.len() > 24 && asked.iter().all(|one| one.authorization == format!("Bearer {key}")), "{asked:?}");
    let (mut names, mut whole) = (Vec::new(), Vec::new());
    for variant in ["base", "customized"] {
        let evaluation = &report["candidates"][0]["evaluations"][variant];
        let score = |name: &str| evaluation["scores"][name]["value"].as_f64().unwrap();
        let job = evaluation["job"].as_str().unwrap();
        let mean = platform.mean(job, "tool-calling.function_name_and_args_accuracy");
        assert!((score("name_and_arguments_accuracy") - mean).abs() < 1e-9, "{evaluation:#}");
        assert!((score("judge_correctness") - platform.mean(job, "llm-judge.rating")).abs() < 1e-9, "{evaluation:#}");
        names.push(score("function_name_accuracy"));
        whole.push(score("name_and_arguments_accuracy"));
    }
    assert!(names[0] < names[1], "{names:?}");
    // The adapter repeats the calls of the nearest training rows, most of which are the right ones to the last argument.
    assert!(whole[0] < 0.1 && whole[1] > 0.5, "{whole:?}");
    assert!(!platform.made().iter().any(|one| one.starts_with("secrets/")), "{:?}", platform.made());
    nothing_is_left(&platform, &folder, &report);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_judge_that_the_run_deploys_rates_tool_calls_and_is_released() {
    let Some(platform) = Platform::of("judge") else { return };
    platform.make_model("judge-1b");
    let more = "evaluation_config: {workload_type: tool_calling, tool_eval_type: tool-calling-judge}\n\
                llm_judge_config: {deployment_type: local, model_name: judges/judge-1b, gpus: 1}\n";
    let folder = platform.folder_at(&platform.url, more);
    let logs = testdata("tools_logs.jsonl");
    let report = folder.dfwfd(["run", "--format", "json", "--logs"]).arg(&logs).run().code(0).json();
    let ratings = ["base", "customized"].map(|variant| {
        let evaluation = &report["candidates"][0]["evaluations"][variant];
        let told = evaluation["scores"]["judge_correctness"]["value"].as_f64().unwrap();
        let mean = platform.mean(evaluation["job"].as_str().unwrap(), "llm-judge.rating");
        assert!((told - mean).abs() < 1e-9, "{told} is not the {mean} of the platform: {evaluation:#}");
        told
    });
    assert!(ratings[0] < ratings[1], "{ratings:?}");
    nothing_is_left(&platform, &folder, &report);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_platform_that_wants_a_token_is_driven_with_it_and_keeps_none() {
    let Some(secured) = Started::start("secured", "secured") else { return };
    let token = secured.token();
    let platform = Platform::secured(&secured.url, "secured", &token);
    platform.make_model("judge-1b");
    // The platform looks up the roles of each of its own requests, which takes time on two cores.
    let more = "limits: {release: 20m}\n\
                evaluation_config: {workload_type: tool_calling, tool_eval_type: tool-calling-judge}\n\
                llm_judge_config: {deployment_type: local, model_name: judges/judge-1b, gpus: 1}\n";
    let folder = platform.folder_at(&platform.url, more);
    let logs = testdata("tools_logs.jsonl");
    let run = || folder.dfwfd(["run", "--format", "json", "--logs"]).arg(&logs);
    let refused = run().run();
    refused.code(3).says("401").says("nmp_config.api_key_env");
    folder.write(".env", format!("NEMO_TOKEN={token}\n"));
    let made = run().args(["--set", "nmp_config.api_key_env=NEMO_TOKEN"]).run();
    let report = made.code(0).json();
    assert!(!made.to_string().contains(&token), "the token was shown");
    // The evaluator gets the token for the models and for the judge.
    let ratings = ["base", "customized"].map(|variant| {
        let evaluation = &report["candidates"][0]["evaluations"][variant];
        assert_eq!((&evaluation["rows"], &evaluation["unanswered"]), (&json!(12), &json!(0)), "{report:#}");
        evaluation["scores"]["judge_correctness"]["value"].as_f64().unwrap()
    });
    assert!(ratings[0] < ratings[1], "{ratings:?}");
    assert!(!platform.made().iter().any(|one| one.starts_with("secrets/")), "{:?}", platform.made());
    nothing_is_left(&platform, &folder, &report);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_base_model_is_evaluated_with_examples_in_its_prompt_too() {
    let Some(platform) = Platform::of("examples") else { return };
    let folder = platform.folder();
    let keys = ["--set", "icl_config.max_examples=3", "--set", "nims.0.customization_enabled=false"];
    let report = folder.dfwfd(["run", "--format", "json"]).args(keys).run().code(0).json();
    let asked = ["base", "icl"].map(|variant| {
        let evaluation = &report["candidates"][0]["evaluations"][variant];
        assert_eq!(evaluation["rows"], 12, "{report:#}");
        let job = evaluation["job"].as_str().unwrap();
        let told = evaluation["scores"]["nemo_f1"]["value"].as_f64().unwrap();
        assert!((told - platform.mean(job, "f1.f1")).abs() < 1e-9, "{evaluation:#}");
        platform.first_request(job)
    });
    let shows = asked.each_ref().map(|request| request.contains("Earlier conversations with the answers"));
    assert_eq!(shows, [false, true], "{asked:?}");
    nothing_is_left(&platform, &folder, &report);
}

#[test]
#[ignore = ".ci/full runs it"]
fn latency_is_measured_through_the_gateway_which_passes_on_streams() {
    let Some(platform) = Platform::of("latency") else { return };
    let folder = platform.folder();
    let keys = ["--measure-latency", "--metrics", "run.prom", "--set", "cost.gpu_hour=2"];
    let report = folder.dfwfd(["run", "--format", "json"]).args(keys).run().code(0).json();
    let metrics = folder.read("run.prom");
    for which in ["base", "customized"] {
        let evaluation = &report["candidates"][0]["evaluations"][which];
        let steps = evaluation["latency"].as_array().unwrap();
        assert!(!steps.is_empty(), "{report:#}");
        for step in steps {
            assert_eq!(step["failed"], 0, "{step}");
            let (first, whole) = (step["first_token_p50_ms"].as_f64(), step["p50_ms"].as_f64());
            assert!(first.is_some_and(|first| 0.0 < first && Some(first) <= whole), "{step}");
            let labels = format!("evaluation=\"{which}\",concurrency=\"{}\"", step["at_once"]);
            assert!(metrics.lines().any(|line| line.starts_with("dfwfd_load_first_token") && line.contains(&labels)));
        }
        // The replies of a stream tell their tokens too.
        assert!(evaluation["usage"]["prompt_tokens"].as_u64() > Some(0), "{evaluation:#}");
    }
    // The adapter answers otherwise than its base, so nothing is said of it.
    assert!(!report["warnings"].to_string().contains("adapter"), "{}", report["warnings"]);
    nothing_is_left(&platform, &folder, &report);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_base_model_is_made_from_a_private_repository_and_no_token_stays() {
    let Some(platform) = Platform::of("private") else { return };
    let folder = platform.folder();
    let made = hub::run(&platform, &folder, hub::TOKEN);
    let report = made.code(0).json();
    assert!(!made.to_string().contains(hub::TOKEN), "the token was shown");
    assert_eq!(report["candidates"][0]["evaluations"]["customized"]["rows"], 12, "{report:#}");
    let fileset = platform.get(&platform.path("files", &format!("filesets/{}", hub::ENTITY)));
    assert_eq!(fileset["storage"]["token_secret"], format!("{}-token", hub::ENTITY), "{fileset}");
    // The platform reads the repository with the token.
    let file = platform.get(&platform.path("files", &format!("filesets/{}/-/config.json", hub::ENTITY)));
    assert_eq!(file["model_type"], "llama");
    hub::purge(&platform, &folder, &report);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_shared_base_model_is_deleted_with_the_last_run_that_has_it() {
    let Some(platform) = Platform::of("shared") else { return };
    // As dfwfd makes it from a repository, which cannot be reached from here.
    platform.mark_base_model_as_made();
    let folder = platform.folder();
    let repository = ["--set", "nims.0.base_model_repository=meta-llama/Llama-3.2-1B-Instruct"];
    let untrained = ["--set", "nims.0.customization_enabled=false"];
    let runs = [0, 1].map(|_| {
        let report = folder.dfwfd(["run", "--format", "json"]).args(repository).args(untrained).run();
        report.code(0).json()["run"].as_str().unwrap().to_owned()
    });
    let place = platform.path("models", &format!("models/{ENTITY}"));
    let exists = || request(platform.address, "GET", &place, None).0;
    let purge =
        |run: &str, more: &[&str]| folder.dfwfd(["cleanup", run, "--purge"]).args(more).run().code(0).to_string();
    purge(&runs[0], &[]);
    assert_eq!(exists(), 200, "a purge keeps it");
    purge(&runs[0], &["--base-models"]);
    assert_eq!(exists(), 200, "the other run has it");
    purge(&runs[1], &["--base-models"]);
    assert_eq!(exists(), 404);
    assert!(platform.names("files", "filesets").is_empty() && platform.names("jobs", "jobs").is_empty());
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_model_is_trained_by_unsloth_on_request() {
    let Some(platform) = Platform::of("unsloth") else { return };
    let folder = platform.folder();
    let backend = ["--set", "nims.0.customizer_configs.backend=unsloth"];
    let report = folder.dfwfd(["run", "--format", "json"]).args(backend).run().code(0).json();
    assert!(report["candidates"][0]["training"]["job"].as_str().unwrap().ends_with("-train@unsloth"), "{report:#}");
    assert!(platform.names("customization", "automodel/jobs").is_empty());
    assert_eq!(platform.names("customization", "unsloth/jobs").len(), 1);
    assert_eq!(report["candidates"][0]["evaluations"]["customized"]["rows"], 12);
    nothing_is_left(&platform, &folder, &report);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_base_model_of_another_workspace_is_evaluated_and_not_trained() {
    let Some(owner) = Platform::of("owner") else { return };
    let guest = Platform::at(&owner.url, "guest");
    let folder = guest.folder();
    let base = format!("nims.0.base_model={}/{ENTITY}", owner.workspace);
    let run = |more: &[&str]| folder.dfwfd(["run", "--format", "json", "--set", &base]).args(more).run();
    // The platform would put the adapter into the workspace of the base model.
    run(&[]).code(2).says("is of another workspace").says(&format!("nmp_namespace to {}", owner.workspace));
    let report = run(&["--set", "nims.0.customization_enabled=false"]).code(0).json();
    assert_eq!(report["candidates"][0]["evaluations"]["base"]["rows"], 12, "{report:#}");
    nothing_is_left(&guest, &folder, &report);
    assert_eq!(owner.made(), Vec::<String>::new());
    let place = owner.path("models", &format!("models/{ENTITY}"));
    assert_eq!(request(owner.address, "GET", &place, None).0, 200);
}
