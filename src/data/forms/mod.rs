//! The forms in which a line may hold a record.

pub mod chat_row;
pub mod reshape;
pub mod streamed;
pub mod table;
pub mod template;
