//! The wire formats that all services share: refusals, request bodies and their fields, lists, ids, timestamps, masked
//! keys. They are defined again here, apart from `nemo/`, because a typo shared with the client would pass every test.

pub(crate) mod fields;
pub(crate) mod listing;
pub(crate) mod masking;
pub(crate) mod refusal;
pub(crate) mod request_body;
pub(crate) mod stamps;
