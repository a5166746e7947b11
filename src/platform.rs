//! Connects to the platform of a plan: to remote endpoints, or to the embedded server on 127.0.0.1. The only file that knows
//! both the client and the embedded platform.

use std::path::Path;

use anyhow::Context as _;

use crate::config::env::Environment;
use crate::config::plan::Plan;
use crate::config::{known_secrets, unfit_secrets};
use crate::embedded;
use crate::nemo::{BaseUrls, Client, ClientOptions, Secret};
use crate::vocabulary::{Generation, PlatformId, PlatformKind};

pub(crate) use crate::embedded::{
    AccessToken, Clock, DataDirError, FaultSpec, Options as ServeOptions, Server, StartError, UploadMode,
};

/// A connected platform.
#[derive(Debug)]
pub(crate) struct Platform {
    pub nemo: Client,
    pub id: PlatformId,
    /// As the platform itself tells, whatever the configuration says.
    pub kind: PlatformKind,
    /// The server inside this process. It ends when this is dropped.
    _server: Option<embedded::Server>,
}

/// A variable that the configuration names is not set.
#[derive(Debug, thiserror::Error)]
#[error("{key} names the environment variable {name}, which is not set")]
pub(crate) struct Unset {
    pub key: String,
    pub name: String,
}

/// A variable holds a secret that cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the environment variable {0}: it has a line break or another control character inside")]
pub(crate) struct Unfit(String);

/// Connects to the platform of a plan, or starts it inside this process with `gpus` GPUs. The first call reaches a remote
/// platform.
///
/// # Errors
/// When the server cannot be started, a secret that the plan names is not set, or a certificate cannot be read.
pub(crate) fn connect(plan: &Plan, environment: &Environment, gpus: u32) -> anyhow::Result<Platform> {
    // A resumed run reads them, but not its configuration.
    if let Some(name) = unfit_secrets(plan, environment).pop() {
        return Err(Unfit(name).into());
    }
    let platform = match plan.platform.kind {
        _ if plan.rehearse => start(gpus)?,
        PlatformKind::Embedded => start(gpus)?,
        PlatformKind::Nemo => remote(plan, environment)?,
    };
    // Also those that this process never sends: a job of an earlier one may say them in its reason.
    for secret in known_secrets(plan, environment) {
        platform.nemo.hide(&Secret::new(secret));
    }
    Ok(platform)
}

fn start(gpus: u32) -> anyhow::Result<Platform> {
    let options = embedded::Options { gpus, ..embedded::Options::default() };
    let server = embedded::Server::start(options).context("cannot start the embedded platform")?;
    let (nemo, nim, datastore) = server.base_urls();
    let id = PlatformId::InProcess(server.instance().to_owned());
    let base_urls = BaseUrls { nemo, nim, datastore };
    let options = ClientOptions { base_urls, bearer: None, hf_token: None, headers: Vec::new(), ca_cert: None };
    let nemo = Client::new(&options, Some(Generation::V1), "").context("cannot connect to the embedded platform")?;
    Ok(Platform { nemo, id, kind: PlatformKind::Embedded, _server: Some(server) })
}

fn remote(plan: &Plan, environment: &Environment) -> anyhow::Result<Platform> {
    let platform = &plan.platform;
    let base_urls = BaseUrls {
        nemo: platform.nemo_base_url.clone(),
        nim: platform.nim_base_url.clone(),
        datastore: platform.datastore_base_url.clone(),
    };
    let id = PlatformId::Remote(format!("{} {} {}", base_urls.nemo, base_urls.nim, base_urls.datastore));
    let bearer = match &platform.api_key_env {
        Some(name) => {
            let unset = || Unset { key: "nmp_config.api_key_env".to_owned(), name: name.clone() };
            let key = environment.get(name).ok_or_else(unset)?;
            Some(Secret::new(key))
        }
        None => None,
    };
    let headers = platform
        .headers
        .iter()
        .map(|(name, value)| Ok((name.clone(), Secret::new(filled(name, value, environment)?))))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let options = ClientOptions {
        base_urls,
        bearer,
        hf_token: environment.get("HF_TOKEN").map(Secret::new),
        headers,
        ca_cert: platform.ca_cert.as_deref().map(Path::to_path_buf),
    };
    let nemo = Client::new(&options, platform.generation, &platform.namespace)
        .context("cannot prepare the connection to NeMo")?;
    Ok(Platform { nemo, id, kind: PlatformKind::Nemo, _server: None })
}

/// Fills in `${NAME}` from the environment.
fn filled(header: &str, value: &str, environment: &Environment) -> anyhow::Result<String> {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let name = &rest[start + 2..start + length];
        let unset = || Unset { key: format!("nmp_config.headers.{header}"), name: name.to_owned() };
        let filling = environment.get(name).ok_or_else(unset)?;
        text.push_str(&rest[..start]);
        text.push_str(filling);
        rest = &rest[start + length + 1..];
    }
    text.push_str(rest);
    Ok(text)
}

impl Platform {
    /// Notes whether the answers so far came from an embedded platform, which may run in another process.
    pub(crate) fn recognise(&mut self) {
        if self.nemo.embedded_instance().is_some() {
            self.kind = PlatformKind::Embedded;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_filled_from_the_environment() {
        let environment = Environment::of([("TOKEN", "t0p")]);
        assert_eq!(filled("x", "Bearer ${TOKEN}!", &environment).unwrap(), "Bearer t0p!");
        assert_eq!(filled("x", "plain $ {TOKEN}", &environment).unwrap(), "plain $ {TOKEN}");
        let missing = filled("x-key", "${NOPE}", &environment).unwrap_err();
        assert!(format!("{missing:#}").contains("nmp_config.headers.x-key names the environment variable NOPE"));
    }
}
