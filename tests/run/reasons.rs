//! The reason reaches the reader, and the input of people is read as it was meant.

use super::control::{Home, Platform, until};
use super::faults::{DEPLOYMENTS, count, error, failing, nothing_held, run};

fn change(home: &Home, from: &str, to: &str) {
    let text = std::fs::read_to_string(&home.config).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&home.config, text.replace(from, to)).unwrap();
}

#[test]
fn a_deployment_that_stalls_says_why_early_and_at_the_end() {
    for (why, early) in [
        ("ErrImagePull: nvcr.io/nim/x:1 not found", true),
        ("0/3 nodes are available: 3 Insufficient nvidia.com/gpu", true),
        ("pulling layers", false),
    ] {
        let home = Home::new(1, "8");
        change(&home, "settle: 0s", "settle: 0s\n  deploy: 1s");
        let platform = failing(&[&format!("{DEPLOYMENTS}: stall-job='{why}'")]);
        let outcome = run(&platform, &home).expect(1);
        let report = outcome.json();
        assert!(error(&report).contains(why) && error(&report).contains("limits.deploy"), "{report:#}");
        assert_eq!(report["warnings"].to_string().contains("may never be ready"), early, "{report:#}");
        assert!(outcome.stderr.matches("may never be ready").count() <= 1, "said once: {outcome}");
        nothing_held(&platform, &report);
    }
}

#[test]
fn a_deployment_that_somebody_deletes_is_missed_at_the_next_look_at_its_adapter() {
    let home = Home::new(1, "8");
    let platform = failing(&["slow-adapter=release"]);
    let running = platform.command(&home, &["run", "--format", "json"]).spawn();
    // The adapter is there, and is not listed.
    until("the wait for the adapter", || {
        let state = platform.get("/control/state");
        let is_there = |kind: &str| !state[kind].as_array().unwrap().is_empty();
        // The evaluation of the base model has ended too.
        let done = is_there("adapters") && is_there("evaluation_jobs");
        (done && platform.gpus_held().len() == 1).then_some(())
    });
    let state = platform.get("/control/state");
    let name = state["deployments"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(platform.delete(&format!("/nemo/v1/deployment/model-deployments/dfwfd/{name}")), 200);
    let report = running.wait().expect(1).json();
    assert!(error(&report).contains("has disappeared from the platform"), "{report:#}");
    assert!(count(&platform, "GET /nim/v1/models") > 0);
    nothing_held(&platform, &report);
}

#[test]
fn marks_line_ends_and_variables_are_read_as_they_were_meant() {
    let home = Home::new(1, "8");
    change(&home, "platform: nemo", "platform: nemo\n  api_key_env: NEMO_KEY\n  nmp_namespace: team-${TEAM}");
    change(&home, "nmp_config", "\u{feff}nmp_config");
    std::fs::write(home.folder().join(".env"), "\u{feff}TEAM=rocket\n").unwrap();
    let platform = Platform::start(&[]);
    let command = platform.command(&home, &["run", "--format", "json"]).env("NEMO_KEY", "a-token-with-a-line-end\r\n");
    let report = command.run().expect(0).json();
    assert!(report["candidates"][0]["training"]["adapter"].as_str().unwrap().starts_with("team-rocket/"), "{report:#}");
    for (name, value) in [("NEMO_KEY", ""), ("NEMO_KEY", " \n")] {
        let refused = platform.command(&home, &["run", "--plan"]).env(name, value).run().expect(2);
        refused.says("NEMO_KEY is not set");
    }
    std::fs::remove_file(home.folder().join(".env")).unwrap();
    let refused = platform.command(&home, &["run", "--plan"]).env("NEMO_KEY", "k").run().expect(2);
    refused
        .says("flywheel.yaml:4: nmp_config.nmp_namespace")
        .says("names the environment variable TEAM, which is not set");
    let literal = ["run", "--plan", "--set", "nmp_config.nmp_namespace=team"];
    change(&home, "team-${TEAM}", "team-$${TEAM}");
    platform.command(&home, &literal).env("NEMO_KEY", "k").run().expect(0);
}

#[test]
fn hints_name_what_stands_in_the_way() {
    for (flags, fault, hint) in [
        (
            &["--upload-mode", "lfs"][..],
            "PUT /datastore/v1/hf/lfs/put/*: status=403",
            "the Data Store handed out this link",
        ),
        (&[], "POST /datastore/v1/hf/api/datasets/**: status=413 page", "client_max_body_size"),
    ] {
        let platform = Platform::start(&[flags, &["--fault", fault]].concat());
        run(&platform, &Home::new(1, "8")).expect(3).says(hint);
    }
}
