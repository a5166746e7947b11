//! The config of a deployment: looks it up, checks it, and fills in defaults.

use serde_json::{Value, json};

use crate::embedded::hosted_endpoints::HostedEndpoint;
use crate::embedded::state::PlatformState;
use crate::embedded::state::deployment::{HostedModels, model_of};
use crate::embedded::wire::fields::{Fields, Object};
use crate::embedded::wire::refusal::Refusal;

/// A checked config, and the parts of it that decide how the deployment behaves.
pub(super) struct ResolvedConfig {
    pub(super) model: String,
    pub(super) gpus: u32,
    pub(super) lora: bool,
    /// The config of the answer.
    pub(super) config: Value,
}

/// Resolves the config in a request body. `port` is the port of this platform.
pub(super) fn resolve(state: &PlatformState, body: &Object, port: u16) -> Result<ResolvedConfig, Refusal> {
    let config = look_up(state, body)?;
    let empty = Object::new();
    let parts = config.as_object().unwrap_or(&empty);
    let mut fields = Fields::inside(parts, &["config"]);
    fields.reference("model");
    if let Some(nim) = fields.object("nim_deployment") {
        let settings = NimSettings::read(nim, fields)?;
        return nim_config(config, settings);
    }
    if let Some(external) = fields.object("external_endpoint") {
        let mut inner = Fields::inside(external, &["config", "external_endpoint"]);
        inner.require("host_url");
        for key in ["host_url", "api_key"] {
            inner.text(key);
        }
        inner.list("enabled_models");
        inner.done()?;
        return hosted_config(config, port);
    }
    fields.require("nim_deployment");
    fields.done()?;
    Err(Refusal::unprocessable("nim_deployment is required"))
}

/// Returns the config in a body, or the stored one that it names.
fn look_up(state: &PlatformState, body: &Object) -> Result<Value, Refusal> {
    let mut fields = Fields::of(body);
    fields.require("config");
    let config = fields.reference("config").cloned();
    fields.done()?;
    match config {
        Some(Value::String(urn)) => {
            let stored = state.deployment_configs.by_urn(&urn).cloned();
            stored.ok_or_else(|| Refusal::not_found(format!("deployment config {urn} not found")))
        }
        other => Ok(other.unwrap_or_default()),
    }
}

/// The settings of a NIM.
struct NimSettings {
    gpus: u32,
    lora: bool,
    /// The model name that `NIM_SERVED_MODEL_NAME` sets.
    served_name: Option<String>,
}

impl NimSettings {
    /// Reads them. `outer` holds the problems of the config around them.
    fn read(nim: &Object, outer: Fields<'_>) -> Result<Self, Refusal> {
        let mut fields = Fields::inside(nim, &["config", "nim_deployment"]);
        let gpus = fields.count("gpu").map_or(1, |gpus| u32::try_from(gpus).unwrap_or(u32::MAX));
        for key in ["image_name", "image_tag", "pvc_size", "namespace"] {
            fields.text(key);
        }
        let lora = !fields.flag("disable_lora_support").unwrap_or(false);
        let envs = fields.object("additional_envs");
        let mut problems = outer.into_problems();
        problems.extend(fields.into_problems());
        if !problems.is_empty() {
            return Err(Refusal::invalid(problems));
        }
        let served = envs.and_then(|envs| envs.get("NIM_SERVED_MODEL_NAME")).and_then(Value::as_str);
        Ok(NimSettings { gpus, lora, served_name: served.filter(|name| !name.is_empty()).map(str::to_owned) })
    }
}

/// Resolves the config of a NIM.
fn nim_config(mut config: Value, settings: NimSettings) -> Result<ResolvedConfig, Refusal> {
    let NimSettings { gpus, lora, served_name } = settings;
    let Some(model) = served_name.or_else(|| model_of(&config).map(str::to_owned)) else {
        return Err(Refusal::unprocessable("config.model says which model to serve, and is missing"));
    };
    let nim = &mut config["nim_deployment"];
    let defaults = [("additional_envs", json!({})), ("disable_lora_support", json!(false)), ("gpu", json!(gpus))];
    for (key, default) in defaults {
        if nim[key].is_null() {
            nim[key] = default;
        }
    }
    // Some clients send null for a setting that their user left out, but the schema wants text.
    for (key, default) in [("image_tag", "latest"), ("pvc_size", "25Gi")] {
        if nim.get(key).is_some_and(Value::is_null) {
            nim[key] = json!(default);
        }
    }
    Ok(ResolvedConfig { model, gpus, lora, config })
}

/// Resolves the config of a hosted endpoint, which takes no GPU.
fn hosted_config(config: Value, port: u16) -> Result<ResolvedConfig, Refusal> {
    let url = config["external_endpoint"]["host_url"].as_str().unwrap_or_default();
    let endpoint = HostedEndpoint::of_host(url, None);
    let endpoint =
        endpoint.map_err(|why| Refusal::unprocessable(format!("config.external_endpoint.host_url: {why}")))?;
    if endpoint.is_own(port) {
        return Err(Refusal::unprocessable("config.external_endpoint.host_url is this platform itself"));
    }
    let model = HostedModels::of(&config).and_then(|hosted| hosted.models.into_iter().next());
    let missing = "config.external_endpoint.enabled_models, or config.model, says which models are there";
    let model = model.ok_or_else(|| Refusal::unprocessable(missing))?;
    Ok(ResolvedConfig { model, gpus: 0, lora: false, config })
}
