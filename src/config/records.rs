//! `logs`, `data_split_config`, labels and the flags about records, into the dataset request of a plan.

use std::path::{Path, PathBuf};

use super::plan::Source;
use super::problem::{Place, Problem};
use super::resolve::Resolve;
use super::settings::source;
use super::{Invocation, Need, Surroundings, find, time};
use crate::data::options::{DatasetRequest, Fields, Filter, IndexAt, Input, LabelRules, SplitRules, TypeChoice};

impl Resolve<'_> {
    /// Which records, and how they become datasets.
    pub(crate) fn request(
        &mut self,
        invocation: &Invocation,
        around: &Surroundings,
        state_dir: &Path,
    ) -> DatasetRequest {
        let workload_type = match self.settings.text("evaluation_config.workload_type").as_deref() {
            Some("tool_calling") => TypeChoice::ToolCalling,
            Some("auto") => TypeChoice::Auto,
            _ => TypeChoice::Classification,
        };
        DatasetRequest {
            input: self.input(invocation, around, state_dir),
            fields: self.fields(invocation.need),
            filter: self.filter(invocation, around),
            workload_type,
            labels: self.labels(),
            split: self.split(around),
        }
    }

    fn input(&mut self, invocation: &Invocation, around: &Surroundings, state_dir: &Path) -> Input {
        let local = Input::Local(state_dir.join("logs"));
        if !invocation.logs.is_empty() {
            return self.flagged(&invocation.logs, &around.cwd);
        }
        let stated = self.settings.text("logs.source");
        let path_given = self.settings.written("logs.path").is_some();
        let url_set = self.environment.get("ELASTICSEARCH_URL").is_some();
        let (word, why) = match stated.as_deref() {
            Some(word) => (word, ""),
            None if path_given => ("jsonl", "jsonl (logs.path is given)"),
            None if url_set => ("elasticsearch", "elasticsearch (ELASTICSEARCH_URL is set)"),
            None => ("local", "local"),
        };
        if stated.is_none() {
            self.settings.note("logs.source", why.to_owned(), Source::Default);
        }
        match word {
            "elasticsearch" => {
                let at = self.index_at(invocation.need);
                if invocation.need == Need::Store && !at.fields.are_own() {
                    let sentence = "the index holds documents of another shape, and load writes records of its own; \
                                    load into another index without logs.fields, or with --set logs.source=local";
                    self.problems.push(Problem::other(
                        self.place_of("logs.fields"),
                        "logs.fields",
                        sentence.to_owned(),
                    ));
                }
                return Input::Elasticsearch(Box::new(at));
            }
            "jsonl" => {}
            _ => return local,
        }
        match (invocation.need, self.settings.texts("logs.path")) {
            (Need::Store, _) => {
                let key = if stated.is_some() { "logs.source" } else { "logs.path" };
                let (place, found) = (self.place_of(key), if stated.is_some() { "jsonl" } else { "JSONL files" });
                let allowed = "a log store to load into: --set logs.source=local, or elasticsearch";
                self.problems.push(Problem::value(place, key, found, allowed));
                local
            }
            (Need::Settings, paths) => Input::Files(paths.unwrap_or_default().into_iter().map(PathBuf::from).collect()),
            (Need::Data | Need::Candidates, Some(paths)) => Input::Files(self.files(&paths)),
            (Need::Data | Need::Candidates, None) => {
                if self.settings.good("logs.path") && self.settings.good("logs.source") {
                    let place = self.place_of("logs.source");
                    let needed = "the JSONL file, a list of files, or a pattern such as logs/*.jsonl";
                    self.problems.push(Problem::missing(place, "logs.path", needed));
                }
                local
            }
        }
    }

    /// `logs.elasticsearch`: every variable that it names has to be set once the server is needed.
    fn index_at(&mut self, need: Need) -> IndexAt {
        let key = |name: &str| format!("logs.elasticsearch.{name}");
        let text = |name: &str| self.settings.text(&key(name));
        let at = IndexAt {
            url: text("url").unwrap_or_default().trim_end_matches('/').to_owned(),
            index: text("index").unwrap_or_default(),
            api_key_env: text("api_key_env"),
            username_env: text("username_env"),
            password_env: text("password_env"),
            ca_cert: None,
            verify: self.settings.switch(&key("verify")),
            timeout_ms: self.settings.span(&key("timeout")),
            fields: self.fields(Need::Settings),
        };
        if !at.verify && need != Need::Settings {
            self.warnings.push(
                "logs.elasticsearch.verify is off: nothing shows that the log store is the server that it says it is"
                    .to_owned(),
            );
        }
        let ca_cert = self.ca_cert(&key("ca_cert"));
        let named =
            [("api_key_env", &at.api_key_env), ("username_env", &at.username_env), ("password_env", &at.password_env)];
        for (name, variable) in named {
            if let Some(variable) = variable
                && need != Need::Settings
                && self.environment.get(variable).is_none()
            {
                let place = self.place_of(&key(name));
                let wrong = format!("the environment variable {variable} is not set");
                self.problems.push(Problem::other(place, &key(name), wrong));
            }
        }
        if at.username_env.is_some() != at.password_env.is_some() {
            let (there, missing) = match at.username_env {
                Some(_) => ("username_env", "password_env"),
                None => ("password_env", "username_env"),
            };
            let place = self.place_of(&key(there));
            let needed = format!("the name of an environment variable, because {there} is given");
            self.problems.push(Problem::missing(place, &key(missing), needed));
        }
        IndexAt { ca_cert, ..at }
    }

    /// `logs.fields`: no two fields at one place, and nothing to write to.
    fn fields(&mut self, need: Need) -> Fields {
        let text = |name: &str| self.settings.text(&format!("logs.fields.{name}"));
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
            let place = self.place_of(&key);
            let allowed = format!("a place of its own; {other} stands there");
            self.problems.push(Problem::value(place, &key, format!("the text \"{path}\""), allowed));
        }
        fields
    }

    /// `--logs`: `-` alone is standard input.
    fn flagged(&mut self, logs: &[PathBuf], cwd: &Path) -> Input {
        let shown = logs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        self.settings.note("logs.path", shown, Source::Flag);
        if logs == [PathBuf::from("-")] {
            return Input::Stdin;
        }
        let mut files = Vec::with_capacity(logs.len());
        for path in logs {
            let file = find::absolute(cwd, path);
            let wrong = if path.as_os_str() == "-" {
                Some("`-` (standard input) among files; give it alone".to_owned())
            } else {
                unreadable(&file)
            };
            match wrong {
                Some(wrong) => self.problems.push(Problem::other(Place::Flag("--logs"), "", wrong)),
                None => files.push(file),
            }
        }
        Input::Files(files)
    }

    /// `logs.path`: files, and patterns in alphabetical order of what they match.
    fn files(&mut self, paths: &[String]) -> Vec<PathBuf> {
        let node = self.settings.written("logs.path");
        let folder = node.map_or(self.folder, |node| self.base_of(&node.at)).to_owned();
        let mut files: Vec<PathBuf> = Vec::new();
        for path in paths {
            let file = find::absolute(&folder, Path::new(path));
            let matched = if !file.exists() && path.contains(['*', '?', '[']) {
                matches(&folder, path)
            } else {
                unreadable(&file).map_or(Ok(vec![file]), Err)
            };
            match matched {
                Ok(matched) => files.extend(matched),
                Err(wrong) => {
                    let place = self.place_of("logs.path");
                    self.problems.push(Problem::other(place, "logs.path", wrong));
                }
            }
        }
        let mut seen = std::collections::HashSet::new();
        files.retain(|file| seen.insert(file.clone()));
        files
    }

    fn filter(&mut self, invocation: &Invocation, around: &Surroundings) -> Filter {
        let moment = |flag: &'static str, text: &Option<String>, this: &mut Self| -> Option<i64> {
            let text = text.as_ref()?;
            let moment = time::moment(text, around.now);
            match moment {
                Some(seconds) => {
                    let shown = jiff::Timestamp::from_second(seconds).map_or(text.clone(), |at| at.to_string());
                    this.settings.note(flag.trim_start_matches('-'), shown, Source::Flag);
                }
                None => this.problems.push(Problem::value(Place::Flag(flag), "", format!("\"{text}\""), time::MOMENT)),
            }
            moment
        };
        let since = moment("--since", &invocation.since, self);
        let until = moment("--until", &invocation.until, self);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            let sentence = "not after --since, so no record could lie between them";
            self.problems.push(Problem::other(Place::Flag("--until"), "", sentence));
        }
        if let Some(workload) = &invocation.workload {
            self.settings.note("workload", workload.clone(), Source::Flag);
        }
        if !invocation.clients.is_empty() {
            self.settings.note("client", invocation.clients.join(", "), Source::Flag);
        }
        Filter { workload: invocation.workload.clone(), clients: invocation.clients.clone(), since, until }
    }

    fn labels(&mut self) -> LabelRules {
        let allowed: Option<Vec<String>> =
            self.settings.texts("labels").map(|labels| labels.iter().map(|label| label.trim().to_owned()).collect());
        for (index, label) in allowed.iter().flatten().enumerate() {
            let same = |other: &&String| other.to_lowercase() == label.to_lowercase();
            if allowed.iter().flatten().take(index).any(|other| same(&other)) {
                let path = format!("labels.{index}");
                let place = self.place_of(&path);
                let found = format!("the text \"{label}\" again");
                self.problems.push(Problem::value(place, &path, found, "each label once, whatever its case"));
            }
        }
        LabelRules { allowed, pattern: self.settings.text("label_pattern") }
    }

    fn split(&mut self, around: &Surroundings) -> SplitRules {
        let at = |key: &str| format!("data_split_config.{key}");
        let settings = self.settings;
        let seed_key = at("random_seed");
        let random_seed = if settings.null(&seed_key) {
            let from = settings.place(&seed_key);
            settings.note(&seed_key, format!("{} (drawn)", around.drawn_seed), source(from));
            around.drawn_seed
        } else {
            settings.whole(&seed_key).unwrap_or_default()
        };
        SplitRules {
            eval_size: settings.size(&at("eval_size")),
            val_ratio: settings.real(&at("val_ratio")),
            min_total_records: settings.size(&at("min_total_records")),
            random_seed,
            limit: settings.whole(&at("limit")).and_then(|limit| usize::try_from(limit).ok()),
            parse_function_arguments: settings.switch(&at("parse_function_arguments")),
            stratify_enabled: settings.switch(&at("stratify_enabled")),
            min_samples_per_class: settings.size(&at("min_samples_per_class")),
            rare_class_threshold: settings.size(&at("rare_class_threshold")),
        }
    }
}

/// Why a file cannot be read, as far as one can tell without opening it.
fn unreadable(file: &Path) -> Option<String> {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.is_dir() => Some(format!("{} is a folder; name the files in it", file.display())),
        Ok(_) => None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(format!("there is no file {}", file.display()))
        }
        Err(error) => Some(format!("{} cannot be read: {error}", file.display())),
    }
}

/// The files that a pattern below a folder matches.
fn matches(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let whole = if Path::new(pattern).is_absolute() {
        pattern.to_owned()
    } else {
        format!("{}/{pattern}", glob::Pattern::escape(&folder.display().to_string()))
    };
    let found = glob::glob(&whole).map_err(|error| format!("found \"{pattern}\", no pattern: {}", error.msg))?;
    let files: Vec<PathBuf> = found.filter_map(Result::ok).filter(|path| path.is_file()).collect();
    if files.is_empty() { Err(format!("no file matches {whole}")) } else { Ok(files) }
}
