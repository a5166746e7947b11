//! Works on several threads and keeps the results in order.

use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::{Context, Result};

/// Jobs that wait at each worker. Enough to keep it busy while the caller reads or writes.
const QUEUE: usize = 2;

/// Calls `work` for every job of `next` and hands the results to `sink` in the order of the jobs. Uses as many threads as
/// there are processors, at most `MOST`, each with a state of its own. `next` and `sink` run on the calling thread. The
/// first error of either ends the work.
pub(crate) fn in_order<S, J, R>(
    mut next: impl FnMut() -> Result<Option<J>>,
    state: impl Fn() -> S,
    work: impl Fn(&mut S, J) -> R + Sync,
    mut sink: impl FnMut(R) -> Result<()>,
) -> Result<()>
where
    S: Send,
    J: Send,
    R: Send,
{
    const MOST: usize = 8;
    let workers = thread::available_parallelism().map_or(1, usize::from).min(MOST);
    thread::scope(|scope| {
        let work = &work;
        let lanes: Vec<_> = (0..workers)
            .map(|_| {
                let (give, jobs) = sync_channel::<J>(QUEUE);
                let (results, take) = sync_channel::<R>(QUEUE);
                let mut state = state();
                scope.spawn(move || {
                    // Ends when the caller drops its ends of the channels.
                    for job in jobs {
                        if results.send(work(&mut state, job)).is_err() {
                            break;
                        }
                    }
                });
                (give, take)
            })
            .collect();
        let (mut given, mut taken) = (0, 0);
        let mut more = true;
        loop {
            while more && given - taken < workers * QUEUE {
                match next()? {
                    Some(job) => {
                        lanes[given % workers].0.send(job).ok().context("a worker thread has ended")?;
                        given += 1;
                    }
                    None => more = false,
                }
            }
            if taken == given {
                return Ok(());
            }
            sink(lanes[taken % workers].1.recv().context("a worker thread has ended")?)?;
            taken += 1;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let mut jobs = 0..1000;
        let mut got = Vec::new();
        let sink = |result| {
            got.push(result);
            Ok(())
        };
        in_order(|| Ok(jobs.next()), || 0, |_, job| job * 2, sink).unwrap();
        assert_eq!(got, (0..1000).map(|job| job * 2).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_of_either_end_stops_it() {
        let failing = in_order(|| anyhow::bail!("no more"), || (), |(), job: u32| job, |_| Ok(()));
        assert!(failing.is_err());
        let mut endless = 0..;
        let refusing = in_order(|| Ok(endless.next()), || (), |(), job: u32| job, |_| anyhow::bail!("full"));
        assert_eq!(refusing.unwrap_err().to_string(), "full");
    }
}
