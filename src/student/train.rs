//! Training: one linear SVM per class against the rest, by dual coordinate descent on the squared hinge loss (Hsieh et
//! al., "A Dual Coordinate Descent Method for Large-scale Linear SVM", ICML 2008, algorithm 1, L2-loss form). The same
//! rows, options and seed give the same adapter.

use std::collections::HashMap;
use std::ops::ControlFlow;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

use super::adapter::{Adapter, Weights};
use super::conversation::{Example, Message, last_user_text};
use super::features::{FeatureRow, Vectorizer};
use super::reply::{bracketed_label, label_reply};
use super::size::StudentSize;
use super::template::PromptTemplate;
use super::tool_call::CallExample;

/// Passes over the training rows in one epoch. One epoch, the default of a training job, gives a usable student.
const PASSES_PER_EPOCH: u32 = 10;
/// The penalty of an error, relative to the size of the weights.
const COST: f32 = 1.0;
/// The most frequent replies are learnt, up to this number, because a student is a classifier.
const MAX_CLASSES: usize = 256;

/// The options of a training job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainOptions {
    /// The number of epochs. 0 counts as 1. More than one changes little, because a linear model learns fast.
    pub epochs: u32,
    /// The seed of the order in which rows are visited.
    pub seed: u64,
}

impl Default for TrainOptions {
    fn default() -> TrainOptions {
        TrainOptions { epochs: 1, seed: 42 }
    }
}

/// The state of training after a pass over the rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingProgress {
    /// The epoch of this pass, from 1.
    pub epoch: u32,
    pub epochs: u32,
    /// The number of this pass over all epochs, from 1.
    pub step: u32,
    /// The number of passes over all epochs.
    pub steps: u32,
    /// The squared hinge loss, mean over rows and classes. Measured on each row before this pass learns from it.
    pub train_loss: f64,
    /// The loss over the validation rows after the pass, if there are any.
    pub validation_loss: Option<f64>,
}

/// The reason why training gives no adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    #[error("the training file holds no row with a reply to learn")]
    NothingToLearn,
    #[error("training was cancelled")]
    Cancelled,
}

/// Trains a student of `size`. Calls `on` after every pass, which may end the training.
pub fn train(
    size: StudentSize,
    train: &[Example],
    validation: &[Example],
    options: &TrainOptions,
    on: &mut dyn FnMut(&TrainingProgress) -> ControlFlow<()>,
) -> Result<Adapter, TrainError> {
    let classes = Classes::of(train);
    let rows: Vec<(&Example, usize)> =
        train.iter().filter_map(|example| Some((example, classes.find(&example.reply)?))).collect();
    if rows.is_empty() {
        return Err(TrainError::NothingToLearn);
    }
    let conversations: Vec<&[Message]> = rows.iter().map(|(example, _)| example.messages.as_slice()).collect();
    let template = PromptTemplate::of(&conversations);
    let texts: Vec<String> = conversations.iter().map(|messages| template.text(messages)).collect();
    let vectorizer = Vectorizer::fit(size, &texts);
    let read = |text: &str, class| TrainingRow { row: vectorizer.row(text), class };
    let targets: Vec<TrainingRow> = texts.iter().zip(&rows).map(|(text, (_, class))| read(text, *class)).collect();
    let held_out: Vec<TrainingRow> = validation
        .iter()
        .filter_map(|example| Some(read(&template.text(&example.messages), classes.find(&example.reply)?)))
        .collect();

    let weights = Weights::zero(vectorizer.features.len(), classes.replies.len());
    let mut descent = Descent::new(&targets, weights, options.seed);
    let epochs = options.epochs.max(1);
    let steps = epochs.saturating_mul(PASSES_PER_EPOCH);
    for step in 1..=steps {
        let progress = TrainingProgress {
            epoch: (step - 1) / PASSES_PER_EPOCH + 1,
            epochs,
            step,
            steps,
            train_loss: descent.pass(),
            validation_loss: descent.loss(&held_out),
        };
        if on(&progress).is_break() {
            return Err(TrainError::Cancelled);
        }
    }
    let weights = descent.weights;
    let calling = rows.iter().filter(|(example, _)| !example.calls.is_empty());
    let call_examples = calling.map(|(example, class)| CallExample {
        class: *class,
        text: last_user_text(&example.messages).to_owned(),
        calls: example.calls.clone(),
    });
    let call_examples = call_examples.collect();
    Ok(Adapter { template, vectorizer, replies: classes.replies, weights, call_examples })
}

