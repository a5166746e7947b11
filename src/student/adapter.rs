//! A trained student: from a conversation to its reply. Owns prediction; how it came to be is `train`'s, its form as
//! bytes `save`'s.

use super::features::{Row, Vectorizer};
use super::template::Template;
use super::tools::Remembered;
use super::{Message, Size};

/// What training a student gives: everything needed to answer, and of the training rows nothing but replies, and what was asked
/// where a tool was called.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    pub(super) template: Template,
    pub(super) vectorizer: Vectorizer,
    /// The reply of each class, whole.
    pub(super) replies: Vec<String>,
    pub(super) weights: Weights,
    /// The training rows that called tools.
    pub(super) memory: Vec<Remembered>,
}

impl Adapter {
    /// The reply to a conversation: always one that was seen in training.
    pub fn reply(&self, messages: &[Message]) -> String {
        let row = self.vectorizer.row(&self.template.text(messages));
        let scores = self.weights.scores(&row);
        let mut best = 0;
        for (class, score) in scores.iter().enumerate() {
            if *score > scores[best] {
                best = class;
            }
        }
        self.replies.get(best).cloned().unwrap_or_default()
    }

    /// The size that was trained.
    pub fn size(&self) -> Size {
        self.vectorizer.size
    }
}

/// One linear function per class, stored feature by feature so that a row meets all classes in one pass; the last
/// feature is the constant one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights {
    pub(super) classes: usize,
    pub(super) values: Vec<f32>,
}

impl Weights {
    /// Zero weights for `features` features and the constant one.
    pub(super) fn zero(features: usize, classes: usize) -> Weights {
        Weights { classes, values: vec![0.0; (features + 1) * classes] }
    }

    /// The score of each class.
    pub(super) fn scores(&self, row: &Row) -> Vec<f32> {
        let mut scores = self.values[self.values.len() - self.classes..].to_vec();
        for &(at, value) in row {
            let start = at as usize * self.classes;
            for (score, weight) in scores.iter_mut().zip(&self.values[start..start + self.classes]) {
                *score += value * weight;
            }
        }
        scores
    }

    /// Adds `row` times `change[class]` to the function of each class.
    pub(super) fn add(&mut self, row: &Row, change: &[f32]) {
        let constant = self.values.len() - self.classes;
        let mut add_at = |start: usize, value: f32| {
            for (weight, change) in self.values[start..start + change.len()].iter_mut().zip(change) {
                *weight += value * change;
            }
        };
        row.iter().for_each(|&(at, value)| add_at(at as usize * change.len(), value));
        add_at(constant, 1.0);
    }
}
