//! Tools, their calls, and the training rows with calls that an adapter keeps.

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    pub name: String,
    /// A JSON object as text.
    pub arguments: String,
}

/// A function that a reply may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub name: String,
    pub description: String,
}

/// The parts of a training row with tool calls that an adapter keeps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CallExample {
    pub(super) class: usize,
    /// The text of the user's last message.
    pub(super) text: String,
    pub(super) calls: Vec<ToolCall>,
}

impl CallExample {
    /// Returns true if every called function is among `tools`.
    pub(super) fn uses_only(&self, tools: &[Tool]) -> bool {
        self.calls.iter().all(|call| tools.iter().any(|tool| tool.name == call.name))
    }
}

/// Returns the class of a reply that makes these calls.
pub(crate) fn calls_as_reply(calls: &[ToolCall]) -> String {
    calls.iter().map(|call| call.name.as_str()).collect::<Vec<_>>().join(" + ")
}
