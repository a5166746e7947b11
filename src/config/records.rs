//! Resolves `logs`, `data_split_config`, the labels and the flags that select records into the dataset request of a plan.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::plan::ValueSource;
use super::problem::{Location, Problem};
use super::reader::source_of;
use super::resolve::Resolver;
use super::{Invocation, Need, Surroundings, locate, time};
use crate::data::label;
use crate::data::options::{
    DatasetRequest, Fields, Filter, IndexAt, LabelRules, LogSource, RedactRules, Redaction, SplitBy, SplitRules,
    TypeChoice,
};
use crate::data::redact;

impl Resolver<'_> {
    /// Returns which records are read and how they become datasets.
    pub(super) fn request(
        &mut self,
        invocation: &Invocation,
        surroundings: &Surroundings,
        state_dir: &Path,
    ) -> DatasetRequest {
        let workload_type = match self.reader.text("evaluation_config.workload_type").as_deref() {
            Some("tool_calling") => TypeChoice::ToolCalling,
            Some("text") => TypeChoice::Text,
            Some("auto") => TypeChoice::Auto,
            _ => TypeChoice::Classification,
        };
        DatasetRequest {
            input: self.input(invocation, surroundings, state_dir),
            fields: self.fields(invocation.need),
            filter: self.filter(invocation, surroundings),
            workload_type,
            labels: self.labels(),
            accept_truncated: self.reader.boolean("accept_truncated"),
            split: self.split(surroundings),
            redact: self.redaction(state_dir),
            eval_set: self.eval_set(invocation),
            corrections: self.corrections(invocation, surroundings),
        }
    }

    fn input(&mut self, invocation: &Invocation, surroundings: &Surroundings, state_dir: &Path) -> LogSource {
        let local = LogSource::Local(state_dir.join("logs"));
        if !invocation.logs.is_empty() {
            return self.files_of_flag(&invocation.logs, &surroundings.cwd);
        }
        let stated = self.reader.text("logs.source");
        let path_given = self.reader.written("logs.path").is_some();
        let url_set = self.environment.get("ELASTICSEARCH_URL").is_some();
        let (word, why) = match stated.as_deref() {
            Some(word) => (word, ""),
            None if path_given => ("jsonl", "jsonl (logs.path is given)"),
            None if url_set => ("elasticsearch", "elasticsearch (ELASTICSEARCH_URL is set)"),
            None => ("local", "local"),
        };
        if stated.is_none() {
            self.reader.note("logs.source", why.to_owned(), ValueSource::Default);
        }
        match word {
            "elasticsearch" => {
                let at = self.index_at(invocation.need);
                if invocation.need == Need::Store && !at.fields.are_own() {
                    let sentence = "`dfwfd load` cannot write into an index whose documents have another shape; load into an \
                                    index without logs.fields, or into the local log store with --set logs.source=local";
                    self.problems.push(Problem::other(
                        self.location_of("logs.fields"),
                        "logs.fields",
                        sentence.to_owned(),
                    ));
                }
                return LogSource::Elasticsearch(Box::new(at));
            }
            "jsonl" => {}
            _ => return local,
        }
        match (invocation.need, self.reader.texts("logs.path")) {
            (Need::Settings | Need::Store, paths) => {
                LogSource::Files(paths.unwrap_or_default().into_iter().map(PathBuf::from).collect())
            }
            (Need::Data | Need::Candidates, Some(paths)) => LogSource::Files(self.files(&paths)),
            (Need::Data | Need::Candidates, None) => {
                if self.reader.is_good("logs.path") && self.reader.is_good("logs.source") {
                    let location = self.location_of("logs.source");
                    let needed = "the JSONL file, a list of files, or a pattern such as logs/*.jsonl";
                    self.problems.push(Problem::missing(location, "logs.path", needed));
                }
                local
            }
        }
    }

    /// Returns the index of `logs.elasticsearch`. Its variables have to be set when the server is needed.
    fn index_at(&mut self, need: Need) -> IndexAt {
        let key = |name: &str| format!("logs.elasticsearch.{name}");
        let text = |name: &str| self.reader.text(&key(name));
        let at = IndexAt {
            url: text("url").unwrap_or_default().trim_end_matches('/').to_owned(),
            index: text("index").unwrap_or_default(),
            api_key_env: text("api_key_env"),
            username_env: text("username_env"),
            password_env: text("password_env"),
            ca_cert: None,
            verify: self.reader.boolean(&key("verify")),
            timeout_ms: self.reader.duration_ms(&key("timeout")),
            fields: self.fields(Need::Settings),
        };
        if !at.verify && need != Need::Settings {
            self.warnings.push(
                "logs.elasticsearch.verify is false, so the identity of the search server is not checked".to_owned(),
            );
        }
        let ca_cert = self.ca_cert(&key("ca_cert"));
        let named =
            [("api_key_env", &at.api_key_env), ("username_env", &at.username_env), ("password_env", &at.password_env)];
        for (name, variable) in named {
            if let Some(variable) = variable
                && need != Need::Settings
            {
                self.require_variable(&key(name), variable);
            }
        }
        if at.username_env.is_some() != at.password_env.is_some() {
            let (there, missing) = match at.username_env {
                Some(_) => ("username_env", "password_env"),
                None => ("password_env", "username_env"),
            };
            let location = self.location_of(&key(there));
            let needed = format!("the name of an environment variable, because {there} is given");
            self.problems.push(Problem::missing(location, &key(missing), needed));
        }
        IndexAt { ca_cert, ..at }
    }

    /// Returns the index of runs, which is on the same server as the records.
    pub(super) fn run_index(&mut self, input: &LogSource, need: Need) -> Option<IndexAt> {
        let path = "logs.elasticsearch.runs_index";
        let index = self.reader.text(path).filter(|_| need == Need::Candidates)?;
        let at = match input {
            LogSource::Elasticsearch(at) => (**at).clone(),
            LogSource::Local(_) | LogSource::Files(_) | LogSource::Stdin => self.index_at(need),
        };
        if index == at.index {
            let location = self.location_of(path);
            let allowed = "another index than logs.elasticsearch.index, which holds records";
            self.problems.push(Problem::value(location, path, format!("the text \"{index}\""), allowed));
        }
        Some(IndexAt { index, ..at })
    }

    /// Returns `logs.fields` and checks that no two fields have the same path.
    fn fields(&mut self, need: Need) -> Fields {
        let text = |name: &str| self.reader.text(&format!("logs.fields.{name}"));
        let fields = Fields {
            timestamp: text("timestamp"),
            workload_id: text("workload_id"),
            client_id: text("client_id"),
            request: text("request"),
            response: text("response"),
        };
        if need == Need::Settings {
            return fields;
        }
        let all = fields.all().map(|(name, path)| (name, path.unwrap_or(name)));
        for (number, (name, path)) in all.iter().enumerate() {
            let Some((other, _)) = all[..number].iter().find(|(_, earlier)| earlier == path) else { continue };
            let key = format!("logs.fields.{name}");
            let location = self.location_of(&key);
            let allowed = format!("a path of its own; {other} has this one");
            self.problems.push(Problem::value(location, &key, format!("the text \"{path}\""), allowed));
        }
        fields
    }

    /// Returns the input that `--logs` names. `-` alone is standard input.
    fn files_of_flag(&mut self, logs: &[PathBuf], cwd: &Path) -> LogSource {
        let shown = logs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        self.reader.note("logs.path", shown, ValueSource::Flag);
        if logs == [PathBuf::from("-")] {
            return LogSource::Stdin;
        }
        let mut files = Vec::with_capacity(logs.len());
        for path in logs {
            let named = if path.as_os_str() == "-" {
                Err("`-` (standard input) cannot be combined with files".to_owned())
            } else {
                files_named(cwd, path)
            };
            match named {
                Ok(named) => files.extend(named),
                Err(wrong) => self.problems.push(Problem::other(Location::Flag("--logs"), "", wrong)),
            }
        }
        LogSource::Files(each_once(files))
    }

    /// Returns the files of `logs.path`.
    fn files(&mut self, paths: &[String]) -> Vec<PathBuf> {
        let node = self.reader.written("logs.path");
        let folder = node.map_or(self.folder, |node| self.base_of(&node.at)).to_owned();
        let mut files: Vec<PathBuf> = Vec::new();
        for path in paths {
            match files_named(&folder, Path::new(path)) {
                Ok(named) => files.extend(named),
                Err(wrong) => {
                    let location = self.location_of("logs.path");
                    self.problems.push(Problem::other(location, "logs.path", wrong));
                }
            }
        }
        each_once(files)
    }

    fn filter(&mut self, invocation: &Invocation, surroundings: &Surroundings) -> Filter {
        let moment = |flag: &'static str, text: &Option<String>, this: &mut Self| -> Option<i64> {
            let text = text.as_ref()?;
            // The commands that need records replace the word before a plan is read.
            let takes_last_run = flag == "--since" && matches!(invocation.need, Need::Data | Need::Candidates);
            let allowed = if takes_last_run { time::MOMENT_OR_LAST_RUN } else { time::MOMENT };
            let moment = time::moment(text, surroundings.now);
            match moment {
                Some(seconds) => {
                    let shown = jiff::Timestamp::from_second(seconds).map_or(text.clone(), |at| at.to_string());
                    this.reader.note(flag.trim_start_matches('-'), shown, ValueSource::Flag);
                }
                None => this.problems.push(Problem::value(Location::Flag(flag), "", format!("\"{text}\""), allowed)),
            }
            moment
        };
        let since = moment("--since", &invocation.since, self);
        let until = moment("--until", &invocation.until, self);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            let sentence = "must be later than --since";
            self.problems.push(Problem::other(Location::Flag("--until"), "", sentence));
        }
        if let Some(workload) = &invocation.workload {
            self.reader.note("workload", workload.clone(), ValueSource::Flag);
        }
        if !invocation.clients.is_empty() {
            self.reader.note("client", invocation.clients.join(", "), ValueSource::Flag);
        }
        Filter {
            workload: invocation.workload.clone(),
            clients: invocation.clients.clone(),
            since,
            until,
            without_bad: invocation.without_bad,
        }
    }

    fn labels(&mut self) -> LabelRules {
        let allowed: Option<Vec<String>> =
            self.reader.texts("labels").map(|labels| labels.iter().map(|label| label.trim().to_owned()).collect());
        for (index, label) in allowed.iter().flatten().enumerate() {
            let same = |other: &&String| label::key(other) == label::key(label);
            if allowed.iter().flatten().take(index).any(|other| same(&other)) {
                let path = format!("labels.{index}");
                let location = self.location_of(&path);
                let found = format!("the text \"{label}\" again");
                self.problems.push(Problem::value(location, &path, found, "each label once, ignoring case"));
            }
        }
        LabelRules { allowed, pattern: self.reader.text("label_pattern") }
    }

    fn redaction(&mut self, state_dir: &Path) -> Option<Redaction> {
        let named = self.reader.texts("redact").unwrap_or_default();
        let patterns = self.reader.named_texts("redact_patterns");
        let is_all = named.iter().any(|kind| kind == "all");
        let kinds = if is_all { redact::known_kinds().into_iter().map(str::to_owned).collect() } else { named };
        for (kind, pattern) in &patterns {
            let key = format!("redact_patterns.{kind}");
            if regex::Regex::new(pattern).is_err() {
                let location = self.location_of(&key);
                self.problems.push(Problem::value(location, &key, format!("\"{pattern}\""), "a regular expression"));
            }
        }
        let is_on = !kinds.is_empty() || !patterns.is_empty();
        is_on.then(|| Redaction { rules: RedactRules { kinds, patterns }, key_file: state_dir.join("redact.key") })
    }

    fn eval_set(&self, invocation: &Invocation) -> Option<PathBuf> {
        let file = invocation.eval_set.clone()?;
        self.reader.note("eval_set", file.display().to_string(), ValueSource::Flag);
        Some(file)
    }

    fn corrections(&self, invocation: &Invocation, surroundings: &Surroundings) -> Option<PathBuf> {
        let file = surroundings.cwd.join(invocation.corrections.as_ref()?);
        self.reader.note("corrections", file.display().to_string(), ValueSource::Flag);
        Some(file)
    }

    fn split(&mut self, surroundings: &Surroundings) -> SplitRules {
        let at = |key: &str| format!("data_split_config.{key}");
        let reader = self.reader;
        let seed_key = at("random_seed");
        let random_seed = if reader.is_null(&seed_key) {
            let from = reader.place(&seed_key);
            reader.note(&seed_key, format!("{} (drawn)", surroundings.drawn_seed), source_of(from));
            surroundings.drawn_seed
        } else {
            reader.integer(&seed_key).unwrap_or_default()
        };
        let split = match reader.text(&at("split")).as_deref() {
            Some("temporal") => SplitBy::Temporal,
            _ => SplitBy::Random,
        };
        let embargo_s = reader.duration_ms(&at("embargo")).div_ceil(1000);
        if embargo_s > 0 && split == SplitBy::Random {
            self.warnings.push(format!("{} has no effect unless {} is temporal", at("embargo"), at("split")));
        }
        SplitRules {
            eval_size: reader.size(&at("eval_size")),
            val_ratio: reader.number(&at("val_ratio")),
            min_total_records: reader.size(&at("min_total_records")),
            random_seed,
            limit: reader.integer(&at("limit")).and_then(|limit| usize::try_from(limit).ok()),
            limit_per_client: reader.integer(&at("limit_per_client")).and_then(|limit| usize::try_from(limit).ok()),
            parse_function_arguments: reader.boolean(&at("parse_function_arguments")),
            train_on_thoughts: reader.boolean(&at("train_on_thoughts")),
            stratify_enabled: reader.boolean(&at("stratify_enabled")),
            min_samples_per_class: reader.size(&at("min_samples_per_class")),
            rare_class_threshold: reader.size(&at("rare_class_threshold")),
            split,
            embargo_s,
            near_duplicate_threshold: Some(reader.number(&at("near_duplicate_threshold"))).filter(|least| *least > 0.0),
            max_per_class: reader.integer(&at("max_per_class")).and_then(|most| usize::try_from(most).ok()),
        }
    }
}

