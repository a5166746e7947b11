//! Resolves a tree with all overrides into a plan, or lists every problem. `platform`, `records`, `candidates`, `judge`, `icl` and
//! `mlflow` each resolve their sections.

use std::path::{Path, PathBuf};

use super::check::{self, CheckResult, Finding};
use super::env::Environment;
use super::locate::{self, ConfigFile};
use super::node::{ConfigNode, WrittenAt};
use super::plan::{CostPlan, Limits, LogLevel, Plan, TokenPrices, TrainingPlan, ValueSource, VerdictPlan};
use super::problem::{Location, Problem, Problems};
use super::reader::{ConfigReader, source_of};
use super::{Invocation, Need, Surroundings};

/// A plan in the making.
pub(super) struct Resolver<'a> {
    pub(super) reader: &'a ConfigReader<'a>,
    /// The folder that paths in the file are relative to.
    pub(super) folder: &'a Path,
    /// The problems found so far.
    pub(super) problems: Vec<Problem>,
    /// The warnings so far.
    pub(super) warnings: Vec<String>,
    pub(super) environment: &'a Environment,
    /// The configuration file.
    pub(super) file: Option<&'a Path>,
    cwd: &'a Path,
}

/// A tree with all overrides, and what surrounds it.
pub(super) struct ConfigTree<'a> {
    pub(super) file: &'a ConfigFile,
    pub(super) root: &'a ConfigNode,
    /// The problems of the overrides.
    pub(super) problems: Vec<Problem>,
    pub(super) environment: &'a Environment,
}

/// Returns the plan of an invocation, or every problem.
pub(super) fn plan(
    tree: ConfigTree<'_>,
    invocation: &Invocation,
    surroundings: &Surroundings,
) -> Result<Plan, Problems> {
    let checked = check::check(tree.root);
    let reader = ConfigReader::new(tree.root, &checked);
    let mut resolver = Resolver {
        reader: &reader,
        folder: tree.file.folder(&surroundings.cwd),
        problems: tree.problems,
        warnings: checked.warnings.clone(),
        environment: tree.environment,
        file: tree.file.path(),
        cwd: &surroundings.cwd,
    };
    resolver.add_findings(&checked);
    let state_dir = resolver.state_dir(invocation);
    let platform = resolver.platform(invocation);
    let data = resolver.request(invocation, surroundings, &state_dir);
    let candidates = resolver.candidates(invocation, platform.kind);
    resolver.require_candidates(invocation);
    let (judge, text_judge) = resolver.judges(invocation, platform.kind, data.workload_type, &candidates);
    let (icl, teacher) = (resolver.icl(invocation, platform.kind, &candidates), resolver.teacher(invocation));
    resolver.warn_of_env_file();
    resolver.warn_of_older_judge();
    let mlflow = resolver.mlflow(invocation.need);
    let run_index = resolver.run_index(&data.input, invocation.need);
    let training = resolver.training();
    let limits = limits(&reader);
    let log_level = log_level(&reader);
    let gpus = reader.integer("gpus").and_then(|gpus| u32::try_from(gpus).ok());
    let Resolver { problems, warnings, .. } = resolver;
    if !problems.is_empty() {
        return Err(Problems::new(problems));
    }
    Ok(Plan {
        config_file: tree.file.path().map(Path::to_owned),
        state_dir,
        platform,
        rehearse: invocation.rehearse,
        data,
        candidates,
        judge,
        text_judge,
        icl,
        training,
        gpus,
        limits,
        verdict: VerdictPlan { margin: reader.number("verdict.margin"), floor: reader.boolean("verdict.floor") },
        cost: cost(&reader),
        mlflow,
        run_index,
        measure_latency: invocation.measure_latency,
        teacher,
        log_level,
        origins: reader.origins(),
        warnings,
    })
}

