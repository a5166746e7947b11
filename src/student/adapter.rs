//! A trained student: turns a conversation into a reply. `tool_choice` turns it into tool calls, `train` creates adapters,
//! and `save` writes them as bytes.

use super::conversation::Message;
use super::features::{FeatureRow, Vectorizer};
use super::size::StudentSize;
use super::template::PromptTemplate;
use super::tool_call::CallExample;

/// The result of training a student. It holds everything needed to answer, but of the training rows only the replies
/// and, where a row called a tool, the user's question.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    pub(super) template: PromptTemplate,
    pub(super) vectorizer: Vectorizer,
    /// The whole reply of each class.
    pub(super) replies: Vec<String>,
    pub(super) weights: Weights,
    pub(super) call_examples: Vec<CallExample>,
}

impl Adapter {
    /// Returns the reply to a conversation, which is always one that training has seen.
    pub fn reply(&self, messages: &[Message]) -> String {
        let scores = self.class_scores(messages);
        let mut best = 0;
        for (class, score) in scores.iter().enumerate() {
            if *score > scores[best] {
                best = class;
            }
        }
        self.replies.get(best).cloned().unwrap_or_default()
    }

    /// Returns every reply that training has seen with its score, which is above 0 where the student would give it.
    pub(crate) fn scored_replies(&self, messages: &[Message]) -> Vec<(&str, f32)> {
        self.replies.iter().map(String::as_str).zip(self.class_scores(messages)).collect()
    }

    /// Returns the size of the trained student.
    pub fn size(&self) -> StudentSize {
        self.vectorizer.size
    }

    /// Scores each class as the reply to a conversation.
    pub(super) fn class_scores(&self, messages: &[Message]) -> Vec<f32> {
        self.weights.scores(&self.vectorizer.row(&self.template.text(messages)))
    }
}

/// One linear function per class. Values are stored feature by feature, so that one pass over a row scores all classes.
/// The last feature is the constant one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights {
    pub(super) classes: usize,
    pub(super) values: Vec<f32>,
}

impl Weights {
    /// Creates zero weights for `features` features and the constant one.
    pub(super) fn zero(features: usize, classes: usize) -> Weights {
        Weights { classes, values: vec![0.0; (features + 1) * classes] }
    }

    /// Scores each class.
    pub(super) fn scores(&self, row: &FeatureRow) -> Vec<f32> {
        let mut scores = self.values[self.values.len() - self.classes..].to_vec();
        for &(at, value) in row {
            add_scaled(&mut scores, value, &self.values[at as usize * self.classes..]);
        }
        scores
    }

    /// Adds `row` times `change[class]` to the function of each class.
    pub(super) fn add(&mut self, row: &FeatureRow, change: &[f32]) {
        let constant = self.values.len() - self.classes;
        let mut add_at = |start: usize, value: f32| {
            add_scaled(&mut self.values[start..start + change.len()], value, change);
        };
        row.iter().for_each(|&(at, value)| add_at(at as usize * change.len(), value));
        add_at(constant, 1.0);
    }
}

/// Adds `of` times `value` to `to`. Most of a training and of a prediction, so it uses no iterator that a build without
/// link-time optimisation would call.
#[inline]
fn add_scaled(to: &mut [f32], value: f32, of: &[f32]) {
    let of = &of[..to.len()];
    (0..to.len()).for_each(|at| to[at] += value * of[at]);
}
