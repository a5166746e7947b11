//! Random mutations of requests that foreign clients have sent, against `dfwfd serve`. It must answer each, without a
//! server error except those of NeMo itself, and must neither crash nor grow. By default 5,000 requests, spread evenly
//! over the endpoints: `DFWFD_FUZZ` sets their number, `DFWFD_FUZZ_SEED` the seed.
//!
//! [`lines`] does the same with lines and compressed files, for `load` and `split`.
//!
//! tests/foreign records requests.jsonl: `DFWFD_FOREIGN=all DFWFD_FOREIGN_RECORD=tests/fuzz/requests.jsonl cargo test
//! --test foreign` writes it again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not the helpers of a test file")]
#![allow(clippy::print_stdout, reason = "the figures are what a long run is made for")]

mod endpoints;
#[path = "../harness/mod.rs"]
mod harness;
mod lines;
mod mutate;
mod stage;
mod wire;

use endpoints::Endpoint;
use mutate::{Dice, Framing, Request};
use stage::Target;

/// Passes over all endpoints between two resets, and between two times that missing entities are created. In between,
/// deleted entities can be created again.
const PASSES_PER_WORLD: usize = 16;
const PASSES_PER_STAGE: usize = 2;

/// After so many requests the allocator has stopped growing. Fewer requests show nothing about memory.
const WARM_UP: usize = 10_000;

/// One request in so many follows a body that is larger than allowed; one in so many follows some mebibytes.
const FLOOD_EVERY: usize = 5000;
const PAD_EVERY: usize = 500;

/// More than the largest body, in mebibytes.
const FLOOD: usize = 257;

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn recorded() -> Vec<Request> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let request = |line: serde_json::Value| Request {
        method: text(&line["method"]).unwrap(),
        path: text(&line["path"]).unwrap(),
        kind: text(&line["type"]),
        headers: line["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), text(value).unwrap()))
            .collect(),
        body: text(&line["body"]).unwrap_or_default().into_bytes(),
        framing: Framing::Whole,
    };
    harness::parse_lines(include_str!("requests.jsonl")).into_iter().map(request).collect()
}

/// The requests sent to an endpoint, and its responses.
struct Tally {
    endpoint: Endpoint,
    requests: Vec<Request>,
    /// Mutated requests, and those of them that still go to this endpoint.
    sent: usize,
    arrived: usize,
    good: usize,
    refused: usize,
}

fn tallies() -> Vec<Tally> {
    let requests = recorded();
    for request in &requests {
        let asked = endpoints::all().into_iter().any(|endpoint| endpoint.takes(&request.method, &request.path));
        assert!(asked, "{} {} is for none of the endpoints", request.method, request.path);
    }
    let tally = |endpoint: Endpoint| {
        let requests = requests.iter().filter(|one| endpoint.takes(&one.method, &one.path)).cloned().collect();
        Tally { endpoint, requests, sent: 0, arrived: 0, good: 0, refused: 0 }
    };
    endpoints::all().into_iter().map(tally).collect()
}

/// Mutates a request, and sometimes sends it behind a large body.
fn changed(request: &Request, sent: usize, dice: &mut Dice) -> Request {
    let mut changed = mutate::mutate(request, dice);
    if sent % FLOOD_EVERY == FLOOD_EVERY / 20 {
        changed = Request { framing: Framing::Padded(FLOOD), ..request.clone() };
    } else if sent % PAD_EVERY == PAD_EVERY / 2 {
        changed.framing = Framing::Padded(1 + dice.below(8));
    }
    changed
}

#[test]
fn no_request_brings_it_down() {
    let (wanted, seed) = (number("DFWFD_FUZZ", 5000), number("DFWFD_FUZZ_SEED", 1) as u64);
    let mut tallies = tallies();
    let mut order: Vec<usize> = (0..tallies.len()).collect();
    let mut target = Target::start(recorded());
    let mut dice = Dice(seed);
    let (mut sent, mut after_warm_up) = (0, None);
    let each = wanted / 100;
    for pass in 0.. {
        if pass % PASSES_PER_WORLD == 0 {
            target.reset();
            println!("{sent} requests, {} kB resident", target.resident().unwrap_or_default());
            if sent >= WARM_UP {
                after_warm_up.get_or_insert_with(|| (sent, target.resident()));
            }
            let least = tallies.iter().map(|tally| tally.arrived).min().unwrap_or_default();
            if sent >= wanted && least >= each {
                break;
            }
        }
        if pass % PASSES_PER_STAGE == 0 {
            target.stage();
        }
        // A different order each time: create after delete, delete while in use.
        dice.shuffle(&mut order);
        for &at in &order {
            let tally = &mut tallies[at];
            let request = target.fill(&tally.requests[pass % tally.requests.len()]);
            let changed = changed(&request, sent, &mut dice);
            sent += 1;
            tally.sent += 1;
            tally.arrived += usize::from(tally.endpoint.takes(&changed.method, &changed.path));
            let status = target.send_changed(changed);
            tally.good += usize::from((200..300).contains(&status));
            tally.refused += usize::from(status >= 400);
        }
    }
    show(&tallies);
    let at_end = target.resident();
    target.end();
    // Neither all refused nor all accepted: the mutations have the right size.
    let (good, refused) = tallies.iter().fold((0, 0), |sum, tally| (sum.0 + tally.good, sum.1 + tally.refused));
    assert!(good > sent / 20 && refused > sent / 20, "of {sent} requests {good} went well and {refused} were refused");
    if let (Some((after, Some(before))), Some(at_end)) = (after_warm_up, at_end) {
        println!("{before} kB resident after {after} requests, {at_end} kB after {sent}");
        assert!(at_end * 10 <= before * 11, "{before} kB resident after {after} requests, {at_end} kB after {sent}");
    }
}

/// Prints one line for each endpoint.
fn show(tallies: &[Tally]) {
    println!("{:>6} {:>7} {:>6} {:>7}", "sent", "arrived", "2xx", "4xx");
    for Tally { endpoint, sent, arrived, good, refused, .. } in tallies {
        println!("{sent:>6} {arrived:>7} {good:>6} {refused:>7}  {} {}", endpoint.method, endpoint.pattern);
    }
}

#[test]
fn every_endpoint_is_known_and_was_asked() {
    let (missing, gone) = endpoints::unlisted(&harness::project().join("src/embedded"));
    assert!(missing.is_empty() && gone.is_empty(), "not in the list: {missing:?}; no routes: {gone:?}");
    for tally in tallies() {
        assert!(!tally.requests.is_empty(), "no client asks {:?}: add it to tests/foreign and record", tally.endpoint);
    }
    let server = harness::Server::start(&[]);
    for (methods, pattern) in endpoints::patterns() {
        let path = pattern.replace("{*}", "x").replace("{}", "datasets");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let (status, _) = harness::request(server.address(), method, &path, None);
            assert_eq!(status != 405, methods.contains(&method), "{method} {path}: {status}");
        }
    }
}
