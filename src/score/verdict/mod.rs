//! The verdict on two models that answered the same rows: better, same, worse, or cannot tell with the rows needed.

use std::fmt;

use super::difference::Difference;
use super::{holm, power};
use crate::numbers::count;

/// Chance of a false difference among all comparisons of a run.
pub(crate) const LEVEL: f64 = 0.05;

/// Power that the rows needed give.
pub(crate) const POWER: f64 = 0.8;

/// A p value above which a difference is no guess at the true one.
const NO_SIGN: f64 = 0.9;

/// The largest difference of two scores.
const WHOLE: f64 = 1.0;

/// How the first model of a comparison stands to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Better,
    /// The difference is smaller than the margin, in either direction.
    Same,
    Worse,
    CannotTell,
}

/// A comparison's verdict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    pub standing: Standing,
    /// The interval rules out that the first model is worse by the margin.
    pub not_worse: bool,
    /// The interval rules out that the first model is better by the margin.
    pub not_better: bool,
    /// The p value after Holm's correction.
    pub p_adjusted: f64,
    /// The smallest true difference that these rows show with a power of 80 % among all comparisons of the run.
    /// `None` where no difference of scores is as large.
    pub detectable: Option<f64>,
    /// The rows needed for another standing than [`Standing::CannotTell`], where it is that.
    pub more_rows: Option<MoreRows>,
}

impl Decision {
    /// Returns the decision on the second model against the first.
    #[must_use]
    pub fn reversed(self) -> Decision {
        let standing = match self.standing {
            Standing::Better => Standing::Worse,
            Standing::Worse => Standing::Better,
            same @ (Standing::Same | Standing::CannotTell) => same,
        };
        Decision { standing, not_worse: self.not_better, not_better: self.not_worse, ..self }
    }
}

/// Rows needed beyond those at hand, by the normal approximation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoreRows {
    /// So many more show models that do not differ to be the same, and models that differ by the margin to be better or
    /// worse, each with a power of at least 80 %.
    pub for_margin: u64,
    /// So many more show the difference observed, were it the true one; `None` where that takes as many or more, or the
    /// rows say nothing of the true one.
    pub for_observed: Option<u64>,
}

/// Decides the comparisons of one run, which share a level by Holm's correction.
///
/// Decides each comparison. "Same": the paired 95 % interval of the difference lies within the margin (two one-sided tests:
/// Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657), also where the difference is significant. Better or worse: the
/// interval excludes zero, and the corrected p value of the paired test is at most 5 %. Anything else cannot be told.
pub fn decide(differences: &[Difference], margin: f64) -> Vec<Decision> {
    let p_values: Vec<f64> = differences.iter().map(|difference| difference.p).collect();
    let adjusted = holm::adjust(&p_values);
    differences.iter().zip(adjusted).map(|(one, p)| decision(one, p, margin, differences.len())).collect()
}

fn decision(difference: &Difference, p_adjusted: f64, margin: f64, family: usize) -> Decision {
    let significant = p_adjusted <= LEVEL;
    let standing = if -margin < difference.low && difference.high < margin {
        Standing::Same
    } else if significant && difference.low > 0.0 {
        Standing::Better
    } else if significant && difference.high < 0.0 {
        Standing::Worse
    } else {
        Standing::CannotTell
    };
    let level = LEVEL / family.max(1) as f64;
    let detectable = power::detectable_difference(difference.deviation_towards_none(), difference.rows, level, POWER);
    Decision {
        standing,
        not_worse: difference.low > -margin,
        not_better: difference.high < margin,
        p_adjusted,
        detectable: Some(detectable).filter(|least| *least <= WHOLE),
        more_rows: (standing == Standing::CannotTell).then(|| more_rows(difference, margin, level)).flatten(),
    }
}

/// Returns the rows needed; `None` without a margin, where no number of rows shows models to be the same.
fn more_rows(difference: &Difference, margin: f64, level: f64) -> Option<MoreRows> {
    let (deviation, observed, have) = (difference.deviation(), difference.value.abs(), difference.rows as f64);
    if margin <= 0.0 || deviation <= 0.0 {
        return None;
    }
    let mut needed = power::rows_for_equivalence(deviation, margin, LEVEL, POWER)
        .max(power::rows_to_detect(deviation, margin, level, POWER));
    if needed <= have {
        // The difference is between none and the margin: it takes rows for the nearer of the two answers.
        needed = power::rows_to_detect(deviation, observed.max(margin - observed), level, POWER);
    }
    let beyond = |rows: f64| (rows - have).ceil().max(0.0) as u64;
    let for_margin = beyond(needed).max(1);
    let seen = observed > 0.0 && difference.differing > 0 && difference.p <= NO_SIGN;
    let for_observed = seen.then(|| {
        // Fewer rows that differ cannot be significant, whatever they show: each is a toss of a coin, and p is at least
        // twice the chance that all fall alike.
        let fewest = (2.0 / level).log2().ceil() * have / difference.differing as f64;
        let deviation = difference.deviation_towards_none();
        beyond(power::rows_to_detect(deviation, observed, level, POWER).max(fewest))
    });
    Some(MoreRows { for_margin, for_observed: for_observed.filter(|rows| (1..for_margin).contains(rows)) })
}

impl fmt::Display for Standing {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Standing::Better => "better",
            Standing::Same => "same",
            Standing::Worse => "worse",
            Standing::CannotTell => "cannot tell",
        })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Some(more) = self.more_rows else { return self.standing.fmt(out) };
        write!(out, "{}, need {more}", self.standing)
    }
}

impl fmt::Display for MoreRows {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "about {} more eval rows", count(about(self.for_margin)))?;
        match self.for_observed {
            Some(rows) => write!(out, ", or {} if the difference stays as measured", count(about(rows))),
            None => Ok(()),
        }
    }
}

/// Rounds up to two digits: more would claim to know what is only an estimate.
fn about(rows: u64) -> u64 {
    let scale = 10_u64.pow(rows.max(1).ilog10().saturating_sub(1));
    rows.div_ceil(scale) * scale
}

/// A model that may be recommended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Contender {
    /// Its size, in any unit.
    pub size: f64,
    /// It is the best model, or not worse than it.
    pub not_worse: bool,
    /// A warning speaks against it ([`super::warnings::Warning::disqualifies`]).
    pub disqualified: bool,
}

/// Returns the place of the smallest model that is not worse than the best and that no warning disqualifies.
pub(crate) fn smallest_not_worse(contenders: &[Contender]) -> Option<usize> {
    let fit = |(_, contender): &(usize, &Contender)| contender.not_worse && !contender.disqualified;
    let smallest = contenders.iter().enumerate().filter(fit).min_by(|left, right| left.1.size.total_cmp(&right.1.size));
    smallest.map(|(place, _)| place)
}

#[cfg(test)]
mod tests;
