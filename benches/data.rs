//! Time per record of each stage from lines to datasets, on one thread: `cargo bench --bench data`. Files, threads and output
//! are in benches/split_against_others.py. docs/benchmarks.md has results.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use dfwfd::data::stages::Stages;
use dfwfd::score::random::Draws;

const RECORDS: usize = 200_000;
const WORDS: usize = 12;
const CLASSES: u32 = 14;

fn main() {
    let Some(stages) = Stages::new(log(), RECORDS / 50) else { return };
    timed("read records", &stages, || stages.read(false));
    timed("read records and make their keys", &stages, || stages.read(true));
    timed("normal form of the text", &stages, || stages.normal_forms());
    timed("group", &stages, || stages.group());
    timed("split", &stages, || stages.split());
}

/// Returns headlines of which one in five is published again in capitals, and conversations of three turns, one record in
/// four.
fn log() -> Vec<String> {
    let mut draws = Draws::new(1, 0);
    let mut headlines: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    let mut said = Vec::new();
    while lines.len() < RECORDS {
        let text = match draws.below(5) {
            0 if !headlines.is_empty() => headlines[draws.below(headlines.len() as u32) as usize].to_uppercase(),
            _ => (0..WORDS).map(|_| word(draws.below(20_000))).collect::<Vec<_>>().join(" "),
        };
        said.clear();
        said.push(message(
            "system",
            "Name the event that the headline reports. Answer with one class in double brackets.",
        ));
        let turns = if draws.below(12) == 0 { 3 } else { 1 };
        for turn in 0..turns {
            let class = draws.below(CLASSES);
            said.push(message("user", if turn == 0 { &text } else { "Why? Look again." }));
            lines.push(record(lines.len(), &said.join(","), class));
            said.push(message("assistant", &format!("[[class {class}]]")));
        }
        headlines.push(text);
    }
    lines
}

fn word(number: u32) -> String {
    let letter = |place: u32| char::from(b'a' + (number / 26_u32.pow(place) % 26) as u8);
    (0..4).map(letter).collect()
}

fn message(role: &str, text: &str) -> String {
    format!("{{\"role\":\"{role}\",\"content\":\"{text}\"}}")
}

fn record(time: usize, messages: &str, class: u32) -> String {
    let answer = message("assistant", &format!("[[class {class}]]"));
    format!(
        "{{\"timestamp\":{},\"workload_id\":\"news\",\"client_id\":\"desk\",\"request\":{{\"model\":\"teacher\",\"messages\":[{messages}]}},\
         \"response\":{{\"choices\":[{{\"index\":0,\"finish_reason\":\"stop\",\"message\":{answer}}}]}}}}",
        1_700_000_000 + time
    )
}

/// Prints the best of five times, for each record.
fn timed(name: &str, stages: &Stages, mut work: impl FnMut() -> usize) {
    let times = (0..5).map(|_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64()
    });
    let each = times.fold(f64::INFINITY, f64::min) * 1e9 / stages.records() as f64;
    let _ = writeln!(std::io::stdout(), "{name}: {each:.0} ns per record");
}
