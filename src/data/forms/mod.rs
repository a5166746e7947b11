//! The forms in which a line may hold a record. Each form is a file that turns a line into the JSON of a record. Only
//! [`read`] tries them.

pub(crate) mod answer_parts;
pub(crate) mod chat_row;
pub(crate) mod function_call;
pub(crate) mod reshape;
pub(crate) mod streamed;
pub(crate) mod table;
pub(crate) mod template;

use std::borrow::Cow;

use crate::data::reject::Reject;

/// The forms that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forms {
    /// Log records, whose response may be whole or streamed.
    Logged,
    /// Log records and chat rows.
    LoggedAndChatRows,
}

/// Reads a line with `read`, which takes the JSON of a record. If it refuses the line for a reason that another form
/// explains, the line is turned into a record and read again. A line may have several such forms, each once.
pub(crate) fn read<T>(
    line: &[u8],
    forms: Forms,
    mut read: impl FnMut(&[u8]) -> Result<T, Reject>,
) -> Result<T, Reject> {
    let mut json = Cow::Borrowed(line);
    let mut tried = Vec::new();
    loop {
        let refused = match read(&json) {
            Err(refused) if !tried.contains(&refused) => refused,
            other => return other,
        };
        let record = match refused {
            Reject::NoRequest if forms == Forms::LoggedAndChatRows => chat_row::record_of(&json),
            Reject::BadResponse => streamed::record_of(&json),
            Reject::BadContent => answer_parts::record_of(&json),
            Reject::BadFunctionCall => function_call::record_of(&json),
            _ => None,
        };
        json = Cow::Owned(record.ok_or(refused)??);
        tried.push(refused);
    }
}
