//! The forms in which a line may hold a record. Each form is a file that turns a line into the JSON of a record. Only
//! [`read`] tries them.

pub(crate) mod chat_row;
pub(crate) mod reshape;
pub(crate) mod streamed;
pub(crate) mod table;
pub(crate) mod template;

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
/// explains, the line is turned into a record and read again.
pub(crate) fn read<T>(
    line: &[u8],
    forms: Forms,
    mut read: impl FnMut(&[u8]) -> Result<T, Reject>,
) -> Result<T, Reject> {
    let refused = match read(line) {
        Err(refused @ (Reject::NoRequest | Reject::BadResponse)) => refused,
        other => return other,
    };
    let record = match refused {
        Reject::NoRequest if forms == Forms::LoggedAndChatRows => chat_row::record_of(line),
        Reject::BadResponse => streamed::record_of(line).map(Ok),
        _ => None,
    };
    read(&record.ok_or(refused)??)
}
