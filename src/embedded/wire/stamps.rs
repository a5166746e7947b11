//! Ids and timestamps in the forms that the services write.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Returns a new id: a random UUID in base 58, behind the prefix if there is one (docs/nemo-api.md, Names, ids and
/// times).
pub(crate) fn new_id(prefix: &str) -> String {
    let random = bs58::encode(uuid::Uuid::new_v4().as_bytes()).into_string();
    if prefix.is_empty() { random } else { format!("{prefix}-{random}") }
}

/// Returns the time as the Python services write it: UTC with microseconds, without a zone.
pub(crate) fn naive_now() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
}

/// Returns the time as Deployment Management writes it: RFC 3339 with nanoseconds.
pub(crate) fn nanos_now() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

/// Returns the time as the Data Store writes it: RFC 3339 with seconds.
pub(crate) fn seconds_now() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