impl Resolver<'_> {
    /// Returns where the value at a key path is written.
    pub(super) fn location_of(&self, path: &str) -> Location {
        self.location(self.reader.place(path))
    }

    /// Returns the folder that a path written there is relative to.
    pub(super) fn base_of(&self, at: &WrittenAt) -> &Path {
        match at {
            WrittenAt::Set(_) => self.cwd,
            WrittenAt::Variable(name) if !self.environment.is_from_file(name) => self.cwd,
            _ => self.folder,
        }
    }

    fn location(&self, at: &WrittenAt) -> Location {
        match (at, self.file) {
            (WrittenAt::Set(_), _) => Location::Set,
            (WrittenAt::Variable(name), _) => Location::Variable(name.clone()),
            (WrittenAt::File(line), Some(file)) => Location::File(self.shown_file(file), Some(*line)),
            (WrittenAt::Default, Some(file)) => Location::File(self.shown_file(file), None),
            (_, None) => Location::NoFile,
        }
    }

    /// Returns the file as a user would type it in the working folder.
    fn shown_file(&self, file: &Path) -> PathBuf {
        file.strip_prefix(self.cwd).unwrap_or(file).to_owned()
    }

    fn add_findings(&mut self, checked: &CheckResult) {
        // A value whose variable is not set fits no key either, and that is the same mistake.
        let known: Vec<String> = self.problems.iter().map(|problem| problem.key.clone()).collect();
        for Finding { at, path, kind } in checked.findings.iter().filter(|finding| !known.contains(&finding.path)) {
            self.problems.push(Problem { location: self.location(at), key: path.clone(), kind: kind.clone() });
        }
    }

    fn state_dir(&mut self, invocation: &Invocation) -> PathBuf {
        if let Some(path) = locate::stated(invocation, self.cwd, self.folder, self.environment) {
            let by_flag =
                invocation.state_dir.is_some() || invocation.set.iter().any(|set| set.starts_with("state_dir="));
            let from = if by_flag { ValueSource::Flag } else { ValueSource::Environment };
            self.reader.note("state_dir", path.display().to_string(), from);
            return path;
        }
        let key = self.reader.text("state_dir").unwrap_or_default();
        let path = locate::absolute(self.folder, Path::new(&key));
        let from = self.reader.written("state_dir").map_or(ValueSource::Default, |node| source_of(&node.at));
        self.reader.note("state_dir", path.display().to_string(), from);
        path
    }

    fn require_candidates(&mut self, invocation: &Invocation) {
        let none = self.reader.list_len("nims") == 0;
        if none && invocation.need == Need::Candidates && self.reader.is_good("nims") {
            let location = self.location_of("nims");
            self.problems.push(if location == Location::NoFile {
                Problem::other(location, "", "a run needs a configuration with candidates")
            } else {
                let needed = "a list with at least one candidate (`dfwfd init` writes a file to start from)";
                Problem::missing(location, "nims", needed)
            });
        }
    }

    fn training(&mut self) -> TrainingPlan {
        let reader = self.reader;
        let training = TrainingPlan {
            training_type: reader.text("training_config.training_type").unwrap_or_default(),
            finetuning_type: reader.text("training_config.finetuning_type").unwrap_or_default(),
            epochs: reader.integer32("training_config.epochs"),
            batch_size: reader.integer32("training_config.batch_size"),
            learning_rate: reader.number("training_config.learning_rate"),
            adapter_dim: reader.integer32("lora_config.adapter_dim"),
            adapter_dropout: reader.number("lora_config.adapter_dropout"),
            sequence_packing_enabled: reader.boolean("lora_config.sequence_packing_enabled"),
        };
        if !training.adapter_dim.is_power_of_two() {
            let path = "lora_config.adapter_dim";
            let found = format!("the number {}", training.adapter_dim);
            let location = self.location_of(path);
            self.problems.push(Problem::value(location, path, found, "a power of two, such as 8, 16, 32 or 64"));
        }
        training
    }

    fn warn_of_env_file(&mut self) {
        self.warnings.extend(self.environment.warning());
        if let Some((path, why)) = self.environment.broken() {
            self.problems.push(Problem::other(Location::File(path.to_owned(), None), "", why));
        }
    }
}

fn limits(reader: &ConfigReader<'_>) -> Limits {
    Limits {
        deploy_ms: reader.duration_ms("limits.deploy"),
        train_ms: reader.duration_ms("limits.train"),
        evaluate_ms: reader.duration_ms("limits.evaluate"),
        adapter_ms: reader.duration_ms("limits.adapter"),
        release_ms: reader.duration_ms("limits.release"),
        settle_ms: reader.duration_ms("limits.settle"),
        publish_ms: reader.duration_ms("limits.publish"),
    }
}

fn cost(reader: &ConfigReader<'_>) -> CostPlan {
    let price = |path: &str| Some(reader.number(path)).filter(|price| *price > 0.0);
    let (input, output) = (price("cost.teacher.input_per_million"), price("cost.teacher.output_per_million"));
    let teacher = input.or(output).map(|_| TokenPrices {
        input_per_million: input.unwrap_or_default(),
        output_per_million: output.unwrap_or_default(),
    });
    let currency = reader.text("cost.currency").unwrap_or_default();
    CostPlan { teacher, gpu_hour: price("cost.gpu_hour"), currency }
}

fn log_level(reader: &ConfigReader<'_>) -> LogLevel {
    match reader.text("logging_config.level").map(|level| level.to_uppercase()).as_deref() {
        Some("DEBUG") => LogLevel::Debug,
        Some("WARNING") => LogLevel::Warning,
        Some("ERROR" | "CRITICAL") => LogLevel::Error,
        _ => LogLevel::Info,
    }
}
