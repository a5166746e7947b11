//! The small text models that the embedded platform serves and trains in place of language models: n-gram linear
//! classifiers in two sizes, untrained (`untrained`) and trained (`train`), and rules that stand in for a judge of tool
//! calls (`judge`) and of texts (`similarity`). Works on values in memory only: no files, no network, no clock, no other part of the crate.

mod adapter;
mod arguments;
mod conversation;
mod features;
mod judge;
mod literal;
mod overlap;
mod reply;
mod save;
mod shown;
mod similarity;
mod size;
mod template;
mod tool_call;
mod tool_choice;
mod train;
mod untrained;

#[cfg(test)]
mod tests;

pub use adapter::Adapter;
pub use conversation::{Example, Message};
pub(crate) use judge::rate_tool_calls;
pub(crate) use similarity::rate_texts;
pub use size::{NAMES, StudentSize};
pub(crate) use size::{billions, stand_in};
pub(crate) use tool_call::calls_as_reply;
pub use tool_call::{Tool, ToolCall};
pub(crate) use tool_choice::untrained_call;
pub use train::{TrainError, TrainOptions, TrainingProgress, train};
pub use untrained::untrained_reply;
