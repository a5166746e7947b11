//! The credentials of the log store. Reads them from the environment variables that the plan names. They are never shown
//! or stored.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::data::options::{IndexAt, LogSource};
use crate::data::userinfo;
use crate::remote_text::Mask;

/// The variable with the API key, unless the configuration names another.
pub(crate) const API_KEY: &str = "ELASTICSEARCH_API_KEY";

/// The variable with the URL of the server, which may contain a user name and a password.
const URL: &str = "ELASTICSEARCH_URL";

/// The credentials of the log store.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// None are needed, or none are set.
    #[default]
    None,
    /// An API key, encoded as the server returns it.
    ApiKey(String),
    /// A user name and a password.
    Basic(String, String),
}

impl Credentials {
    /// Finds the credentials of a source with `get`, which reads the environment. Variables that the configuration names
    /// come first, then the user in the URL of the server, then the usual variable.
    pub(crate) fn find<'a>(input: &LogSource, get: impl Fn(&str) -> Option<&'a str>) -> Credentials {
        let LogSource::Elasticsearch(at) = input else { return Credentials::None };
        let IndexAt { url, api_key_env, username_env, password_env, .. } = &**at;
        let value = |name: &Option<String>| name.as_deref().and_then(&get);
        if let Some(key) = value(api_key_env) {
            return Credentials::ApiKey(key.to_owned());
        }
        if let (Some(user), Some(password)) = (value(username_env), value(password_env)) {
            return Credentials::Basic(user.to_owned(), password.to_owned());
        }
        // The user of one server must not be sent to another.
        let of_url = get(URL).map(userinfo::apart).filter(|(bare, _)| bare.trim_end_matches('/') == url);
        if let Some((_, Some((user, password)))) = of_url {
            return Credentials::Basic(user, password);
        }
        get(API_KEY).map_or(Credentials::None, |key| Credentials::ApiKey(key.to_owned()))
    }

    /// Returns what hides them in the words of a server, also as they stand in the header of a request.
    pub(crate) fn mask(&self) -> Mask {
        let mut mask = Mask::default();
        match self {
            Credentials::None => {}
            Credentials::ApiKey(key) => mask.add(key),
            Credentials::Basic(user, password) => {
                mask.add(&BASE64.encode(format!("{user}:{password}")));
                mask.add(password);
            }
        }
        mask
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::ApiKey(_) => "ApiKey(****)",
            Credentials::Basic(..) => "Basic(****)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_stronger_than_the_usual_and_nothing_is_shown() {
        let at = |api: Option<&str>, user: Option<&str>| {
            LogSource::Elasticsearch(Box::new(IndexAt {
                api_key_env: api.map(str::to_owned),
                username_env: user.map(str::to_owned),
                password_env: user.map(|_| "P".to_owned()),
                ..IndexAt::default()
            }))
        };
        let get = |name: &str| match name {
            API_KEY => Some("usual"),
            "K" => Some("hunter2"),
            "U" | "P" => Some("hunter3"),
            _ => None,
        };
        assert_eq!(Credentials::find(&at(None, None), get), Credentials::ApiKey("usual".into()));
        assert_eq!(Credentials::find(&at(Some("K"), None), get), Credentials::ApiKey("hunter2".into()));
        let basic = Credentials::find(&at(None, Some("U")), get);
        assert_eq!(basic, Credentials::Basic("hunter3".into(), "hunter3".into()));
        assert_eq!(Credentials::find(&LogSource::Stdin, get), Credentials::None);
        assert!(!format!("{basic:?}").contains("hunter"));
        let shown = basic.mask().text("no user hunter3, Authorization: Basic aHVudGVyMzpodW50ZXIz");
        assert_eq!(shown, "no user ***, Authorization: Basic ***");
        let in_url = |name: &str| match name {
            URL => Some("https://u:hunter2@es.test/"),
            API_KEY => Some("usual"),
            _ => None,
        };
        let at = |url: &str| LogSource::Elasticsearch(Box::new(IndexAt { url: url.to_owned(), ..IndexAt::default() }));
        let found = Credentials::find(&at("https://es.test"), in_url);
        assert_eq!(found, Credentials::Basic("u".into(), "hunter2".into()));
        assert_eq!(Credentials::find(&at("https://other.test"), in_url), Credentials::ApiKey("usual".into()));
    }
}