/// The replies that a student can give.
struct Classes {
    replies: Vec<String>,
    index: HashMap<String, usize>,
}

impl Classes {
    /// Returns the classes of the training replies, most frequent first, each with its most frequent spelling.
    fn of(examples: &[Example]) -> Classes {
        let mut spellings: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for example in examples {
            if let Some((key, reply)) = class(&example.reply) {
                *spellings.entry(key).or_default().entry(reply).or_insert(0) += 1;
            }
        }
        let mut ranked: Vec<(usize, String, String)> = spellings
            .into_iter()
            .map(|(key, written)| {
                let rows = written.values().sum();
                let most = written.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
                (rows, key, most.map(|(reply, _)| reply).unwrap_or_default())
            })
            .collect();
        ranked.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        ranked.truncate(MAX_CLASSES);
        let index = ranked.iter().enumerate().map(|(at, (_, key, _))| (key.clone(), at)).collect();
        Classes { replies: ranked.into_iter().map(|(_, _, reply)| reply).collect(), index }
    }

    fn find(&self, reply: &str) -> Option<usize> {
        self.index.get(&class(reply)?.0).copied()
    }
}

/// Returns the key by which a reply is compared and the reply as it is given: the label in brackets, or else the whole
/// reply. Returns none for a blank reply.
fn class(reply: &str) -> Option<(String, String)> {
    let written = match bracketed_label(reply) {
        Some(label) => label_reply(label),
        None => reply.trim().to_string(),
    };
    (!written.is_empty()).then(|| (written.to_lowercase(), written))
}

/// The features and the class of a row.
struct TrainingRow {
    row: FeatureRow,
    class: usize,
}

/// Dual coordinate descent for all classes at once. The problems share rows and order, not variables.
struct Descent<'a> {
    targets: &'a [TrainingRow],
    order: Vec<usize>,
    /// One dual variable per row and class.
    duals: Vec<f32>,
    weights: Weights,
    random: ChaCha8Rng,
}

impl<'a> Descent<'a> {
    fn new(targets: &'a [TrainingRow], weights: Weights, seed: u64) -> Descent<'a> {
        let duals = vec![0.0; targets.len() * weights.classes];
        let random = ChaCha8Rng::seed_from_u64(seed);
        Descent { targets, order: (0..targets.len()).collect(), duals, weights, random }
    }

    /// Learns from every row once, in a new order. Returns the mean loss of the rows before each was learnt from.
    fn pass(&mut self) -> f64 {
        let classes = self.weights.classes;
        for at in (1..self.order.len()).rev() {
            self.order.swap(at, (self.random.next_u64() % (at as u64 + 1)) as usize);
        }
        let mut loss = 0.0;
        let mut change = vec![0.0; classes];
        for &at in &self.order {
            let target = &self.targets[at];
            let scores = self.weights.scores(&target.row);
            loss += mean_loss(&scores, target.class);
            let slack = 1.0 / (2.0 * COST);
            let curve = 1.0 + slack + target.row.iter().map(|(_, value)| value * value).sum::<f32>();
            let duals = &mut self.duals[at * classes..(at + 1) * classes];
            for (class, dual) in duals.iter_mut().enumerate() {
                let sign = if class == target.class { 1.0 } else { -1.0 };
                let slope = sign * scores[class] - 1.0 + slack * *dual;
                let moved = (*dual - slope / curve).max(0.0);
                change[class] = (moved - *dual) * sign;
                *dual = moved;
            }
            if change.iter().any(|change| *change != 0.0) {
                self.weights.add(&target.row, &change);
            }
        }
        loss / self.targets.len() as f64
    }

    /// Returns the mean loss over `targets`, if there are any.
    fn loss(&self, targets: &[TrainingRow]) -> Option<f64> {
        let sum: f64 = targets.iter().map(|target| mean_loss(&self.weights.scores(&target.row), target.class)).sum();
        (!targets.is_empty()).then(|| sum / targets.len() as f64)
    }
}

/// Returns the squared hinge loss of one row, mean over classes.
fn mean_loss(scores: &[f32], class: usize) -> f64 {
    let one = |(at, score): (usize, &f32)| {
        let short = (1.0 - if at == class { *score } else { -score }).max(0.0);
        f64::from(short * short)
    };
    scores.iter().enumerate().map(one).sum::<f64>() / scores.len().max(1) as f64
}
