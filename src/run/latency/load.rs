//! A short, bounded load on a model: some requests with one at a time, then with more and more at once.

use std::future::{self, Future};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use crate::nemo::TimedReply;
use crate::run::outcome::{LatencyFact, LoadStep};
use crate::source::dataset::nearest_rank;

/// The requests on their way at once, step by step.
const AT_ONCE: [u32; 4] = [1, 2, 4, 8];

/// The fewest requests of a step, so that its 95th percentile is not its slowest reply.
const FEWEST: usize = 20;

/// The requests of a step for each that is on its way.
const ROUNDS: usize = 8;

/// How long a load goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// No request of a step begins later.
    pub(crate) step: Duration,
    /// The whole load ends here. A step that has not ended by then is left out.
    pub(crate) whole: Duration,
}

/// The bounds of every load of a run.
pub(crate) const BOUNDS: Bounds = Bounds { step: Duration::from_secs(15), whole: Duration::from_secs(120) };

/// Returns the largest number of requests of a load.
pub(crate) fn most_requests() -> usize {
    AT_ONCE.iter().map(|at_once| requests(*at_once)).sum()
}

fn requests(at_once: u32) -> usize {
    FEWEST.max(ROUNDS * at_once as usize)
}

/// Asks until all steps are done, none of the requests of a step is answered, or the time is over.
pub(super) async fn measure<F>(bounds: Bounds, ask: impl Fn(usize) -> F) -> LatencyFact
where
    F: Future<Output = Result<TimedReply, String>>,
{
    let mut load = LatencyFact::default();
    let mut next = 0;
    let ends = Instant::now() + bounds.whole;
    for at_once in AT_ONCE {
        let began = Instant::now();
        let in_time = |_: &usize| future::ready(began.elapsed() < bounds.step);
        let numbers = stream::iter(next..next + requests(at_once)).take_while(in_time);
        let replies = numbers.map(&ask).buffer_unordered(at_once as usize).collect::<Vec<_>>();
        let Ok(replies) = timeout_at(ends, replies).await else {
            load.failure = Some(format!("it took longer than {} s with {at_once} at once", bounds.whole.as_secs()));
            break;
        };
        next += replies.len();
        let seconds = began.elapsed().as_secs_f64();
        let failure = replies.iter().find_map(|reply| reply.as_ref().err().cloned());
        let asked = replies.len();
        let answered: Vec<TimedReply> = replies.into_iter().flatten().collect();
        if answered.is_empty() {
            load.failure = failure;
            break;
        }
        count_tokens(&mut load, &answered);
        load.steps.push(step(at_once, asked, &answered, seconds));
    }
    load
}

fn count_tokens(load: &mut LatencyFact, replies: &[TimedReply]) {
    for (prompt, completion) in replies.iter().filter_map(|reply| reply.prompt_tokens.zip(reply.completion_tokens)) {
        load.usage_rows += 1;
        load.prompt_tokens = load.prompt_tokens.saturating_add(prompt);
        load.completion_tokens = load.completion_tokens.saturating_add(completion);
    }
}

fn step(at_once: u32, asked: usize, answered: &[TimedReply], seconds: f64) -> LoadStep {
    let sorted = |times: &mut dyn Iterator<Item = Duration>| -> Vec<f64> {
        let mut ms: Vec<f64> = times.map(|time| time.as_secs_f64() * 1000.0).collect();
        ms.sort_by(f64::total_cmp);
        ms
    };
    let whole = sorted(&mut answered.iter().map(|reply| reply.took));
    let first = sorted(&mut answered.iter().filter_map(|reply| reply.first_token));
    LoadStep {
        at_once,
        replies: answered.len() as u64,
        failed: (asked - answered.len()) as u64,
        seconds,
        per_second: answered.len() as f64 / seconds.max(f64::MIN_POSITIVE),
        p50_ms: nearest_rank(&whole, 0.5),
        p95_ms: nearest_rank(&whole, 0.95),
        first_token_p50_ms: nearest_rank(&first, 0.5),
        first_token_p95_ms: nearest_rank(&first, 0.95),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    const NO_LIMIT: Bounds = Bounds { step: Duration::from_secs(3600), whole: Duration::from_secs(3600) };

    fn reply(ms: u64) -> TimedReply {
        let first_token = Some(Duration::from_millis(ms / 2));
        let took = Duration::from_millis(ms);
        TimedReply { first_token, took, prompt_tokens: Some(10), completion_tokens: Some(2) }
    }

    #[tokio::test]
    async fn each_step_keeps_so_many_requests_on_their_way_and_asks_each_number_once() {
        let (now, most) = (Cell::new(0_u32), RefCell::new(Vec::new()));
        let asked = RefCell::new(Vec::new());
        let load = measure(NO_LIMIT, |number| {
            now.set(now.get() + 1);
            most.borrow_mut().push(now.get());
            asked.borrow_mut().push(number);
            let now = &now;
            async move {
                tokio::task::yield_now().await;
                now.set(now.get() - 1);
                Ok(reply(number as u64 + 1))
            }
        })
        .await;
        assert_eq!(*asked.borrow(), (0..most_requests()).collect::<Vec<_>>());
        let steps: Vec<(u32, u64)> = load.steps.iter().map(|step| (step.at_once, step.replies)).collect();
        assert_eq!(steps, [(1, 20), (2, 20), (4, 32), (8, 64)]);
        let most = most.borrow();
        for (from, to, at_once) in [(0, 20, 1), (20, 40, 2), (40, 72, 4), (72, 136, 8)] {
            assert_eq!(most[from..to].iter().max(), Some(&at_once));
        }
        // The first step had replies of 1 to 20 ms.
        let first = &load.steps[0];
        assert_eq!((first.p50_ms, first.p95_ms), (Some(10.0), Some(19.0)));
        assert_eq!((first.first_token_p50_ms, first.failed), (Some(5.0), 0));
        assert_eq!((load.usage_rows, load.prompt_tokens, load.completion_tokens), (136, 1360, 272));
        assert_eq!(load.failure, None);
    }

    #[tokio::test]
    async fn failures_are_counted_and_a_step_without_a_reply_is_the_last() {
        let ask = |number: usize| async move {
            if number < 30 && number.is_multiple_of(2) { Ok(reply(4)) } else { Err(format!("no {number}")) }
        };
        let load = measure(NO_LIMIT, ask).await;
        let steps: Vec<(u32, u64, u64)> = load.steps.iter().map(|one| (one.at_once, one.replies, one.failed)).collect();
        assert_eq!(steps, [(1, 10, 10), (2, 5, 15)]);
        assert_eq!(load.failure.as_deref(), Some("no 40"));
    }

    #[tokio::test]
    async fn a_model_that_never_answers_ends_the_load() {
        let bounds = Bounds { whole: Duration::from_millis(5), ..NO_LIMIT };
        let load = measure(bounds, |_| future::pending()).await;
        assert!(load.steps.is_empty() && load.failure.is_some_and(|why| why.contains("with 1 at once")));
        // A step whose time is over begins no further request.
        let bounds = Bounds { step: Duration::ZERO, ..NO_LIMIT };
        let load = measure(bounds, |_| future::ready(Ok(reply(1)))).await;
        assert_eq!(load, LatencyFact::default());
    }
}
