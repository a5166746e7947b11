//! Changes single values of a JSON text and leaves all others as they are written.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::data::json::members;
use crate::data::reject::Reject;

/// The members of a JSON object that is changed, each value as its JSON text.
pub(crate) struct EditedObject<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl EditedObject<'_> {
    /// Returns the value of a key. Null counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| &**value).filter(|value| *value != "null")
    }

    /// Returns all keys.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.0.iter().map(|(key, _)| key.clone().into_owned()).collect()
    }

    /// Replaces the value of a key, or adds the key.
    pub(crate) fn set(&mut self, key: &str, value: String) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = Cow::Owned(value),
            None => self.0.push((Cow::Owned(key.to_owned()), Cow::Owned(value))),
        }
    }

    /// Drops a key.
    pub(crate) fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| name != key);
    }

    /// Drops all keys whose value is null.
    pub(crate) fn remove_nulls(&mut self) {
        self.0.retain(|(_, value)| value != "null");
    }

    /// Returns the object as JSON text.
    pub(crate) fn to_json(&self) -> String {
        let mut out = Vec::new();
        members::write_object(self.0.iter().map(|(key, value)| (key.as_ref(), value.as_bytes())), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// Reads an object to be changed.
pub(crate) fn members(json: &str) -> Result<EditedObject<'_>, Reject> {
    let members: members::Members<'_> = serde_json::from_str(json).map_err(|_| Reject::InvalidJson)?;
    Ok(EditedObject(members.0.into_iter().map(|(key, value)| (key, Cow::Borrowed(value.get()))).collect()))
}

/// Reads the items of a list as they are written.
pub(crate) fn items(json: &str) -> Result<Vec<&RawValue>, Reject> {
    serde_json::from_str(json).map_err(|_| Reject::InvalidJson)
}

/// Returns a JSON object with every value replaced by the result of `change`. Other JSON stays as it is.
pub(crate) fn edit(json: &str, change: &mut dyn FnMut(&str, &str) -> Result<String, Reject>) -> Result<String, Reject> {
    if !json.starts_with('{') {
        return Ok(json.to_owned());
    }
    let mut object = members(json)?;
    for (key, value) in &mut object.0 {
        *value = Cow::Owned(change(key, value)?);
    }
    Ok(object.to_json())
}

/// Returns a JSON list with every item replaced by the result of `change`.
pub(crate) fn edit_items(
    json: &str,
    change: &mut dyn FnMut(usize, &str) -> Result<String, Reject>,
) -> Result<String, Reject> {
    let items = items(json)?;
    let changed: Result<Vec<String>, Reject> =
        items.iter().enumerate().map(|(n, item)| change(n, item.get())).collect();
    Ok(format!("[{}]", changed?.join(",")))
}
