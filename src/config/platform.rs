//! Resolves `nmp_config` into the platform of a plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::placeholders::{no_default, placeholders, with_default};
use super::plan::{PlatformPlan, ValueSource};
use super::problem::Problem;
use super::resolve::Resolver;
use super::{Invocation, Need, check, locate};
use crate::vocabulary::{Generation, PlatformKind};

/// The ends of URLs that people copy from the pages of the services. The client adds its own paths.
const API_PATHS: [&str; 6] =
    ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/v1/hf", "/v1"];

impl Resolver<'_> {
    /// Returns the platform and how to reach it.
    pub(super) fn platform(&mut self, invocation: &Invocation) -> PlatformPlan {
        let reader = self.reader;
        let embedded = reader.text("nmp_config.platform").as_deref() == Some("embedded") || invocation.rehearse;
        if invocation.rehearse {
            reader.note("nmp_config.platform", "embedded (--rehearse)".to_owned(), ValueSource::Flag);
        }
        let mut platform = PlatformPlan {
            kind: if embedded { PlatformKind::Embedded } else { PlatformKind::Nemo },
            nemo_base_url: String::new(),
            nim_base_url: String::new(),
            datastore_base_url: String::new(),
            generation: match reader.text("nmp_config.generation").as_deref() {
                Some("v1") => Some(Generation::V1),
                Some("helix") => Some(Generation::Helix),
                _ => None,
            },
            namespace: reader.text("nmp_config.nmp_namespace").unwrap_or_default(),
            api_key_env: None,
            ca_cert: None,
            headers: BTreeMap::new(),
            nim_parallelism: reader.integer("nmp_config.nim_parallelism").and_then(|number| u32::try_from(number).ok()),
        };
        if embedded {
            if !invocation.rehearse {
                self.warn_of_unused_keys();
            }
            return platform;
        }
        platform.nemo_base_url = self.base_url("nemo_base_url", "http://nemo.test", invocation);
        if self.is_helix() {
            platform.generation = Some(Generation::Helix);
            platform.nim_base_url = platform.gateway();
            platform.datastore_base_url.clone_from(&platform.nemo_base_url);
        } else {
            platform.nim_base_url = self.base_url("nim_base_url", "http://nim.test", invocation);
            platform.datastore_base_url = self.base_url("datastore_base_url", "http://data-store.test", invocation);
        }
        if !platform.nemo_base_url.is_empty() && platform.nemo_base_url == platform.nim_base_url {
            self.warnings.push(
                "nmp_config.nemo_base_url and nmp_config.nim_base_url are the same; one of them is probably wrong, \
                 because the two services answer /v1/models differently"
                    .to_owned(),
            );
        }
        platform.api_key_env = reader.text("nmp_config.api_key_env");
        platform.headers = self.headers();
        platform.ca_cert = self.ca_cert("nmp_config.ca_cert");
        if invocation.need == Need::Candidates {
            self.require_variables(&platform);
        }
        platform
    }

    /// Reports whether the configuration says that the platform is Helix: by name, or because there is one base URL.
    pub(super) fn is_helix(&self) -> bool {
        let has = |key: &str| self.reader.text(&format!("nmp_config.{key}")).is_some();
        match self.reader.text("nmp_config.generation").as_deref() {
            Some("helix") => true,
            Some("v1") => false,
            _ => has("nemo_base_url") && !has("nim_base_url") && !has("datastore_base_url"),
        }
    }

    fn base_url(&mut self, key: &str, example: &str, invocation: &Invocation) -> String {
        let path = format!("nmp_config.{key}");
        match self.reader.text(&path) {
            Some(url) => {
                let url = url.trim_end_matches('/').to_owned();
                if let Some(base) = API_PATHS.iter().find_map(|path| url.strip_suffix(path)) {
                    let location = self.location_of(&path);
                    let wrong = format!("ends with a path of the API, which is added to it: write {base}");
                    self.problems.push(Problem::other(location, &path, wrong));
                }
                url
            }
            None => {
                let known = self.reader.is_good(&path) && self.reader.is_good("nmp_config.platform");
                let begun = self.file.is_some() || self.reader.list_len("nims") > 0;
                if known && begun && invocation.need == Need::Candidates {
                    let location = self.location_of(&path);
                    let needed = format!(
                        "the URL of the cluster's service, such as {example}; or nmp_config.platform: embedded, which needs none"
                    );
                    self.problems.push(Problem::missing(location, &path, needed));
                }
                String::new()
            }
        }
    }

    fn warn_of_unused_keys(&mut self) {
        let keys = ["nemo_base_url", "nim_base_url", "datastore_base_url", "api_key_env", "ca_cert", "headers"];
        let given: Vec<&str> =
            keys.into_iter().filter(|key| self.reader.written(&format!("nmp_config.{key}")).is_some()).collect();
        if !given.is_empty() {
            let verb = if given.len() == 1 { "has" } else { "have" };
            self.warnings.push(format!("nmp_config.{} {verb} no effect on the embedded platform", given.join(", ")));
        }
    }

    fn headers(&mut self) -> BTreeMap<String, String> {
        let path = "nmp_config.headers";
        let headers = self.reader.named_texts(path);
        for (name, value) in &headers {
            let path = check::join(path, name);
            if let Some(wrong) = header_problem(name, value) {
                let location = self.location_of(&path);
                self.problems.push(Problem::other(location, &path, wrong));
            }
        }
        headers
    }

    /// Returns the certificate authority that this key names.
    pub(super) fn ca_cert(&mut self, path: &str) -> Option<PathBuf> {
        let text = self.reader.text(path)?;
        let base = self.reader.written(path).map_or(self.folder, |node| self.base_of(&node.at));
        let file = locate::absolute(base, Path::new(&text));
        if !file.is_file() {
            let location = self.location_of(path);
            self.problems.push(Problem::other(location, path, format!("there is no file {}", file.display())));
        }
        Some(file)
    }

    /// Requires every variable that the platform's keys name. Without them a service would refuse in the middle of a run.
    fn require_variables(&mut self, platform: &PlatformPlan) {
        let mut needed: Vec<(String, String)> = Vec::new();
        if let Some(name) = &platform.api_key_env {
            needed.push(("nmp_config.api_key_env".to_owned(), name.clone()));
        }
        for (header, value) in &platform.headers {
            let path = format!("nmp_config.headers.{header}");
            needed.extend(placeholders(value).map(|name| (path.clone(), name.to_owned())));
        }
        for (path, name) in needed {
            match with_default(&name) {
                Some(name) => {
                    let location = self.location_of(&path);
                    self.problems.push(Problem::other(location, &path, no_default(name)));
                }
                None => self.require_variable(&path, &name),
            }
        }
    }

    /// Reports a variable that a key names and that is not set.
    pub(super) fn require_variable(&mut self, path: &str, name: &str) {
        if self.environment.get(name).is_none() {
            let location = self.location_of(path);
            let sentence = format!("the environment variable {name} is not set, and no .env file sets it");
            self.problems.push(Problem::unset(location, path, sentence));
        }
    }
}

fn header_problem(name: &str, value: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let is_secret = ["auth", "key", "token", "secret", "cookie", "password"].iter().any(|word| lower.contains(word));
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        Some("not the name of a header; allowed: letters, digits, `-` and `_`")
    } else if is_secret && !value.contains("${") {
        Some(
            "looks like a secret in plain text; allowed: the name of an environment variable, such as \"Bearer ${MY_TOKEN}\"",
        )
    } else if value.chars().any(char::is_control) {
        Some("not the value of a header; allowed: one line of text")
    } else {
        None
    }
}
