//! Servers that refuse, break off or are no search servers, as a user sees them: messages, hints, exit codes. The tests of
//! `source::elastic` check single requests.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::{Folder, Output, log};

/// The response of a fake server to method and path: status and body, or no response.
type Respond = dyn Fn(&str, &str) -> Option<(u16, String)> + Send + Sync;

/// A server with given responses. Ends with the test program.
struct Fake {
    url: String,
    /// The first line of each request, and its authorization.
    calls: Arc<Mutex<Vec<(String, String)>>>,
}

impl Fake {
    fn start(answer: impl Fn(&str, &str) -> Option<(u16, String)> + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (answer, heard): (Arc<Respond>, _) = (Arc::new(answer), Arc::clone(&calls));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
                std::thread::spawn(move || serve(stream, &*answer, &heard));
            }
        });
        Fake { url, calls }
    }

    fn calls(&self) -> Vec<(String, String)> {
        self.calls.lock().unwrap().clone()
    }

    fn run(&self, folder: &Folder, arguments: &[&str]) -> Output {
        folder.dfwfd(arguments).env("ELASTICSEARCH_URL", &self.url).run()
    }
}

/// Serves one connection, which its response closes.
fn serve(stream: TcpStream, answer: &Respond, heard: &Mutex<Vec<(String, String)>>) {
    let mut reader = BufReader::new(&stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line.trim().is_empty() => break,
            Ok(_) => lines.push(line.trim().to_owned()),
        }
    }
    let header = |name: &str| {
        let lines = lines.iter().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let mut words = lines[0].split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    heard.lock().unwrap().push((format!("{method} {path}"), header("authorization")));
    if let Some((status, text)) = answer(method, path.split('?').next().unwrap()) {
        let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: application/json\r\n");
        let _ = (&stream).write_all(format!("{head}content-length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }
}

/// Returns the response of a server with an empty index.
fn usual(path: &str) -> (u16, String) {
    let said = match path {
        "/" => json!({"version": {"number": "9.2.0"}}),
        "/flywheel/_mapping" => json!({"flywheel": {"mappings": {"dynamic": "false", "properties": {
            "workload_id": {"type": "keyword"}, "client_id": {"type": "keyword"}, "timestamp": {"type": "date"}}}}}),
        "/_cluster/health/flywheel" => json!({"status": "green"}),
        _ => json!({"hits": {"total": {"value": 0}, "hits": []}}),
    };
    (200, said.to_string())
}

fn error(kind: &str, reason: &str) -> String {
    json!({"error": {"type": kind, "reason": reason}}).to_string()
}

pub(crate) fn a_refusal_names_what_opens_the_server() {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 3));
    for (status, hint) in [(401, "hint: set ELASTICSEARCH_API_KEY"), (403, "hint: give the key or user the privileges")]
    {
        let fake = Fake::start(move |_, _| Some((status, error("security_exception", "no"))));
        for command in [&["load", "logs.jsonl"][..], &["logs"], &["split", "--out", "out"]] {
            fake.run(&folder, command).code(3).says(&format!("refuses access ({status})")).says(hint);
        }
    }
}

pub(crate) fn an_api_key_is_sent_and_never_shown() {
    let folder = Folder::new();
    let fake = Fake::start(|_, path| Some(usual(path)));
    let run = |fake: &Fake, url: &str, variable: &str, more: &[&str]| {
        let command = folder.dfwfd(["logs", "-vv"]).args(more).env("ELASTICSEARCH_URL", url);
        let output = command.env(variable, "aHVudGVyOmh1bnRlcg").run();
        assert!(!output.stderr.contains("aHVudGVy") && !output.stdout.contains("aHVudGVy"), "{output}");
        fake.calls().last().unwrap().1.clone()
    };
    assert_eq!(run(&fake, &fake.url, "ELASTICSEARCH_API_KEY", &[]), "ApiKey aHVudGVyOmh1bnRlcg");
    let named = ["--set", "logs.elasticsearch.api_key_env=KEY"];
    assert_eq!(run(&fake, &fake.url, "KEY", &named), "ApiKey aHVudGVyOmh1bnRlcg");
    let url = fake.url.replace("http://", "http://elastic:hunter2@");
    let sent = run(&fake, &url, "ELASTICSEARCH_API_KEY", &[]);
    assert_eq!(sent, "Basic ZWxhc3RpYzpodW50ZXIy", "what stands in the URL is for this server");
}

pub(crate) fn a_path_in_front_of_the_server_is_kept() {
    let folder = Folder::new();
    let fake = Fake::start(|_, path| Some(usual(path.trim_start_matches("/search"))));
    let url = format!("{}/search/", fake.url);
    folder.dfwfd(["logs"]).env("ELASTICSEARCH_URL", url).run().code(0);
    let calls = fake.calls();
    assert!(calls.len() > 3 && calls.iter().all(|(call, _)| call.contains(" /search/")), "{calls:?}");
}

pub(crate) fn something_else_is_told_from_a_search_server() {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 3));
    let page = "<!doctype html><title>Sign in</title>".to_owned();
    let fake = Fake::start(move |_, _| Some((200, page.clone())));
    for command in [&["load", "logs.jsonl"][..], &["logs"], &["split", "--out", "out"]] {
        fake.run(&folder, command).code(3).says("HTML page").says("not Elasticsearch or OpenSearch").hints();
    }
    let silent = Fake::start(|_, _| None);
    silent.run(&folder, &["logs"]).code(3).hints();
    let gone = Fake { url: "http://127.0.0.1:1".to_owned(), calls: Arc::default() };
    gone.run(&folder, &["logs"]).code(3).says("127.0.0.1:1").says("hint: check logs.elasticsearch.url");
}

