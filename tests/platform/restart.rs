//! A platform with a data directory that is killed at any moment and started again.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{self, Folder, Server};
use crate::{commit, make, number, read, repository};

fn start(directory: &Path) -> Server {
    Server::start(&["--clock", "polls", "--control", "--data-dir", directory.to_str().unwrap()])
}

/// Returns the contents of file `n`: some are kept in the database, some in files.
fn text(n: usize) -> String {
    format!("{n}\n").repeat(if n.is_multiple_of(3) { 60_000 } else { 10 })
}

/// Makes change `n`, and returns whether the answer confirms it.
fn change(address: std::net::SocketAddr, n: usize) -> bool {
    let call = || {
        if n.is_multiple_of(2) {
            let entity = json!({"name": format!("d{n}"), "namespace": "ns", "files_url": "hf://datasets/ns/d"});
            harness::request(address, "POST", "/nemo/v1/datasets", Some(&entity)).0
        } else {
            let file = json!({"path": format!("f{n}"), "content": text(n), "encoding": "utf-8"});
            let lines = commit(&[json!({"key": "file", "value": file})]);
            harness::send(address, "POST", "/datastore/v1/hf/api/datasets/ns/d/commit/main", &lines).0
        }
    };
    // A call that breaks off has no answer. Whether it had its effect shows later.
    std::panic::catch_unwind(call).is_ok_and(|status| status == 200)
}

fn found(server: &Server) -> (Vec<usize>, Vec<usize>) {
    let all = read(server, "/nemo/v1/datasets?page_size=100000");
    let number = |name: &Value| name.as_str().unwrap()[1..].parse().unwrap();
    let entities = all["data"].as_array().unwrap().iter().map(|row| number(&row["name"])).collect();
    let tree = read(server, "/datastore/v1/hf/api/datasets/ns/d/tree/main?recursive=true");
    let mut files: Vec<usize> = tree.as_array().unwrap().iter().map(|entry| number(&entry["path"])).collect();
    files.sort_unstable();
    for n in &files {
        let (status, body) =
            harness::send(server.address(), "GET", &format!("/datastore/v1/hf/datasets/ns/d/resolve/main/f{n}"), "");
        assert_eq!((status, body == text(*n)), (200, true), "file {n}");
    }
    (entities, files)
}

#[test]
fn whatever_was_answered_is_there_after_a_kill_and_nothing_is_half_there() {
    let folder = Folder::new();
    let directory = folder.at("data");
    let server = start(&directory);
    repository(&server, "ns", "d");
    drop(server);
    let mut next = 0;
    for round in 0..number("DFWFD_KILLS", 6) {
        let server = start(&directory);
        let (address, answered) = (server.address(), AtomicUsize::new(next));
        let wanted = next + 3 + round * 5 % 17;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                while change(address, answered.load(Ordering::SeqCst)) {
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
            // Kills the server in the middle of the calls after so many answers.
            while answered.load(Ordering::SeqCst) < wanted && !writer.is_finished() {
                std::hint::spin_loop();
            }
            server.end();
        });
        let answered = answered.into_inner();
        assert!(answered >= wanted, "{answered} of {wanted} changes were answered");
        let server = start(&directory);
        let (entities, files) = found(&server);
        let made: Vec<usize> = (0..).step_by(2).take(entities.len()).collect();
        assert_eq!(entities, made);
        let made: Vec<usize> = (1..).step_by(2).take(files.len()).collect();
        assert_eq!(files, made);
        // Everything that was answered is there, and at most the one change without an answer.
        next = entities.len() + files.len();
        assert!(next == answered || next == answered + 1, "{next} changes are there, {answered} were answered");
    }
}

#[test]
fn jobs_under_way_at_a_kill_end_as_they_would_have() {
    let folder = Folder::new();
    let directory = folder.at("data");
    let server = start(&directory);
    repository(&server, "ns", "d");
    let row = |n: usize| {
        let record = harness::record("w", n);
        let mut messages = record["request"]["messages"].as_array().unwrap().clone();
        messages.push(record["response"]["choices"][0]["message"].clone());
        json!({"messages": messages})
    };
    let rows = harness::lines(&(0..60).map(row).collect::<Vec<_>>());
    let file = json!({"path": "training/t.jsonl", "content": rows, "encoding": "utf-8"});
    let path = "/datastore/v1/hf/api/datasets/ns/d/commit/main";
    assert_eq!(harness::send(server.address(), "POST", path, &commit(&[json!({"key": "file", "value": file})])).0, 200);
    make(&server, "/nemo/v1/datasets", &json!({"name": "d", "namespace": "ns", "files_url": "hf://datasets/ns/d"}));
    let option = json!({"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1});
    let config = json!({"name": "c@v1", "namespace": "ns", "max_seq_length": 4096, "training_options": [option],
        "target": "dfwfd/ngram-small@1.0"});
    make(&server, "/nemo/v1/customization/configs", &config);
    let job = json!({"config": "ns/c@v1", "dataset": "ns/d", "output_model": "ns/m",
        "hyperparameters": {"finetuning_type": "lora", "epochs": 2}});
    let id = make(&server, "/nemo/v1/customization/jobs", &job)["id"].as_str().unwrap().to_owned();
    let status = format!("/nemo/v1/customization/jobs/{id}/status");
    read(&server, &status);
    let instance = read(&server, "/control/state")["gpus"].clone();
    server.end();

    let server = start(&directory);
    assert_eq!(read(&server, "/control/state")["gpus"], instance);
    let mut seen = Vec::new();
    while seen.last().is_none_or(|status| status != "completed") {
        seen.push(read(&server, &status)["status"].as_str().unwrap().to_owned());
        assert!(seen.len() < 9, "{seen:?}");
    }
    let files = read(&server, &format!("/datastore/v1/hf/api/models/ns/m/revision/{id}"));
    assert_eq!(files["siblings"].as_array().unwrap().len(), 2);
    server.end();
    assert_eq!(read(&start(&directory), &status)["status"], "completed");
}

#[test]
fn a_directory_that_another_server_uses_is_said() {
    let folder = Folder::new();
    let server = Server::start(&["--data-dir", folder.at("data").to_str().unwrap()]);
    let second = || folder.dfwfd(["serve", "--data-dir", "data", "--", "true"]).run();
    second().code(75).says("another server uses the data directory").hints();
    server.end();
    // The lock ends with its process, however that ended.
    second().code(0);
    std::fs::write(folder.at("file"), "words").unwrap();
    folder.dfwfd(["serve", "--data-dir", "file", "--", "true"]).run().code(1).says("file");
}

#[test]
fn what_a_killed_platform_left_in_the_temporary_folder_goes_with_the_next() {
    let folder = Folder::new();
    let temporary = folder.at("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let start = || Server::start_with(&["--control"], &[("TMPDIR", temporary.to_str().unwrap())]);
    let upload = |server: &Server| {
        repository(server, "ns", "d");
        assert!(change(server.address(), 10_005), "a file of more than 128 KB is taken");
    };
    let left = || {
        let entries = std::fs::read_dir(&temporary).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    let killed = start();
    upload(&killed);
    drop(killed);
    let by_killed = left();
    let next = start();
    upload(&next);
    let by_next = left();
    assert_eq!((by_killed.len(), by_next.len()), (1, 1));
    assert_ne!(by_killed, by_next);
}
