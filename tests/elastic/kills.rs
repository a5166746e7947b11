//! A load that is killed and repeated, and a reading whose context the server loses or that is cancelled.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{Folder, labelled, lines, request, word};
use crate::proxy::{Fate, ProxiedRequest, Proxy};
use crate::server::Server;
use crate::stores::{data, datasets};

/// The number of kills, unless `DFWFD_KILLS` says otherwise.
const KILLS: u64 = 3;
/// The number of distinct records in the log.
const RECORDS: u64 = 2_400;

fn address(server: &Server) -> SocketAddr {
    server.url.trim_start_matches("http://").to_socket_addrs().unwrap().next().unwrap()
}

/// Creates records of about ten thousand bytes, most of them in a key that is ignored, so that a log of several requests
/// and pages is read fast.
fn long_records(count: u64) -> Vec<Value> {
    let padding = "lorem ipsum ".repeat(800);
    let long = |number: u64| {
        let text = format!("{} rises", word(number as usize));
        let mut record = labelled("w", number as usize, &text, "Earnings");
        record["padding"] = json!(padding);
        record
    };
    (0..count).map(long).collect()
}

/// Returns the next pseudo-random number (SplitMix64).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(crate) fn a_load_killed_anywhere_is_repeated(server: &Server) {
    let kills = std::env::var("DFWFD_KILLS").map_or(KILLS, |text| text.parse().expect("DFWFD_KILLS is a number"));
    let folder = Folder::new();
    let records = long_records(RECORDS);
    // Some records are duplicates, and one line is broken.
    let log = format!("{}{}broken\n", lines(&records), lines(&records[..100]));
    folder.write("logs.jsonl", &log);
    let requests = log.len() as u64 / (1 << 20);
    assert!(requests >= 4, "the log makes {requests} full requests");
    let mut seed = 7;
    for kill in 0..kills {
        server.forget();
        // The fates come in turn. The request, and the part of it that gets through, are drawn.
        let at = next(&mut seed) % requests;
        let fate = match kill % 4 {
            0 => Fate::HeldAfter,
            1 => Fate::Torn(next(&mut seed) as usize % 1000),
            2 => Fate::HeldBefore,
            _ => Fate::HalfAnswered,
        };
        let mut seen = 0;
        let proxy = Proxy::before(address(server), move |sent: &ProxiedRequest<'_>| {
            let is_bulk = sent.line.contains("/_bulk");
            seen += u64::from(is_bulk);
            if is_bulk && seen > at { fate } else { Fate::Pass }
        });
        let load = || server.dfwfd(&folder, &["load", "logs.jsonl", "--format", "json"]);
        let running = load().env("ELASTICSEARCH_URL", proxy.url()).spawn();
        proxy.wait();
        running.kill();
        let before = server.count_if_there();
        if matches!(fate, Fate::HeldAfter | Fate::HalfAnswered) {
            assert!(before > 0, "kill {kill}: the request had its effect");
        }
        let (added, present, rejected) = data(&load().run().code(0).json());
        let told = format!("kill {kill} in request {at}, {fate:?}: {before} there, {added} added, {present} present");
        assert_eq!((added + present, rejected), (RECORDS + 100, 1), "{told}");
        // The server may still be working on requests from before the kill.
        assert!(present >= before + 100, "{told}");
        assert_eq!(server.count(), RECORDS, "{told}");
        assert_eq!(data(&load().run().code(0).json()), (0, RECORDS + 100, 1), "{told}");
    }
}

