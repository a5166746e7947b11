//! Measures the students on the shipped news log. Speed: training, a trained reply and an untrained reply, medians of 15
//! rounds. Quality: mean, lowest and highest over 60 stratified divisions. `cargo bench --bench students`

#![allow(clippy::print_stdout)]

#[path = "../tests/students/quality.rs"]
mod quality;
#[path = "../tests/students/sample.rs"]
mod sample;

use std::ops::ControlFlow;
use std::time::Instant;

use dfwfd::student::{StudentSize, TrainOptions, train, untrained_reply};

use quality::{gold, macro_f1, outcome};

const ROUNDS: usize = 15;
const EVAL: usize = 100;
const DIVISIONS: u64 = 60;

/// Returns the median seconds of one call of `work`.
fn median(mut work: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[ROUNDS / 2]
}

fn main() {
    let rows = sample::rows();
    let [eval, validation, training] = sample::divide(&rows, EVAL, 42);
    let (validation, training) = (sample::examples(&validation), sample::examples(&training));
    println!("{} training rows, {} replies", training.len(), eval.len());
    for size in [StudentSize::Small, StudentSize::Large] {
        let learn = || {
            train(size, &training, &validation, &TrainOptions::default(), &mut |_| ControlFlow::Continue(()))
                .expect("the sample log can be learnt")
        };
        let adapter = learn();
        let each = 1e6 / eval.len() as f64;
        let seconds = median(|| drop(learn()));
        let trained = each * median(|| eval.iter().for_each(|row| drop(adapter.reply(&row.example.messages))));
        let untrained =
            each * median(|| eval.iter().for_each(|row| drop(untrained_reply(size, &row.example.messages))));
        println!(
            "{}: training {seconds:.3} s, trained reply {trained:.0} us, untrained reply {untrained:.0} us, adapter {} kB",
            size.name(),
            adapter.to_bytes().len() / 1000
        );
    }
    compare(&rows);
}

/// Prints the scores of both sizes over many divisions.
fn compare(rows: &[sample::Row]) {
    let divisions: Vec<_> = (0..DIVISIONS).map(|seed| sample::divide(rows, EVAL, seed)).collect();
    let majority = |eval: &[&sample::Row]| macro_f1(&gold(eval), &vec![Some("earnings".to_string()); eval.len()]);
    print("always the most frequent class, macro F1", divisions.iter().map(|[eval, ..]| majority(eval)));
    let of = |size| divisions.iter().map(|division| outcome(size, division)).collect::<Vec<_>>();
    let outcomes = [of(StudentSize::Small), of(StudentSize::Large)];
    for (name, of_size) in ["small", "large"].iter().zip(&outcomes) {
        print(&format!("{name}, untrained, macro F1"), of_size.iter().map(|one| one.base));
        print(&format!("{name}, untrained, parseable"), of_size.iter().map(|one| one.parseable));
        print(&format!("{name}, trained, macro F1"), of_size.iter().map(|one| one.customized));
    }
    let [small, large] = &outcomes;
    let differing = small.iter().zip(large).map(|(small, large)| {
        let rows = small.replies.iter().zip(&large.replies).filter(|(a, b)| a != b).count();
        rows as f64 / small.replies.len() as f64
    });
    print("trained, answered differently by the two", differing);
}

/// Prints mean, lowest and highest.
fn print(what: &str, values: impl Iterator<Item = f64>) {
    let values: Vec<f64> = values.collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let (low, high) =
        (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(f64::MIN, f64::max));
    println!("{what}: {mean:.3} [{low:.3}, {high:.3}]");
}
