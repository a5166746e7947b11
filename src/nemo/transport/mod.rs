//! HTTP to a platform of any generation: one way to send, with timeouts, retries and tokens, and tolerant reading of
//! what comes back. Knows no path of any service.

mod body;
mod error;
mod form;
mod headers;
mod http;
mod list;
mod options;
pub(super) mod read_json;
mod refusal;
mod request;
mod response;
mod send;
mod time;

pub(super) use body::{BodyPiece, RequestBody};
pub use error::{ApiError, ErrorKind};
pub(super) use error::{Cause, Quirks};
pub(super) use form::Form;
pub(super) use options::Base;
pub use options::{BaseUrls, ClientOptions};
pub use refusal::Refusal;
pub(super) use request::{ApiRequest, Destination, Endpoint};
pub(super) use response::ApiResponse;
#[cfg(test)]
pub(super) use response::Arrival;
pub(super) use send::Transport;
