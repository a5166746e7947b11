//! A checked tree, flags and environment into a plan: the platform, training, limits, and what they must be together.

use std::path::{Path, PathBuf};

use super::check::{self, Checked, Fault, Finding};
use super::env::Environment;
use super::file::Document;
use super::find::{self, Found};
use super::node::At;
use super::plan::{Limits, LogLevel, Plan, PlatformKind, PlatformPlan, Source, Training};
use super::problem::{Place, Problem, Problems, Wrong};
use super::settings::{Settings, source};
use super::{Invocation, Need, Surroundings};

/// A plan in the making.
pub(crate) struct Resolve<'a> {
    /// Typed reading of the tree.
    pub settings: &'a Settings<'a>,
    /// The folder that paths in the file are relative to.
    pub folder: &'a Path,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
    /// What is noteworthy so far.
    pub warnings: Vec<String>,
    /// Variables of the process and of `.env`.
    pub environment: &'a Environment,
    cwd: &'a Path,
    file: Option<&'a Path>,
    document: Option<&'a Document>,
}

/// What a tree was made from.
pub(crate) struct Made<'a> {
    /// The configuration file.
    pub found: &'a Found,
    /// What was read from it; `None` without a file.
    pub document: Option<&'a Document>,
    /// The tree with all overrides.
    pub root: &'a super::node::Node,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
    /// Variables of the process and of `.env`.
    pub environment: &'a Environment,
}

/// The plan of an invocation, or everything that is wrong.
pub(crate) fn plan(made: Made<'_>, invocation: &Invocation, around: &Surroundings) -> Result<Plan, Problems> {
    let checked = check::check(made.root);
    let settings = Settings::new(made.root, &checked);
    let mut resolve = Resolve {
        settings: &settings,
        folder: made.found.folder(&around.cwd),
        problems: made.problems,
        warnings: checked.warnings.clone(),
        environment: made.environment,
        cwd: &around.cwd,
        file: made.found.path(),
        document: made.document,
    };
    resolve.findings(&checked);
    let state_dir = resolve.state_dir(invocation);
    let platform = resolve.platform(invocation);
    let data = resolve.request(invocation, around, &state_dir);
    let candidates = resolve.candidates(invocation, platform.kind);
    resolve.candidates_needed(invocation);
    let judge = resolve.judge(invocation, platform.kind, data.workload_type, &candidates);
    resolve.noteworthy();
    let training = resolve.training();
    let limits = limits(&settings);
    let log_level = level(&settings);
    let gpus = settings.whole("gpus").and_then(|gpus| u32::try_from(gpus).ok());
    let Resolve { problems, warnings, .. } = resolve;
    if !problems.is_empty() {
        return Err(Problems::new(problems));
    }
    Ok(Plan {
        config_file: made.found.path().map(Path::to_owned),
        state_dir,
        platform,
        rehearse: invocation.rehearse,
        data,
        candidates,
        judge,
        training,
        gpus,
        limits,
        log_level,
        origins: settings.origins(),
        warnings,
    })
}

