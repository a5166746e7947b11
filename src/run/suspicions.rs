//! Finds suspicious trainings and replies. The report warns of them; none stops a run.

use crate::vocabulary::LossPoint;

/// The share of replies without a label from which the way of reading them may be wrong.
const MANY_UNREADABLE: f64 = 0.1;

/// How many times its first value a loss has to end at to have risen far above its start.
const FAR: f64 = 1.5;

/// Below this share of errors of the base, equal answers are to be expected.
const FEW_ERRORS: f64 = 0.05;

/// The longest part of a reply that is quoted.
const QUOTED_CHARS: usize = 80;

/// Returns what is suspicious about the loss of a training, with the number of steps that it did, if that is known.
pub(super) fn of_training(loss: &[LossPoint], steps: Option<u64>) -> Option<String> {
    let trained: Vec<f64> = loss.iter().filter_map(|point| point.train).collect();
    // Every point has a loss, and JSON has no way to write one that is not a number.
    let lost = loss.iter().filter(|point| point.train.is_none() && point.validation.is_none()).count();
    if steps == Some(0) {
        return Some("the training did no step, so the adapter is what it was before".to_owned());
    }
    if lost > 0 {
        return Some(format!("the loss was not a number at {lost} of {} points: do not trust the adapter", loss.len()));
    }
    match trained[..] {
        [first, .., last] if last > first * FAR => {
            Some(format!("the loss rose from {first:.3} to {last:.3}: the learning rate may be too high"))
        }
        _ => None,
    }
}

/// Tells whether a base errs often enough for its answers to differ from better ones. Of a base without rows nothing is known.
pub(super) fn errs_often(right: &[bool]) -> bool {
    let wrong = right.iter().filter(|right| !**right).count();
    right.is_empty() || wrong as f64 >= FEW_ERRORS * right.len() as f64
}

/// Returns what is suspicious about the replies of a customized model beside its base's.
pub(super) fn of_same_replies<'r>(pairs: impl Iterator<Item = (Option<&'r str>, Option<&'r str>)>) -> Option<String> {
    let mut answered = 0;
    for (base, customized) in pairs {
        if base != customized {
            return None;
        }
        answered += usize::from(base.is_some());
    }
    (answered > 0).then(|| format!("all {answered} replies equal its base's: the adapter may not have been used"))
}

/// Tells whether so many replies hold no label that the way of reading them may be wrong.
pub(super) fn is_unreadable(share: f64) -> bool {
    share >= MANY_UNREADABLE
}

/// Returns the start of a reply in one line, to be shown as an example.
pub(super) fn quoted(reply: &str) -> String {
    let line = reply.split_whitespace().collect::<Vec<_>>().join(" ");
    let start: String = line.chars().take(QUOTED_CHARS).collect();
    let more = if start.len() < line.len() { "..." } else { "" };
    format!("{start}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(losses: &[Option<f64>]) -> Vec<LossPoint> {
        let point =
            |(step, train): (usize, &Option<f64>)| LossPoint { step: step as u64, train: *train, validation: None };
        losses.iter().enumerate().map(point).collect()
    }

    #[test]
    fn a_loss_that_is_no_number_rises_or_belongs_to_no_step_is_told() {
        let of = |losses: &[Option<f64>], steps| of_training(&points(losses), steps).unwrap_or_default();
        assert_eq!(of(&[Some(2.0), Some(1.0), Some(1.1)], Some(3)), "");
        assert_eq!(of(&[], None), "");
        assert!(of(&[Some(2.0), None, None], Some(3)).contains("not a number at 2 of 3 points"));
        assert!(of(&[Some(1.0), Some(0.5), Some(7.25)], None).contains("rose from 1.000 to 7.250"));
        assert!(of(&[], Some(0)).contains("no step"));
        let validation_only = [LossPoint { step: 1, train: None, validation: Some(1.0) }];
        assert_eq!(of_training(&validation_only, Some(1)), None);
    }

    #[test]
    fn an_adapter_that_answers_as_its_base_is_told() {
        let of = |pairs: &[(Option<&'static str>, Option<&'static str>)]| of_same_replies(pairs.iter().copied());
        assert!(of(&[(Some("a"), Some("a")), (None, None)]).unwrap().contains("all 1 replies"));
        assert_eq!(of(&[(Some("a"), Some("a")), (Some("b"), Some("c"))]), None);
        assert_eq!((of(&[(None, None)]), of(&[])), (None, None));
    }

    #[test]
    fn an_example_is_one_short_line() {
        let told = quoted(&format!("Earnings,\nI think {}", "x".repeat(200)));
        assert!(told.starts_with("Earnings, I think xxx") && told.ends_with("x..."), "{told}");
        assert_eq!((told.len(), quoted(" a\n").as_str()), (QUOTED_CHARS + 3, "a"));
        assert!(is_unreadable(0.1) && !is_unreadable(0.05));
    }
}
