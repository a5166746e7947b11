//! The credentials of an MLflow server, from the variables that MLflow's own client reads. They are never shown or stored.

use std::fmt;

/// The credentials of a server.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) enum Login {
    #[default]
    None,
    Basic(String, String),
    Token(String),
}

impl Login {
    /// Finds the credentials with `get`, which reads the environment. A user name with a password is stronger than a token,
    /// as for MLflow's client. `in_url` are the ones in the variable with the URL.
    pub(crate) fn find<'a>(in_url: Option<(String, String)>, get: impl Fn(&str) -> Option<&'a str>) -> Login {
        let named = get("MLFLOW_TRACKING_USERNAME").zip(get("MLFLOW_TRACKING_PASSWORD"));
        match (named.map(|(user, password)| (user.to_owned(), password.to_owned())), get("MLFLOW_TRACKING_TOKEN")) {
            (Some((user, password)), _) => Login::Basic(user, password),
            (None, Some(token)) => Login::Token(token.to_owned()),
            (None, None) => in_url.map_or(Login::None, |(user, password)| Login::Basic(user, password)),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Login::None => "None",
            Login::Basic(..) => "Basic(****)",
            Login::Token(_) => "Token(****)",
        })
    }
}