impl Resolve<'_> {
    /// Where the value at a key path is written, with its line.
    pub(crate) fn place_of(&self, path: &str) -> Place {
        self.show(self.settings.place(path))
    }

    /// The folder that a path written there is relative to.
    pub(crate) fn base_of(&self, at: &At) -> &Path {
        match at {
            At::Set(_) => self.cwd,
            At::Variable(name) if !self.environment.in_file(name) => self.cwd,
            _ => self.folder,
        }
    }

    fn show(&self, at: &At) -> Place {
        match (at, self.file) {
            (At::Set(_), _) => Place::Set,
            (At::Variable(name), _) => Place::Variable(name.clone()),
            (At::File(number), Some(file)) => {
                Place::File(self.shown_file(file), self.document.and_then(|document| document.line(*number)))
            }
            (At::Default, Some(file)) => Place::File(self.shown_file(file), None),
            (_, None) => Place::NoFile,
        }
    }

    /// The file as one would type it from here.
    fn shown_file(&self, file: &Path) -> PathBuf {
        file.strip_prefix(self.cwd).unwrap_or(file).to_owned()
    }

    fn findings(&mut self, checked: &Checked) {
        for Finding { at, path, what } in &checked.findings {
            let what = match what.clone() {
                Fault::Unknown { nearest, allowed } => Wrong::UnknownKey { nearest, allowed },
                Fault::Value(complaint) => Wrong::Value { found: complaint.found, allowed: complaint.allowed },
                Fault::Twice(first) => Wrong::Twice {
                    first: match self.show(&first) {
                        Place::File(_, line) => line,
                        _ => None,
                    },
                },
            };
            self.problems.push(Problem { place: self.show(at), key: path.clone(), what });
        }
    }

    fn state_dir(&mut self, invocation: &Invocation) -> PathBuf {
        if let Some(path) = find::stated(invocation, self.cwd, self.folder, self.environment) {
            let from =
                if invocation.state_dir.is_some() || invocation.set.iter().any(|set| set.starts_with("state_dir=")) {
                    Source::Flag
                } else {
                    Source::Environment
                };
            self.settings.note("state_dir", path.display().to_string(), from);
            return path;
        }
        let key = self.settings.text("state_dir").unwrap_or_else(|| ".dfwfd".to_owned());
        let path = find::absolute(self.folder, Path::new(&key));
        let from = self.settings.written("state_dir").map_or(Source::Default, |node| source(&node.at));
        self.settings.note("state_dir", path.display().to_string(), from);
        path
    }

    fn platform(&mut self, invocation: &Invocation) -> PlatformPlan {
        let settings = self.settings;
        let embedded = settings.text("nmp_config.platform").as_deref() == Some("embedded") || invocation.rehearse;
        if invocation.rehearse {
            settings.note("nmp_config.platform", "embedded (--rehearse)".to_owned(), Source::Flag);
        }
        let mut platform = PlatformPlan {
            kind: if embedded { PlatformKind::Embedded } else { PlatformKind::Nemo },
            nemo_base_url: String::new(),
            nim_base_url: String::new(),
            datastore_base_url: String::new(),
            namespace: settings.text("nmp_config.nmp_namespace").unwrap_or_default(),
            api_key_env: None,
            ca_cert: None,
            headers: Default::default(),
            nim_parallelism: settings.whole("nmp_config.nim_parallelism").and_then(|number| u32::try_from(number).ok()),
        };
        if embedded {
            self.unused_on_embedded(invocation);
            return platform;
        }
        platform.nemo_base_url = self.base_url("nemo_base_url", "http://nemo.test", invocation);
        platform.nim_base_url = self.base_url("nim_base_url", "http://nim.test", invocation);
        platform.datastore_base_url = self.base_url("datastore_base_url", "http://data-store.test", invocation);
        if !platform.nemo_base_url.is_empty() && platform.nemo_base_url == platform.nim_base_url {
            self.warnings.push(
                "nmp_config.nemo_base_url and nmp_config.nim_base_url are the same: /v1/models means something else to \
                 each, so one of them is probably wrong"
                    .to_owned(),
            );
        }
        platform.api_key_env = settings.text("nmp_config.api_key_env");
        platform.headers = self.headers();
        platform.ca_cert = self.ca_cert("nmp_config.ca_cert");
        if invocation.need == Need::Candidates {
            self.variables_set(&platform);
        }
        platform
    }

    fn base_url(&mut self, key: &str, example: &str, invocation: &Invocation) -> String {
        let path = format!("nmp_config.{key}");
        match self.settings.text(&path) {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let known = self.settings.good(&path) && self.settings.good("nmp_config.platform");
                let begun = self.file.is_some() || self.settings.count("nims") > 0;
                if known && begun && invocation.need == Need::Candidates {
                    let place = self.place_of(&path);
                    let needed = format!(
                        "the URL of the cluster's service, such as {example}; or nmp_config.platform: embedded, which needs none"
                    );
                    self.problems.push(Problem::missing(place, &path, needed));
                }
                String::new()
            }
        }
    }

    fn unused_on_embedded(&mut self, invocation: &Invocation) {
        if invocation.rehearse {
            return;
        }
        let keys = ["nemo_base_url", "nim_base_url", "datastore_base_url", "api_key_env", "ca_cert", "headers"];
        let given: Vec<&str> =
            keys.into_iter().filter(|key| self.settings.written(&format!("nmp_config.{key}")).is_some()).collect();
        if !given.is_empty() {
            let verb = if given.len() == 1 { "has" } else { "have" };
            self.warnings.push(format!("nmp_config.{} {verb} no effect on the embedded platform", given.join(", ")));
        }
    }

    fn headers(&mut self) -> std::collections::BTreeMap<String, String> {
        let path = "nmp_config.headers";
        let headers = self.settings.names(path);
        for (name, value) in &headers {
            let path = check::join(path, name);
            let lower = name.to_lowercase();
            let secret =
                ["auth", "key", "token", "secret", "cookie", "password"].iter().any(|word| lower.contains(word));
            let wrong = if name.is_empty()
                || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            {
                "found a name that no header can have; allowed: letters, digits, `-` and `_`"
            } else if secret && !value.contains("${") {
                "found what looks like a secret; allowed: the name of an environment variable, such as \"Bearer ${MY_TOKEN}\""
            } else if value.chars().any(char::is_control) {
                "found a value that no header can have; allowed: one line of text"
            } else {
                continue;
            };
            let place = self.place_of(&path);
            self.problems.push(Problem::other(place, &path, wrong));
        }
        headers
    }

    /// The certificate authority that this key names.
    pub(crate) fn ca_cert(&mut self, path: &str) -> Option<PathBuf> {
        let text = self.settings.text(path)?;
        let base = self.settings.written(path).map_or(self.folder, |node| self.base_of(&node.at));
        let file = find::absolute(base, Path::new(&text));
        if !file.is_file() {
            let place = self.place_of(path);
            self.problems.push(Problem::other(place, path, format!("there is no file {}", file.display())));
        }
        Some(file)
    }

    /// Every variable that the platform's settings name has to be set: otherwise a service refuses in the middle.
    fn variables_set(&mut self, platform: &PlatformPlan) {
        let mut needed: Vec<(String, String)> = Vec::new();
        if let Some(name) = &platform.api_key_env {
            needed.push(("nmp_config.api_key_env".to_owned(), name.clone()));
        }
        for (header, value) in &platform.headers {
            let path = format!("nmp_config.headers.{header}");
            needed.extend(placeholders(value).map(|name| (path.clone(), name.to_owned())));
        }
        for (path, name) in needed {
            if self.environment.get(&name).is_none() {
                let place = self.place_of(&path);
                let sentence = format!("the environment variable {name} is not set, nor is it in a .env file");
                self.problems.push(Problem::other(place, &path, sentence));
            }
        }
    }

    fn candidates_needed(&mut self, invocation: &Invocation) {
        let none = self.settings.count("nims") == 0;
        if none && invocation.need == Need::Candidates && self.settings.good("nims") {
            let place = self.place_of("nims");
            let needed = if self.file.is_some() {
                "a list with at least one candidate (`dfwfd init` writes a file to start from)"
            } else {
                "a configuration with at least one candidate; `dfwfd init` writes one to start from"
            };
            self.problems.push(Problem::missing(place, "nims", needed));
        }
    }

    fn training(&mut self) -> Training {
        let settings = self.settings;
        let training = Training {
            training_type: settings.text("training_config.training_type").unwrap_or_default(),
            finetuning_type: settings.text("training_config.finetuning_type").unwrap_or_default(),
            epochs: settings.count32("training_config.epochs"),
            batch_size: settings.count32("training_config.batch_size"),
            learning_rate: settings.real("training_config.learning_rate"),
            adapter_dim: settings.count32("lora_config.adapter_dim"),
            adapter_dropout: settings.real("lora_config.adapter_dropout"),
            sequence_packing_enabled: settings.switch("lora_config.sequence_packing_enabled"),
        };
        if !training.adapter_dim.is_power_of_two() {
            let path = "lora_config.adapter_dim";
            let found = format!("the number {}", training.adapter_dim);
            let place = self.place_of(path);
            self.problems.push(Problem::value(place, path, found, "a power of two: 8, 16, 32, 64 and so on"));
        }
        training
    }

    fn noteworthy(&mut self) {
        self.warnings.extend(self.environment.warning());
        if let Some((path, why)) = self.environment.broken() {
            self.problems.push(Problem::other(Place::File(path.to_owned(), None), "", why));
        }
        let judge = "llm_judge_config";
        let older: Vec<&str> = ["type", "model_id", "api_key_env"]
            .into_iter()
            .filter(|key| self.settings.written(&format!("{judge}.{key}")).is_some())
            .collect();
        if !older.is_empty() {
            self.warnings.push(format!(
                "{judge} uses an older spelling ({}); today it is deployment_type and model_name, and the key is looked \
                 for in LLM_JUDGE_API_KEY",
                older.join(", ")
            ));
        }
    }
}

fn limits(settings: &Settings<'_>) -> Limits {
    Limits {
        deploy_ms: settings.span("limits.deploy"),
        train_ms: settings.span("limits.train"),
        evaluate_ms: settings.span("limits.evaluate"),
        adapter_ms: settings.span("limits.adapter"),
        release_ms: settings.span("limits.release"),
        settle_ms: settings.span("limits.settle"),
    }
}

fn level(settings: &Settings<'_>) -> LogLevel {
    match settings.text("logging_config.level").map(|level| level.to_uppercase()).as_deref() {
        Some("DEBUG") => LogLevel::Debug,
        Some("WARNING") => LogLevel::Warning,
        Some("ERROR" | "CRITICAL") => LogLevel::Error,
        _ => LogLevel::Info,
    }
}

/// The names in `${NAME}` of a text.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}
