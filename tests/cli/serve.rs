//! Tests `serve`: its output, the file it writes, and the command it runs.

use crate::harness::{Folder, Server, log};

#[test]
fn it_says_where_it_is_and_answers_there() {
    let server = Server::start(&[]);
    let names: Vec<&str> = server.variables().iter().map(|(name, _)| name.as_str()).collect();
    let prefix = "DFWFD__NMP_CONFIG__";
    let wanted =
        ["PLATFORM", "NEMO_BASE_URL", "NIM_BASE_URL", "DATASTORE_BASE_URL"].map(|name| format!("{prefix}{name}"));
    assert_eq!(names, wanted);
    assert_eq!(server.get("/nim/v1/models").0, 200);
    assert_ne!(server.get("/control/calls").0, 200, "only when asked for");
}

#[test]
fn a_run_against_it_says_embedded_and_a_stranger_is_rehearsed() {
    let server = Server::start(&[]);
    let folder = Folder::with_config("nims: [{model_name: dfwfd/ngram-small}]\ngpus: 2\n");
    folder.write("logs.jsonl", log("w", 150));
    let run = |flags: &[&str]| {
        let run = folder.dfwfd(["run", "--logs", "logs.jsonl", "--format", "json"]).args(flags);
        run.envs(server.variables()).run().code(0).json()
    };
    let report = run(&[]);
    assert_eq!((&report["platform"], &report["rehearsal"]), (&"embedded".into(), &false.into()));
    assert_eq!(report["nim_base_url"].as_str(), Some(server.variables()[2].1.as_str()));
    let report = run(&["--set", "nims.0.model_name=meta/llama-3.2-1b-instruct"]);
    assert_eq!((&report["platform"], &report["rehearsal"]), (&"embedded".into(), &true.into()));
}

#[cfg(unix)]
#[test]
fn a_command_runs_against_it_and_gives_its_exit_code() {
    let folder = Folder::new();
    let printed = folder.dfwfd(["serve", "--", "sh", "-c", "echo $DFWFD__NMP_CONFIG__PLATFORM; exit 7"]).run();
    assert_eq!(printed.code(7).stdout, "nemo\n");
    folder.dfwfd(["serve", "--", "sh", "-c", "kill -9 $$"]).run().code(137);
    folder.dfwfd(["serve", "--", "no-such-program-here"]).run().code(2).says("no-such-program-here").hints();
    // The file exists when the command starts, and holds the variables of the command.
    let command = "cat serve.env; test -n \"$DFWFD__NMP_CONFIG__NIM_BASE_URL\"";
    let printed = folder.dfwfd(["serve", "--env-file", "serve.env", "--", "sh", "-c", command]).run();
    assert_eq!(printed.code(0).stdout.lines().count(), 4, "{printed}");
    assert!(printed.stdout.lines().all(|line| line.starts_with("DFWFD__NMP_CONFIG__")), "{printed}");
}

#[test]
fn a_fault_that_cannot_be_read_or_used_is_usage() {
    let folder = Folder::new();
    for (flags, words) in [
        (&["--fault", "POST /nemo/v1/datasets: statsu=503"][..], "there is no fault `statsu` (status?)"),
        (&["--fault", "refuse", "--fault", "/v1/models: refuse"], "/nemo, /nim or /datastore"),
        (&["--fault", "delay=release"], "--control"),
        (&["--fault", "delay=2s", "--clock", "polls"], "3calls"),
    ] {
        let output = folder.dfwfd(["serve"]).args(flags).args(["--", "sh", "-c", "echo started"]).run();
        output.code(2).says("cannot read --fault '").says(words).hints();
        assert_eq!(output.stdout, "", "nothing is started: {output}");
    }
}

#[test]
fn a_clock_that_nothing_would_move_is_usage() {
    let output = Folder::new().dfwfd(["serve", "--clock", "simulated"]).run();
    output.code(2).says("only POST /control/advance moves that clock").says("add --control");
}

