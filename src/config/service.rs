//! Resolves what a judge and an embedding model have in common: a NIM of the run or an endpoint that is there, and the API
//! key, which no plan holds.

use super::env::Environment;
use super::node::ConfigNode;
use super::plan::{LocalService, Plan, ServiceKey, ServicePlace, ValueSource};
use super::problem::Problem;
use super::reader::source_of;
use super::resolve::Resolver;
use super::schema::TextForm;
use super::{overrides, placeholders, values, yaml};
use crate::student;
use crate::vocabulary::PlatformKind;

/// A section that names a model and where it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceSection {
    /// The key path.
    pub(super) path: &'static str,
    /// Words of an error: what has to be reached at `url`.
    pub(super) url: &'static str,
    /// The variables that may hold its API key, unless the configuration names one.
    pub(super) key_variables: [&'static str; 2],
}

impl ServiceSection {
    /// Returns the path of a key of the section.
    pub(super) fn at(self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }
}

impl Resolver<'_> {
    /// Tells whether the model is remote. Without `deployment_type`, a URL makes it remote.
    pub(super) fn is_remote(&self, section: ServiceSection) -> bool {
        let reader = self.reader;
        let written = |key: &str| reader.written(&section.at(key)).is_some();
        let stated = ["deployment_type", "type"].into_iter().find(|key| written(key));
        match stated.and_then(|key| reader.text(&section.at(key))) {
            Some(word) => word == "remote",
            None => {
                let (word, why) =
                    if written("url") { ("remote", "a url is given") } else { ("local", "no url is given") };
                reader.note(&section.at("deployment_type"), format!("{word} ({why})"), ValueSource::Default);
                word == "remote"
            }
        }
    }

    /// Returns the URL of a remote model.
    pub(super) fn service_url(&mut self, section: ServiceSection) -> Option<String> {
        let path = section.at("url");
        let url = self.reader.text(&path);
        if url.is_none() && self.reader.is_good(&path) {
            let location = self.location_of(section.path);
            self.problems.push(Problem::missing(location, &path, section.url));
        }
        url
    }

    /// Returns where the API key is. The key itself is not read.
    pub(super) fn service_key(&mut self, section: ServiceSection) -> ServiceKey {
        let reader = self.reader;
        let path = section.at("api_key");
        let masked = |text: &str| format!("****{text}");
        if let Some(node) = reader.written(&path) {
            reader.note(&path, masked(""), source_of(&node.at));
            return ServiceKey::Written;
        }
        let named = reader.text(&section.at("api_key_env"));
        let variables = match &named {
            Some(name) => vec![name.clone()],
            None => section.key_variables.map(str::to_owned).to_vec(),
        };
        match variables.iter().find(|name| self.environment.get(name).is_some()) {
            Some(name) => reader.note(&path, masked(&format!(" ({name})")), ValueSource::Environment),
            None if named.is_some() => {
                self.require_variable(&section.at("api_key_env"), &variables[0]);
            }
            None => reader.note(&path, "none".to_owned(), ValueSource::Default),
        }
        ServiceKey::Variables(variables)
    }

    /// Returns the NIM of a local model.
    pub(super) fn local_service(
        &mut self,
        section: ServiceSection,
        model_name: &str,
        kind: PlatformKind,
        rehearse: bool,
    ) -> LocalService {
        let reader = self.reader;
        let path = if reader.written(&section.at("model_name")).is_some() {
            section.at("model_name")
        } else {
            section.at("model_id")
        };
        if let Some(Err(mismatch)) = reader.written(&path).map(|node| values::text(node, TextForm::Model)) {
            let location = self.location_of(&path);
            self.problems.push(Problem::value(location, &path, mismatch.found, mismatch.allowed));
        } else if kind == PlatformKind::Embedded && !rehearse && !student::NAMES.contains(&model_name) {
            let location = self.location_of(&path);
            let allowed = format!(
                "{} on the embedded platform (or deployment_type: remote, or --rehearse, which stands in for any model)",
                student::NAMES.join(", ")
            );
            self.problems.push(Problem::value(location, &path, format!("the text \"{model_name}\""), allowed));
        }
        LocalService {
            gpus: reader.integer32(&section.at("gpus")),
            pvc_size: reader.text(&section.at("pvc_size")),
            tag: reader.text(&section.at("tag")),
            registry_base: reader.text(&section.at("registry_base")).map(|base| base.trim_end_matches('/').to_owned()),
        }
    }
}

/// Returns the API key of a remote model, from the environment or from the configuration as it is today. It may need none.
pub(super) fn key_of(
    place: &ServicePlace,
    section: ServiceSection,
    plan: &Plan,
    set: &[String],
    environment: &Environment,
) -> Option<String> {
    let ServicePlace::Remote { key, .. } = place else { return None };
    let from = |variables: &[String]| variables.iter().find_map(|name| environment.get(name)).map(str::to_owned);
    match key {
        ServiceKey::Variables(variables) => from(variables),
        ServiceKey::Written => {
            let usual = || from(&section.key_variables.map(str::to_owned));
            written(&section.at("api_key"), plan, set, environment).or_else(usual)
        }
    }
}

fn written(path: &str, plan: &Plan, set: &[String], environment: &Environment) -> Option<String> {
    let text = plan.config_file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    let mut root = text.and_then(|text| yaml::read(&text).ok()).unwrap_or_else(ConfigNode::empty);
    placeholders::fill(&mut root, environment);
    let mut ignored = Vec::new();
    overrides::apply_variables(&mut root, environment.iter(), &mut ignored);
    overrides::apply_sets(&mut root, set, &mut ignored);
    values::text(root.find(path)?, TextForm::Secret).ok()
}