/// Returns the file of a path below a folder, or the files that match the path where it is a pattern and no file. The
/// matches come in alphabetical order.
fn files_named(folder: &Path, path: &Path) -> Result<Vec<PathBuf>, String> {
    let file = locate::absolute(folder, path);
    match path.to_str() {
        Some(pattern) if !file.exists() && pattern.contains(['*', '?', '[']) => matches(folder, pattern),
        _ => read_problem(&file).map_or(Ok(vec![file]), Err),
    }
}

/// Leaves out files that stand before already, as where patterns overlap or a link names a file.
fn each_once(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    files
}

/// Returns why a file cannot be read. The file is not opened.
fn read_problem(file: &Path) -> Option<String> {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.is_dir() => {
            Some(format!("cannot read {}: it is a folder, so name the files in it", file.display()))
        }
        Ok(_) => None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(format!("there is no file {}", file.display()))
        }
        Err(error) => Some(format!("cannot read {}: {error}", file.display())),
    }
}

/// Returns the files below a folder that match a pattern.
fn matches(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let whole = if Path::new(pattern).is_absolute() {
        pattern.to_owned()
    } else {
        format!("{}/{pattern}", glob::Pattern::escape(&folder.display().to_string()))
    };
    let found = glob::glob(&whole).map_err(|error| format!("\"{pattern}\" is not a pattern: {}", error.msg))?;
    let files: Vec<PathBuf> = found.filter_map(Result::ok).filter(|path| path.is_file()).collect();
    if files.is_empty() { Err(format!("no file matches {whole}")) } else { Ok(files) }
}
