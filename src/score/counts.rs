//! From counts of (true class, reply) to the scores of a classification, for the eval set and for each of its resamples
//! alike. Classes are numbers here, and counts may be fractions.

/// Columns after the columns of the classes: replies with a label off the list, and replies without a label.
pub(super) const EXTRA_COLUMNS: usize = 2;

/// Scores of one table of counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub accuracy: f64,
    /// Mean F1 of the classes that occur.
    pub macro_f1: f64,
    /// Mean F1 of the classes that occur, weighted by how often they do.
    pub weighted_f1: f64,
    /// F1 of the pooled counts of the classes that occur.
    pub micro_f1: f64,
    /// Cohen's kappa; not a number when chance agreement is certain.
    pub kappa: f64,
}

/// Row sums, column sums and diagonal of a confusion matrix.
#[derive(Clone, Debug, Default)]
pub(super) struct Margins {
    /// Rows of each class.
    pub support: Vec<f64>,
    /// Replies that name each class.
    pub predicted: Vec<f64>,
    /// Right replies of each class.
    pub right: Vec<f64>,
}

impl Margins {
    /// Creates empty counts.
    pub(super) fn new(classes: usize) -> Margins {
        Margins { support: vec![0.0; classes], predicted: vec![0.0; classes], right: vec![0.0; classes] }
    }

    /// Sets every count to zero.
    pub(super) fn clear(&mut self) {
        for margin in [&mut self.support, &mut self.predicted, &mut self.right] {
            margin.fill(0.0);
        }
    }

    /// Counts `n` rows of class `gold` whose reply is in `column`.
    #[inline]
    pub(super) fn add(&mut self, gold: usize, column: usize, n: f64) {
        self.support[gold] += n;
        if let Some(predicted) = self.predicted.get_mut(column) {
            *predicted += n;
        }
        if gold == column {
            self.right[gold] += n;
        }
    }

    /// Returns the precision of a class, 0 when no reply names it.
    pub(super) fn precision(&self, class: usize) -> f64 {
        ratio(self.right[class], self.predicted[class])
    }

    /// Returns the recall of a class, 0 when no row is of it.
    pub(super) fn recall(&self, class: usize) -> f64 {
        ratio(self.right[class], self.support[class])
    }

    /// Returns the F1 of a class: the harmonic mean of precision and recall, 0 when both are.
    pub(super) fn f1(&self, class: usize) -> f64 {
        ratio(2.0 * self.right[class], self.support[class] + self.predicted[class])
    }

    /// Returns the scores over the classes that occur among the true labels.
    pub(super) fn summary(&self) -> Summary {
        let (mut rows, mut right, mut said, mut chance) = (0.0, 0.0, 0.0, 0.0);
        let (mut occur, mut sum, mut weighted) = (0.0, 0.0, 0.0);
        for class in (0..self.support.len()).filter(|&class| self.support[class] > 0.0) {
            let f1 = self.f1(class);
            occur += 1.0;
            sum += f1;
            weighted += f1 * self.support[class];
            rows += self.support[class];
            right += self.right[class];
            said += self.predicted[class];
            chance += self.support[class] * self.predicted[class];
        }
        let accuracy = ratio(right, rows);
        let chance = ratio(chance, rows * rows);
        Summary {
            accuracy,
            macro_f1: ratio(sum, occur),
            weighted_f1: ratio(weighted, rows),
            micro_f1: ratio(2.0 * right, rows + said),
            kappa: if chance < 1.0 { (accuracy - chance) / (1.0 - chance) } else { f64::NAN },
        }
    }
}

/// Divides; 0 by convention when nothing is below the line (scikit-learn's `zero_division=0`).
fn ratio(above: f64, below: f64) -> f64 {
    if below > 0.0 { above / below } else { 0.0 }
}
