//! The token of a server that other machines reach.

use crate::cli::{Serve, UploadMode};
use crate::config::env::Environment;
use crate::error::{Exit, Fault};
use crate::platform::AccessToken;

/// Returns the token that clients must carry. Who listens on more than this machine needs one.
pub(super) fn of(args: &Serve) -> anyhow::Result<Option<AccessToken>> {
    let is_reached = !args.listen.is_loopback();
    let Some(name) = &args.token_env else {
        return match is_reached {
            true => Err(Fault::new(Exit::Usage, format!("cannot listen on {} without a token", args.listen))
                .hint("export DFWFD_SERVE_TOKEN=$(openssl rand -hex 16) and add --token-env DFWFD_SERVE_TOKEN")
                .into()),
            false => Ok(None),
        };
    };
    if args.upload_mode == UploadMode::Lfs {
        let message = "cannot ask for a token with --upload-mode lfs: its links carry none";
        return Err(Fault::new(Exit::Usage, message).hint("leave --upload-mode out").into());
    }
    match Environment::process().get(name) {
        Some(token) => Ok(Some(AccessToken::new(token))),
        None => {
            Err(Fault::new(Exit::Usage, format!("cannot read the token: the environment variable {name} is not set"))
                .hint(format!("export {name}=$(openssl rand -hex 16)"))
                .into())
        }
    }
}
