//! How long the students take on the shipped news log: training, a trained reply, an untrained reply. Medians of 15 rounds.
//! `cargo bench --bench students`

#![allow(clippy::print_stdout)]

#[path = "../tests/students/sample.rs"]
mod sample;

use std::ops::ControlFlow;
use std::time::Instant;

use dfwfd::student::{Size, TrainOptions, base_reply, train};

const ROUNDS: usize = 15;

/// Median seconds of one call of `work`.
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
    let [eval, validation, training] = sample::divide(&rows, 100, 42);
    let (validation, training) = (sample::examples(&validation), sample::examples(&training));
    println!("{} training rows, {} replies", training.len(), eval.len());
    for size in [Size::Small, Size::Large] {
        let learn = || {
            train(size, &training, &validation, &TrainOptions::default(), &mut |_| ControlFlow::Continue(()))
                .expect("the sample log can be learnt")
        };
        let adapter = learn();
        let each = 1e6 / eval.len() as f64;
        let seconds = median(|| drop(learn()));
        let trained = each * median(|| eval.iter().for_each(|row| drop(adapter.reply(&row.example.messages))));
        let untrained = each * median(|| eval.iter().for_each(|row| drop(base_reply(size, &row.example.messages))));
        println!(
            "{}: training {seconds:.3} s, trained reply {trained:.0} us, untrained reply {untrained:.0} us, adapter {} kB",
            size.name(),
            adapter.to_bytes().len() / 1000
        );
    }
}