pub(crate) fn an_index_that_is_not_all_there_is_refused() {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 3));
    let fake = Fake::start(|_, path| {
        let red = json!({"status": "red", "active_shards": 1, "unassigned_shards": 2}).to_string();
        Some(if path.starts_with("/_cluster/health") { (200, red) } else { usual(path) })
    });
    for command in [&["load", "logs.jsonl"][..], &["logs"], &["split", "--out", "out"]] {
        let output = fake.run(&folder, command);
        output.code(3).says("Elasticsearch 9.2.0 at").says("red: 1 of its shards are active and 2 are missing").hints();
    }
    // Credentials that do not allow a health check are enough.
    let fake = Fake::start(|_, path| {
        Some(if path.starts_with("/_cluster") { (403, error("security_exception", "no")) } else { usual(path) })
    });
    fake.run(&folder, &["logs"]).code(0);
}

pub(crate) fn faults_while_loading_are_borne_or_counted() {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 4));
    let bulks = Mutex::new(0);
    let fake = Fake::start(move |_, path| {
        if !path.ends_with("/_bulk") {
            return Some(usual(path));
        }
        let item = |status: u16| match status {
            201 => json!({"create": {"status": status}}),
            _ => {
                json!({"create": {"status": status, "error": {"type": "mapper_parsing_exception", "reason": "no date"}}})
            }
        };
        let mut number = bulks.lock().unwrap();
        *number += 1;
        match *number {
            1 => Some((429, error("es_rejected_execution_exception", "busy"))),
            2 => None,
            3 => Some((503, "<html>busy</html>".to_owned())),
            _ => Some((200, json!({"items": [item(201), item(409), item(400), item(201)]}).to_string())),
        }
    });
    let output = fake.run(&folder, &["load", "logs.jsonl", "--format", "json", "--rejects", "rejects.jsonl"]);
    let data = output.code(0).says("no date").json()["data"].clone();
    assert_eq!((&data["added"], &data["present"]), (&json!(2), &json!(1)), "{data}");
    assert_eq!(data["rejected"], json!({"refused_by_store": 1}));
    let reject: Value = serde_json::from_str(folder.read("rejects.jsonl").trim()).unwrap();
    assert_eq!((&reject["line"], &reject["reason"]), (&json!(3), &json!("refused_by_store")));
}

pub(crate) fn a_mapping_that_is_wrong_and_an_error_of_the_server_are_said() {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 3));
    let wrong = json!({"flywheel": {"mappings": {"properties": {"request": {"type": "keyword"}}}}}).to_string();
    let fake =
        Fake::start(move |_, path| Some(if path.ends_with("_mapping") { (200, wrong.clone()) } else { usual(path) }));
    fake.run(&folder, &["load", "logs.jsonl"]).code(2).says("its field request is mapped as").hints();
    let fake = Fake::start(|method, path| {
        let broken = (400, error("parsing_exception", "unknown query"));
        Some(if method == "POST" && path.ends_with("_search") { broken } else { usual(path) })
    });
    let output = fake.run(&folder, &["logs", "--format", "json"]);
    let object = output.code(3).json();
    assert!(object["error"].to_string().contains("parsing_exception"), "{object}");
}
