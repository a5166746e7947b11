//! Measures `dfwfd serve` from a client on the same machine: the time from its start to its first response, and the chat
//! completions per second of a trained student over kept connections. `cargo bench --bench serve`
//!
//! The adapters are trained on the shipped news log, through the platform. The prompts are those of that log that were
//! not trained on. Each rate has the processor time beside it, which depends less on other work of the machine.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, reason = "a measurement that cannot go on ends")]

#[path = "../tests/harness/mod.rs"]
mod harness;
#[path = "../tests/students/sample.rs"]
mod sample;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use base64::Engine as _;
use dfwfd::student::{Example, NAMES};
use harness::{Folder, Server};
use serde_json::{Value, json};

const STARTS: usize = 20;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);
const EVAL: usize = 100;

fn main() {
    starts();
    let rows = sample::rows();
    let [eval, validation, training] = sample::divide(&rows, EVAL, 42);
    let (eval, validation, training) =
        (sample::examples(&eval), sample::examples(&validation), sample::examples(&training));
    let server = Server::start(&[]);
    let files = [("training/rows.jsonl", lines(&training)), ("validation/rows.jsonl", lines(&validation))];
    upload(&server, &files);
    for name in NAMES {
        let adapter = train(&server, name);
        let requests: Vec<Vec<u8>> = eval.iter().map(|row| request(server.address(), &adapter, row)).collect();
        for connections in [1, 2, 8, 32] {
            throughput(&server, name, &requests, connections);
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the time from the start of the process to its first response.
fn starts() {
    let folder = Folder::new();
    let one = |_| {
        // We choose the port, so that no output has to be read before the first request.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let port = port.to_string();
        let serve = folder.dfwfd(["serve", "--port", &port]);
        let started = Instant::now();
        let running = serve.spawn();
        while !answers(address) {
            assert!(started.elapsed() < Duration::from_secs(10), "serve does not answer");
            std::thread::yield_now();
        }
        let seconds = started.elapsed().as_secs_f64();
        running.kill();
        1e3 * seconds
    };
    let all: Vec<f64> = (0..STARTS).map(one).collect();
    let most = all.iter().copied().fold(0.0, f64::max);
    println!("start to first answer: median {:.1} ms, longest {most:.1} ms, of {STARTS}", median(all));
}

fn answers(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let sent = stream.write_all(b"GET /nim/v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    sent.and_then(|()| stream.read_to_end(&mut answer)).is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

/// Returns rows as a training file.
fn lines(rows: &[Example]) -> String {
    let line = |row: &Example| {
        let mut messages: Vec<Value> =
            row.messages.iter().map(|message| json!({"role": message.role, "content": message.content})).collect();
        messages.push(json!({"role": "assistant", "content": row.reply}));
        json!({"messages": messages}).to_string()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn made(answer: (u16, Value)) -> Value {
    assert!((200..300).contains(&answer.0), "{answer:?}");
    answer.1
}

fn upload(server: &Server, files: &[(&str, String)]) {
    made(server.post("/nemo/v1/namespaces", &json!({"id": "bench"})));
    made(server.post("/datastore/v1/datastore/namespaces", &json!({"namespace": "bench"})));
    let repo = json!({"name": "data", "organization": "bench", "type": "dataset"});
    made(server.post("/datastore/v1/hf/api/repos/create", &repo));
    let mut commit = json!({"key": "header", "value": {"summary": "Upload", "description": ""}}).to_string();
    for (path, text) in files {
        let content = base64::engine::general_purpose::STANDARD.encode(text);
        let file = json!({"key": "file", "value": {"path": path, "content": content, "encoding": "base64"}});
        commit.push('\n');
        commit.push_str(&file.to_string());
    }
    let head = format!(
        "POST /datastore/v1/hf/api/datasets/bench/data/commit/main HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
        commit.len()
    );
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(commit.as_bytes())).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let dataset = json!({"name": "data", "namespace": "bench", "files_url": "hf://datasets/bench/data"});
    made(server.post("/nemo/v1/datasets", &dataset));
}

/// Deploys a student, trains an adapter for it and returns the id that the adapter is served under.
fn train(server: &Server, model: &str) -> String {
    let name = model.split_once('/').map_or(model, |(_, name)| name);
    let nim = json!({"image_name": "nvcr.io/nim/student", "image_tag": "1", "gpu": 1, "pvc_size": "25Gi"});
    let deployment = json!({"name": name, "namespace": "bench", "config": {"model": model, "nim_deployment": nim}});
    made(server.post("/nemo/v1/deployment/model-deployments", &deployment));
    let options = json!([{"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1}]);
    let config = json!({"name": format!("{name}@v1"), "namespace": "bench", "target": format!("{model}@1.0"),
        "max_seq_length": 4096, "training_options": options});
    made(server.post("/nemo/v1/customization/configs", &config));
    let settings = json!({"finetuning_type": "lora", "training_type": "sft", "epochs": 1, "batch_size": 16});
    let job = json!({"config": format!("bench/{name}@v1"), "dataset": "bench/data",
        "output_model": format!("bench/{name}"), "hyperparameters": settings});
    let adapter = made(server.post("/nemo/v1/customization/jobs", &job))["output_model"].as_str().unwrap().to_owned();
    let started = Instant::now();
    loop {
        let (_, listed) = server.get("/nim/v1/models");
        if listed["data"].as_array().unwrap().iter().any(|one| one["id"] == *adapter) {
            return adapter;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{adapter} is not served: {listed}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn request(address: SocketAddr, model: &str, row: &Example) -> Vec<u8> {
    let messages: Vec<Value> =
        row.messages.iter().map(|message| json!({"role": message.role, "content": message.content})).collect();
    let body = json!({"model": model, "messages": messages, "temperature": 0.0, "max_tokens": 32}).to_string();
    let head = format!(
        "POST /nim/v1/chat/completions HTTP/1.1\r\nhost: {address}\r\naccept: application/json\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Sends prompts over several connections at a time. Each sends its next prompt when it has its response.
fn throughput(server: &Server, name: &str, requests: &[Vec<u8>], connections: usize) {
    let (mut rates, mut costs, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = (processor_time(server.id()), processor_time(std::process::id()));
        let barrier = Barrier::new(connections);
        let started = Instant::now();
        let answered: usize = std::thread::scope(|scope| {
            let asking = |first: usize| {
                let barrier = &barrier;
                scope.spawn(move || ask(server.address(), requests, first, barrier))
            };
            let threads: Vec<_> = (0..connections).map(asking).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let seconds = started.elapsed().as_secs_f64();
        let after = (processor_time(server.id()), processor_time(std::process::id()));
        rates.push(answered as f64 / seconds);
        costs.push(1e6 * (after.0 - before.0) / answered as f64);
        own.push(1e6 * (after.1 - before.1) / answered as f64);
    }
    println!(
        "{name}, {connections} connections: {:.0} completions/s; processor time of each: server {:.0} us, client {:.0} us",
        median(rates),
        median(costs),
        median(own)
    );
}

/// Sends prompts until the round is over and returns the number of responses.
fn ask(address: SocketAddr, requests: &[Vec<u8>], first: usize, barrier: &Barrier) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 1 << 16];
    barrier.wait();
    let started = Instant::now();
    let mut answered = 0;
    for request in requests.iter().cycle().skip(first * 7) {
        if started.elapsed() > ROUND {
            break;
        }
        stream.write_all(request).unwrap();
        let answer = read(&mut stream, &mut buffer);
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
        answered += 1;
    }
    answered
}

/// Reads one whole response.
fn read<'a>(stream: &mut TcpStream, buffer: &'a mut [u8]) -> &'a [u8] {
    let mut filled = 0;
    loop {
        let more = stream.read(&mut buffer[filled..]).unwrap();
        assert!(more > 0, "the server has hung up");
        filled += more;
        let Some(end) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if filled == end + 4 + length.parse::<usize>().unwrap() {
            return &buffer[..filled];
        }
    }
}

/// Returns the seconds of processor time that a process has used, or none without /proc.
fn processor_time(id: u32) -> f64 {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { return f64::NAN };
    // The name in parentheses may hold blanks. User and system time are the 12th and 13th field behind it, in ticks.
    // Linux counts 100 ticks a second.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields[11..13].iter().map(|field| field.parse::<f64>().unwrap() / 100.0).sum()
}
