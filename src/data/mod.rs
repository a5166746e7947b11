//! Records and datasets, pure and synchronous: bytes in, values out.

pub mod corpus;
pub mod counts;
pub mod entry;
pub mod forms;
pub mod intake;
pub mod json;
pub mod label;
pub mod options;
pub mod origin;
pub mod record;
pub mod reject;
pub mod rows;
pub mod split;
pub mod text_keys;
pub mod timestamp;
pub mod unusable;
pub mod userinfo;
pub mod workload_type;
