//! The forms in which a line may hold a record. Each form is a file that turns a line into the JSON of a record. Only
//! [`read`] tries them.

pub(crate) mod answer_parts;
pub(crate) mod bare;
pub(crate) mod batches;
pub(crate) mod chat_row;
pub(crate) mod function_call;
pub(crate) mod presets;
pub(crate) mod reshape;
pub(crate) mod rows_to_csv;
pub(crate) mod stored_completions;
pub(crate) mod streamed;
pub(crate) mod system_prompt;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod wrapped;

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
    let mut used = [false; CONVERTERS.len()];
    loop {
        let refused = match read(&json) {
            Err(refused) => refused,
            read => return read,
        };
        let mut converted = CONVERTERS.iter().enumerate().filter(|(n, converter)| {
            let is_allowed = !converter.is_for_load || forms == Forms::LoggedAndChatRows;
            is_allowed && !used[*n] && converter.explains.contains(&refused)
        });
        let converted = converted.find_map(|(n, converter)| Some((n, (converter.record_of)(&json)?)));
        let (n, record) = converted.ok_or(refused)?;
        json = Cow::Owned(record?);
        used[n] = true;
    }
}

/// A form that is turned into a record.
struct Converter {
    /// Reasons to refuse a line that the form explains.
    explains: &'static [Reject],
    is_for_load: bool,
    /// Returns the JSON of the record, or `None` if the line has not this form.
    record_of: RecordOf,
}

/// Returns the JSON of the record that a line holds in some form, or `None` if the line has not this form.
type RecordOf = fn(&[u8]) -> Option<Result<Vec<u8>, Reject>>;

const CONVERTERS: [Converter; 7] = [
    Converter {
        explains: &[Reject::MissingWorkload, Reject::NoRequest],
        is_for_load: false,
        record_of: presets::refused,
    },
    Converter {
        explains: &[Reject::NoRequest, Reject::BadResponse, Reject::NoChoices],
        is_for_load: false,
        record_of: bare::record_of,
    },
    Converter { explains: &[Reject::NoRequest], is_for_load: true, record_of: chat_row::record_of },
    Converter { explains: &[Reject::BadMessage], is_for_load: false, record_of: system_prompt::record_of },
    Converter { explains: &[Reject::BadResponse], is_for_load: false, record_of: streamed::record_of },
    Converter { explains: &[Reject::BadContent], is_for_load: false, record_of: answer_parts::record_of },
    Converter { explains: &[Reject::BadFunctionCall], is_for_load: false, record_of: function_call::record_of },
];
