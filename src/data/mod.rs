//! Records and datasets, pure and synchronous: bytes in, values out.

pub(crate) mod corpus;
pub(crate) mod counts;
pub(crate) mod entry;
pub(crate) mod examples;
pub(crate) mod forms;
pub(crate) mod gold;
pub(crate) mod groups;
pub(crate) mod intake;
pub(crate) mod json;
pub(crate) mod label;
pub(crate) mod near_copies;
pub(crate) mod normal_form;
pub(crate) mod options;
pub(crate) mod origin;
pub(crate) mod record;
pub(crate) mod redact;
pub(crate) mod reject;
pub(crate) mod request_keys;
pub(crate) mod rows;
pub(crate) mod split;
pub(crate) mod thoughts;
pub(crate) mod timestamp;
pub(crate) mod unusable;
pub(crate) mod userinfo;
pub(crate) mod workload_type;
