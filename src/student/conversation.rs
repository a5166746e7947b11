//! Conversations in the form of OpenAI's chat format, as students read them.

use serde::{Deserialize, Deserializer};

use super::tool_call::ToolCall;

/// One message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Message {
    /// Such as `system`, `user` or `assistant`.
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub role: String,
    /// The text. Empty for null or absent content. The text parts of a list are joined with line breaks.
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub content: String,
}

impl Message {
    /// Creates a message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into() }
    }

    /// Returns true if the message instructs the model instead of asking it.
    pub(super) fn is_instruction(&self) -> bool {
        matches!(self.role.as_str(), "system" | "developer")
    }
}

/// Returns the text of the user's last message, or an empty text when there is none.
pub(super) fn last_user_text(messages: &[Message]) -> &str {
    messages.iter().rev().find(|message| message.role == "user").map_or("", |message| message.content.as_str())
}

/// One training row: a conversation and the reply to learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Everything before the reply.
    pub messages: Vec<Message>,
    /// The reply. Its class is the label in double (or more) square brackets, or the whole reply without such a label.
    pub reply: String,
    /// The calls that the reply makes. A row with calls has `calls_as_reply` of them as its `reply`.
    pub calls: Vec<ToolCall>,
}

/// Reads content as a tolerant client of the chat format does: a text, a list of text parts, or anything else as nothing.
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
