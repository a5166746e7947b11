//! From counts of (true label, what was read) to the scores of a classification; used for the eval set and for each of its
//! resamples alike. Knows no label's name.

/// Where a reply without a label on the list is counted: the columns after those of the labels.
pub(super) const EXTRA_COLUMNS: usize = 2;

/// Scores of one table of counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    /// Share of right replies.
    pub accuracy: f64,
    /// Mean F1 of the classes that occur.
    pub macro_f1: f64,
    /// The same, weighted by how often they occur.
    pub weighted_f1: f64,
    /// F1 of the pooled counts of the classes that occur.
    pub micro_f1: f64,
    /// Cohen's kappa; not a number when chance agreement is certain.
    pub kappa: f64,
}

/// Per class: rows that are of it, replies that say it, and both at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Margins {
    /// Rows whose true label it is.
    pub support: Vec<u64>,
    /// Replies that say it.
    pub predicted: Vec<u64>,
    /// Both.
    pub right: Vec<u64>,
}

impl Margins {
    /// Of this many classes, all zero.
    pub fn new(classes: usize) -> Margins {
        Margins { support: vec![0; classes], predicted: vec![0; classes], right: vec![0; classes] }
    }

    /// Counts the cells in: `counts[i]` rows are of `cells[i]`, a true label and a column.
    pub fn fill(&mut self, cells: &[(usize, usize)], counts: &[u64]) {
        for margin in [&mut self.support, &mut self.predicted, &mut self.right] {
            margin.fill(0);
        }
        for (&(gold, column), &n) in cells.iter().zip(counts) {
            self.support[gold] += n;
            if let Some(predicted) = self.predicted.get_mut(column) {
                *predicted += n;
            }
            if gold == column {
                self.right[gold] += n;
            }
        }
    }

    /// Precision of a class, 0 when no reply says it.
    pub fn precision(&self, class: usize) -> f64 {
        ratio(self.right[class] as f64, self.predicted[class] as f64)
    }

    /// Recall of a class, 0 when no row is of it.
    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.right[class] as f64, self.support[class] as f64)
    }

    /// F1 of a class: the harmonic mean of precision and recall, 0 when both are.
    pub fn f1(&self, class: usize) -> f64 {
        ratio(2.0 * self.right[class] as f64, (self.support[class] + self.predicted[class]) as f64)
    }

    /// The scores over the classes that occur among the true labels.
    pub fn summary(&self) -> Summary {
        let (mut rows, mut right, mut said, mut chance) = (0, 0, 0, 0.0);
        let (mut occur, mut sum, mut weighted) = (0_u64, 0.0, 0.0);
        for class in (0..self.support.len()).filter(|&class| self.support[class] > 0) {
            let f1 = self.f1(class);
            occur += 1;
            sum += f1;
            weighted += f1 * self.support[class] as f64;
            rows += self.support[class];
            right += self.right[class];
            said += self.predicted[class];
            chance += self.support[class] as f64 * self.predicted[class] as f64;
        }
        let n = rows as f64;
        let accuracy = ratio(right as f64, n);
        let chance = ratio(chance, n * n);
        Summary {
            accuracy,
            macro_f1: ratio(sum, occur as f64),
            weighted_f1: ratio(weighted, n),
            micro_f1: ratio(2.0 * right as f64, (rows + said) as f64),
            kappa: if chance < 1.0 { (accuracy - chance) / (1.0 - chance) } else { f64::NAN },
        }
    }
}

/// A quotient, 0 by convention when nothing is below the line (scikit-learn's `zero_division=0`).
fn ratio(above: f64, below: f64) -> f64 {
    if below > 0.0 { above / below } else { 0.0 }
}