/// Reads all records while the context is closed before each page whose number is in `lost`.
fn read_losing(server: &Server, folder: &Folder, out: &str, lost: &BTreeSet<usize>) -> (usize, Value) {
    let (address, lost) = (address(server), lost.clone());
    let pages = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pages);
    let proxy = Proxy::before(address, move |sent: &ProxiedRequest<'_>| {
        let body: Value = serde_json::from_slice(sent.body).unwrap_or_default();
        let (pit, scroll) = (&body["pit"]["id"], &body["scroll_id"]);
        let is_page = sent.line.starts_with("POST") && (pit.is_string() || scroll.is_string());
        if is_page && lost.contains(&counted.fetch_add(1, Ordering::Relaxed)) {
            // The server knows one of these three.
            request(address, "DELETE", "/_pit", Some(&json!({"id": pit})));
            request(address, "DELETE", "/_search/point_in_time", Some(&json!({"pit_id": [pit]})));
            request(address, "DELETE", "/_search/scroll", Some(&json!({"scroll_id": [scroll]})));
        }
        Fate::Pass
    });
    let arguments = ["split", "--workload", "w", "--format", "json", "--out", out];
    let run = server.dfwfd(folder, &arguments).env("ELASTICSEARCH_URL", proxy.url()).run();
    let read = run.code(0).json()["data"].clone();
    (pages.load(Ordering::Relaxed), read)
}

pub(crate) fn a_context_lost_at_any_page_loses_and_doubles_nothing(server: &Server) {
    let folder = Folder::new();
    // More records of one time than a page holds, and documents without a time.
    let mut records = long_records(RECORDS);
    for (number, record) in records.iter_mut().enumerate() {
        record["timestamp"] = json!(1_700_000_000 + number / 1000);
        if number % 11 == 0 {
            record.as_object_mut().unwrap().remove("timestamp");
        }
    }
    folder.write("logs.jsonl", lines(&records));
    server.create(&json!({"dynamic": false, "properties": {"workload_id": {"type": "keyword"},
        "timestamp": {"type": "date", "format": "epoch_second"}}}));
    let (timed, timeless): (Vec<Value>, Vec<Value>) =
        records.into_iter().partition(|record| record["timestamp"].is_i64());
    folder.write("timed.jsonl", lines(&timed));
    server.dfwfd(&folder, &["load", "timed.jsonl"]).run().code(0);
    server.put(&timeless);
    folder.dfwfd(["split", "--workload", "w", "--logs", "logs.jsonl", "--out", "file"]).run().code(0);
    let wanted = datasets(&folder, "file");
    let (pages, read) = read_losing(server, &folder, "none", &BTreeSet::new());
    assert_eq!(read["read"], RECORDS);
    assert!(pages >= 4 && datasets(&folder, "none") == wanted, "{pages} pages");
    let all = (0..pages).map(|page| BTreeSet::from([page])).chain([BTreeSet::from([1, 4, 6])]);
    for (number, lost) in all.enumerate() {
        let out = format!("lost-{number}");
        let (more, read) = read_losing(server, &folder, &out, &lost);
        assert_eq!((&read["read"], &read["duplicates"]), (&json!(RECORDS), &json!(0)), "{lost:?}");
        assert!(more > pages, "{lost:?}: {more} pages of {pages}");
        assert!(datasets(&folder, &out) == wanted, "{lost:?}");
    }
    assert_eq!(server.contexts(), 0);
}

#[cfg(unix)]
pub(crate) fn a_reading_that_is_stopped_leaves_nothing_open(server: &Server) {
    use rustix::process::Signal;
    let folder = Folder::new();
    folder.write("logs.jsonl", lines(&long_records(RECORDS)));
    server.dfwfd(&folder, &["load", "logs.jsonl"]).run().code(0);
    for signal in [Signal::INT, Signal::TERM] {
        let mut pages = 0;
        let proxy = Proxy::before(address(server), move |sent: &ProxiedRequest<'_>| {
            let is_page = [b"\"pit\":".as_slice(), b"\"scroll_id\":"]
                .iter()
                .any(|key| sent.line.starts_with("POST") && sent.body.windows(key.len()).any(|part| part == *key));
            pages += u32::from(is_page);
            if is_page && pages > 3 { Fate::HeldBefore } else { Fate::Pass }
        });
        let arguments = ["split", "--workload", "w", "--out", "out"];
        let running = server.dfwfd(&folder, &arguments).env("ELASTICSEARCH_URL", proxy.url()).spawn();
        proxy.wait();
        assert!(server.contexts() > 0);
        running.signal(signal);
        running.wait().code(130).says("cancelled by");
        // A search under way releases its context a little later.
        assert!((0..1000).any(|_| server.contexts() == 0), "{signal:?}");
    }
    assert!(!folder.at("out/manifest.json").exists());
}
