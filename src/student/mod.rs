//! The small text models that the embedded platform serves and trains: n-gram linear classifiers in two sizes, untrained
//! (`base`) and trained (`train`), and a rule that stands in for a judge of tool calls (`judge`). Owns their names, their
//! inputs and their errors. Bytes in, values out: no files, no network, no clock, and nothing of the rest of the crate.

mod adapter;
mod base;
mod features;
mod fitting;
mod judge;
mod reply;
mod save;
mod template;
mod tools;
mod train;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Deserializer};

pub use adapter::Adapter;
pub use base::base_reply;
pub use judge::verdict;
pub use save::Damaged;
pub use tools::{Tool, ToolCall, base_call, calls_as_reply};
pub use train::{Progress, TrainError, TrainOptions, train};

/// The students' own names, smaller first.
pub const NAMES: [&str; 2] = ["dfwfd/ngram-small", "dfwfd/ngram-large"];

/// The largest parameter count, in billions, for which the small student stands in.
const SMALL_UP_TO_BILLION: f64 = 2.0;

/// The two sizes of student: what they see of a text differs, not how they learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Single words and character runs of three and four, of each kind only the 750 that stand in most training rows.
    Small,
    /// Words, word pairs and character runs of two to five, nearly without limit.
    Large,
}

impl Size {
    /// The student's own name, as the embedded platform lists it.
    pub fn name(self) -> &'static str {
        match self {
            Size::Small => NAMES[0],
            Size::Large => NAMES[1],
        }
    }
}

/// The size that answers for `model`: the students' own names exactly; any other name gets the small one when it states
/// at most two billion parameters (`-1b-`, `350m`), else the large one.
pub fn stand_in(model: &str) -> Size {
    if model == NAMES[0] {
        return Size::Small;
    }
    let stated = model
        .to_lowercase()
        .split(['-', '/', '_', '@', ':'])
        .filter_map(|part| {
            let billions = |digits: &str, unit: f64| digits.parse::<f64>().ok().map(|n| n * unit);
            part.strip_suffix('b')
                .and_then(|digits| billions(digits, 1.0))
                .or_else(|| part.strip_suffix('m').and_then(|digits| billions(digits, 1e-3)))
        })
        .next_back();
    match stated {
        Some(billions) if billions <= SMALL_UP_TO_BILLION => Size::Small,
        _ => Size::Large,
    }
}

/// One message of a conversation, as OpenAI's chat format has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` and the like.
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub role: String,
    /// The text; empty when the message holds none (null, absent), its text parts joined when it is a list of parts.
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub content: String,
}

impl Message {
    /// A message of `role` that says `content`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into() }
    }
}

/// One training row: a conversation and the reply that it should get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Everything before the reply.
    pub messages: Vec<Message>,
    /// The reply to learn; its class is the label in double (or more) square brackets, else the whole of it.
    pub reply: String,
    /// The calls that the reply makes; then `reply` is what `calls_as_reply` says of them.
    pub calls: Vec<ToolCall>,
}

/// Reads what a tolerant client of the chat format would: text, a list of text parts, or nothing.
fn text_or_nothing<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Content {
        Text(String),
        Parts(Vec<Part>),
        Other(serde::de::IgnoredAny),
    }
    #[derive(Deserialize)]
    struct Part {
        #[serde(default)]
        text: Option<String>,
    }
    Ok(match Option::<Content>::deserialize(from)? {
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => parts.into_iter().filter_map(|part| part.text).collect::<Vec<_>>().join("\n"),
        Some(Content::Other(_)) | None => String::new(),
    })
}
