//! Records and datasets, pure and synchronous: bytes in, values out.

pub mod canonical;
pub mod chat;
pub mod corpus;
pub mod draw;
pub mod intake;
pub mod kind;
pub mod label;
pub(crate) mod members;
pub mod options;
pub mod record;
pub mod reshape;
pub mod rows;
pub mod rules;
pub mod split;
pub mod streamed;
pub mod table;
pub mod tape;
pub mod template;
pub mod text;
pub mod timestamp;
pub mod unusable;
pub mod userinfo;