#[cfg(unix)]
#[test]
fn a_command_learns_where_control_is_and_a_fault_that_struck_nothing_is_named() {
    let folder = Folder::new();
    let ask = "echo \"$DFWFD_CONTROL_URL\"";
    let output = folder.dfwfd(["serve", "--control", "--fault", "refuse nth=7", "--", "sh", "-c", ask]).run();
    output.code(0).says("the fault 'refuse nth=7' has struck no call");
    assert!(output.stdout.starts_with("http://127.0.0.1:") && output.stdout.ends_with("/control\n"), "{output}");
    let output = folder.dfwfd(["serve", "--", "sh", "-c", ask]).run();
    assert_eq!((output.code(0).stdout.as_str(), output.stderr.as_str()), ("\n", ""));
}

#[test]
fn a_port_that_is_taken_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Folder::new().dfwfd(["serve", "--port", &port]).run();
    output.code(1).says(&port).says("--port 0").hints();
}

#[test]
fn the_scores_are_the_same_however_files_are_uploaded_and_whatever_makes_jobs_advance() {
    let folder = Folder::with_config(
        "nims:\n  - model_name: dfwfd/ngram-small\n    customization_enabled: true\n    \
         customizer_configs: {target: dfwfd/ngram-small@1.0}\ngpus: 2\n",
    );
    folder.write("logs.jsonl", log("w", 200));
    let run = |server: &Server| {
        let run = folder.dfwfd(["run", "--logs", "logs.jsonl", "--format", "json"]).envs(server.variables()).run();
        let report = run.code(0).json();
        ["base", "customized"].map(|which| report["candidates"][0]["evaluations"][which]["scores"].clone())
    };
    let wanted = run(&Server::start(&[]));
    assert!(wanted[1]["macro_f1"]["value"].as_f64() > wanted[0]["macro_f1"]["value"].as_f64(), "{wanted:?}");
    assert_eq!(run(&Server::start(&["--upload-mode", "lfs"])), wanted);
    assert_eq!(run(&Server::start(&["--clock", "polls"])), wanted);
    let inside = folder
        .dfwfd(["run", "--logs", "logs.jsonl", "--format", "json", "--set", "nmp_config.platform=embedded"])
        .run();
    let inside = inside.code(0).json();
    assert_eq!(
        ["base", "customized"].map(|which| inside["candidates"][0]["evaluations"][which]["scores"].clone()),
        wanted
    );
}

#[test]
fn other_machines_need_a_token() {
    Folder::new().dfwfd(["serve", "--listen", "0.0.0.0"]).run().code(2).says("without a token").says("--token-env");
    let unset = ["serve", "--listen", "0.0.0.0", "--token-env", "SERVE_TOKEN"];
    Folder::new().dfwfd(unset).run().code(2).says("SERVE_TOKEN is not set").hints();
    let server =
        Server::start_with(&["--listen", "0.0.0.0", "--token-env", "SERVE_TOKEN"], &[("SERVE_TOKEN", "t0ken-of-ours")]);
    for path in ["/nim/v1/models", "/nemo/v1/namespaces", "/datastore/v1/datastore/namespaces", "/control/state"] {
        assert_eq!(server.get(path).0, 401, "{path}");
    }
    let folder = Folder::with_config("nims: [{model_name: dfwfd/ngram-small}]\ngpus: 2\n");
    folder.write("logs.jsonl", log("w", 150));
    for (key, code) in [("another", 3), ("t0ken-of-ours", 0)] {
        let run = folder.dfwfd(["run", "--logs", "logs.jsonl"]).envs(server.variables());
        run.env("DFWFD__NMP_CONFIG__API_KEY_ENV", "SERVE_TOKEN").env("SERVE_TOKEN", key).run().code(code);
    }
    assert!(!server.end().contains("t0ken-of-ours"));
}

#[test]
fn it_is_reached_from_this_machine_only_unless_told_otherwise() {
    let port = Server::start(&[]).address().port();
    let server = Server::start(&["--port", &port.to_string()]);
    assert_eq!(server.get("/nim/v1/models").0, 200);
    // Another address of this machine is as far away as another machine.
    let others = hosts().into_iter().filter(|address| !address.is_loopback());
    for address in others {
        assert!(std::net::TcpStream::connect((address, port)).is_err(), "{address}");
    }
    assert!(std::net::TcpStream::connect(("127.0.0.2", port)).is_err());
}

/// Returns the address by which this machine reaches others, if it has one. Nothing is sent.
fn hosts() -> Vec<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let told = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    told.into_iter().map(|address| address.ip()).collect()
}
