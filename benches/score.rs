//! Statistics per second: `cargo bench --bench score`. The aim is 10,000 resamples of 5,000 rows and 14 classes in under a
//! second on two cores. docs/benchmarks.md has results.

use std::hint::black_box;
use std::io::Write;
use std::num::NonZero;
use std::time::Instant;

use dfwfd::score::classification::{Judged, Prediction, score};
use dfwfd::score::difference::{Metric, PairedReply, Simulation, of_replies};
use dfwfd::score::random::Draws;

const ROWS: usize = 5_000;
const CLASSES: usize = 14;

fn main() {
    let mut draws = Draws::new(1, 0);
    let mut said = |gold: usize, right: u32| {
        Prediction::Label(if draws.below(100) < right { gold } else { draws.below(CLASSES as u32) as usize })
    };
    let rows: Vec<PairedReply> = (0..ROWS)
        .map(|at| (at * at) % CLASSES)
        .map(|gold| PairedReply { gold, first: said(gold, 90), second: said(gold, 86) })
        .collect();
    let judged: Vec<Judged> = rows.iter().map(|row| Judged { gold: row.gold, predicted: row.first }).collect();
    let labels: Vec<String> = (0..CLASSES).map(|class| format!("class {class}")).collect();
    let groups: Vec<u64> = (0..ROWS as u64).map(|at| at / 2).collect();

    timed("score of one model, 2,000 resamples", || {
        black_box(score(&judged, &labels, 42));
    });
    let one = Simulation { threads: NonZero::new(1), ..Simulation::new(42) };
    let variants = [
        ("paired macro F1, 10,000 resamples and swaps, all cores", Simulation::new(42), None),
        ("paired macro F1, 10,000 resamples and swaps, one thread", one, None),
        ("paired macro F1 in groups of two, all cores", Simulation::new(42), Some(&groups[..])),
    ];
    for (name, simulation, groups) in variants {
        timed(name, || {
            black_box(of_replies(&rows, groups, CLASSES, Metric::MacroF1, simulation));
        });
    }
}

/// Prints the best of three times.
fn timed(name: &str, mut work: impl FnMut()) {
    let times = (0..3).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    let best = times.fold(f64::INFINITY, f64::min);
    let _ = writeln!(std::io::stdout(), "{name}: {best:.3} s");
}
