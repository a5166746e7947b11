//! Values of the configuration that come from elsewhere: variables that are not set, and URLs with a secret.

use crate::harness::Folder;

#[test]
fn a_variable_that_is_empty_is_one_problem_and_a_default_of_it_is_told() {
    let folder = Folder::with_config(
        "nmp_config: {platform: nemo, nemo_base_url: '${NEMO}', nim_base_url: http://127.0.0.1:9, datastore_base_url: \
         http://127.0.0.1:9}\nnims:\n  - model_name: meta/llama-3.2-1b-instruct\n",
    );
    let output = folder.dfwfd(["run", "--plan"]).env("NEMO", "").run();
    output
        .code(2)
        .says("a problem")
        .says("nmp_config.nemo_base_url: names the environment variable NEMO, which is not set");
    let doctor = folder.dfwfd(["doctor"]).run().expect(2);
    assert!(doctor.stdout.contains("set the variable") && !doctor.stdout.contains("correct the file"), "{doctor}");
    let text = folder.read("flywheel.yaml");
    folder.write("flywheel.yaml", text.replace("${NEMO}", "${NEMO:-http://nemo.test}"));
    let output = folder.dfwfd(["run", "--plan"]).run();
    output.code(2).says("a problem").says("gives the variable NEMO a default, which is not supported: write ${NEMO}");
    let headers = "${NEMO:-http://nemo.test}', headers: {X-Api-Token: '${GATE:-x}'}, generation: 'v1";
    folder.write("flywheel.yaml", text.replace("${NEMO}", headers).replace("${NEMO:-http://nemo.test}", "http://a"));
    let output = folder.dfwfd(["run", "--plan"]).run();
    output.code(2).says("gives the variable GATE a default");
    let doctor = folder.dfwfd(["doctor", "--set", "gpus=none"]).run().expect(2);
    assert!(!doctor.stdout.contains("correct the variable"), "{doctor}");
    let rehearsed = Folder::shipped();
    let doctor = rehearsed.dfwfd(["doctor", "--set", "gpus=none"]).run().expect(2);
    assert!(doctor.stdout.contains("correct the command line"), "{doctor}");
}

#[test]
fn a_url_with_a_key_is_refused_without_the_key() {
    let folder = Folder::shipped();
    for key in ["llm_judge_config.url", "nmp_config.nim_base_url", "logs.elasticsearch.url", "teacher.url"] {
        let set = format!("{key}=http://judge.test/v1?api_key=hunter2judge");
        let output = folder.dfwfd(["run", "--plan", "--set", &set]).run();
        output.code(2).says("without user name, password and query");
        assert!(!output.stderr.contains("hunter2judge"), "{output}");
    }
}
