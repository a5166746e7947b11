//! Resolves `tool_eval_type` and `llm_judge_config` (in both spellings) into the judge of a plan, and finds the judge's API key,
//! which no plan holds.

use super::env::Environment;
use super::node::ConfigNode;
use super::plan::{Candidate, JudgeKey, JudgePlace, JudgePlan, LocalJudge, Plan, ValueSource};
use super::problem::Problem;
use super::reader::source_of;
use super::resolve::Resolver;
use super::schema::TextForm;
use super::{Invocation, Need, overrides, placeholders, values, yaml};
use crate::data::options::TypeChoice;
use crate::student;
use crate::vocabulary::PlatformKind;

const SECTION: &str = "llm_judge_config";

/// The variables that may hold the judge's API key, unless the configuration names one.
const KEY_VARIABLES: [&str; 2] = ["LLM_JUDGE_API_KEY", "NVIDIA_API_KEY"];

fn at(key: &str) -> String {
    format!("{SECTION}.{key}")
}

impl Resolver<'_> {
    /// Returns the judge, when tool calls are judged.
    pub(super) fn judge(
        &mut self,
        invocation: &Invocation,
        kind: PlatformKind,
        workload: TypeChoice,
        candidates: &[Candidate],
    ) -> Option<JudgePlan> {
        if workload == TypeChoice::Classification || invocation.need != Need::Candidates {
            return None;
        }
        let reader = self.reader;
        if reader.text("evaluation_config.tool_eval_type").as_deref() != Some("tool-calling-judge") {
            return None;
        }
        if reader.written(SECTION).is_none() {
            if reader.is_good(SECTION) {
                let location = self.location_of("evaluation_config.tool_eval_type");
                let needed = "the model that judges, because evaluation_config.tool_eval_type is tool-calling-judge";
                self.problems.push(Problem::missing(location, SECTION, needed));
            }
            return None;
        }
        let remote = self.is_remote();
        let Some(model_name) = reader.text(&at("model_name")).or_else(|| reader.text(&at("model_id"))) else {
            if reader.is_good(&at("model_name")) {
                let location = self.location_of(SECTION);
                let needed = "the model that judges, such as meta/llama-3.3-70b-instruct";
                self.problems.push(Problem::missing(location, &at("model_name"), needed));
            }
            return None;
        };
        let place = match remote {
            true if invocation.rehearse => {
                let stands_in = "local (--rehearse: a stand-in judges)".to_owned();
                reader.note(&at("deployment_type"), stands_in, ValueSource::Flag);
                // A remote judge takes no GPU, so its stand-in takes none either.
                JudgePlace::Local(LocalJudge { gpus: 0, pvc_size: None, tag: None, registry_base: None })
            }
            true => JudgePlace::Remote { url: self.judge_url()?, key: self.judge_key() },
            false => JudgePlace::Local(self.local_judge(&model_name, kind, invocation.rehearse)),
        };
        let judge = JudgePlan { model_name, place };
        if workload == TypeChoice::ToolCalling {
            self.judge_within_budget(&judge, candidates);
        }
        let stands_in = kind == PlatformKind::Embedded && !invocation.rehearse;
        if !stands_in && candidates.iter().any(|candidate| candidate.model_name == judge.model_name) {
            self.warnings.push(format!("{} is also a candidate, so it judges its own calls", at("model_name")));
        }
        Some(judge)
    }

    /// Warns of keys in the judge's older spelling.
    pub(super) fn warn_of_older_judge(&mut self) {
        let is_written = |key: &&str| self.reader.written(&at(key)).is_some();
        let older: Vec<&str> = ["type", "model_id", "api_key_env"].into_iter().filter(is_written).collect();
        if !older.is_empty() {
            self.warnings.push(format!(
                "{SECTION} uses an older spelling ({}); write deployment_type and model_name instead, and keep the API key in \
                 the variable LLM_JUDGE_API_KEY",
                older.join(", ")
            ));
        }
    }

    /// Tells whether the judge is remote. Without `deployment_type`, a URL makes it remote.
    fn is_remote(&self) -> bool {
        let reader = self.reader;
        let written = |key: &str| reader.written(&at(key)).is_some();
        let stated = ["deployment_type", "type"].into_iter().find(|key| written(key));
        match stated.and_then(|key| reader.text(&at(key))) {
            Some(word) => word == "remote",
            None => {
                let (word, why) =
                    if written("url") { ("remote", "a url is given") } else { ("local", "no url is given") };
                reader.note(&at("deployment_type"), format!("{word} ({why})"), ValueSource::Default);
                word == "remote"
            }
        }
    }

    fn judge_url(&mut self) -> Option<String> {
        let path = at("url");
        let url = self.reader.text(&path);
        if url.is_none() && self.reader.is_good(&path) {
            let location = self.location_of(SECTION);
            let needed =
                "where the judge takes chat requests, such as https://integrate.api.nvidia.com/v1/chat/completions";
            self.problems.push(Problem::missing(location, &path, needed));
        }
        url
    }

    /// Returns where the API key is. The key itself is not read.
    fn judge_key(&mut self) -> JudgeKey {
        let reader = self.reader;
        let path = at("api_key");
        let masked = |text: &str| format!("****{text}");
        if let Some(node) = reader.written(&path) {
            reader.note(&path, masked(""), source_of(&node.at));
            return JudgeKey::Written;
        }
        let named = reader.text(&at("api_key_env"));
        let variables = match &named {
            Some(name) => vec![name.clone()],
            None => KEY_VARIABLES.map(str::to_owned).to_vec(),
        };
        match variables.iter().find(|name| self.environment.get(name).is_some()) {
            Some(name) => reader.note(&path, masked(&format!(" ({name})")), ValueSource::Environment),
            None if named.is_some() => {
                self.require_variable(&at("api_key_env"), &variables[0]);
            }
            None => reader.note(&path, "none".to_owned(), ValueSource::Default),
        }
        JudgeKey::Variables(variables)
    }

    fn local_judge(&mut self, model_name: &str, kind: PlatformKind, rehearse: bool) -> LocalJudge {
        let reader = self.reader;
        let path = if reader.written(&at("model_name")).is_some() { at("model_name") } else { at("model_id") };
        if let Some(Err(mismatch)) = reader.written(&path).map(|node| values::text(node, TextForm::Model)) {
            let location = self.location_of(&path);
            self.problems.push(Problem::value(location, &path, mismatch.found, mismatch.allowed));
        } else if kind == PlatformKind::Embedded && !rehearse && !student::NAMES.contains(&model_name) {
            let location = self.location_of(&path);
            let allowed = format!(
                "{} on the embedded platform (or deployment_type: remote, or --rehearse, which stands in for any judge)",
                student::NAMES.join(", ")
            );
            self.problems.push(Problem::value(location, &path, format!("the text \"{model_name}\""), allowed));
        }
        LocalJudge {
            gpus: reader.integer32(&at("gpus")),
            pvc_size: reader.text(&at("pvc_size")),
            tag: reader.text(&at("tag")),
            registry_base: reader.text(&at("registry_base")).map(|base| base.trim_end_matches('/').to_owned()),
        }
    }

    /// Checks that every candidate fits beside the judge, which holds its GPUs for the whole run.
    fn judge_within_budget(&mut self, judge: &JudgePlan, candidates: &[Candidate]) {
        let Some(budget) = self.reader.integer("gpus") else { return };
        let largest = candidates.iter().map(Candidate::least_gpus).max().unwrap_or(0);
        let need = u64::from(judge.gpus());
        // A candidate that does not fit alone is a problem already.
        if need == 0 || u64::from(largest) > budget || need + u64::from(largest) <= budget {
            return;
        }
        let path = at("gpus");
        let location = self.location_of(&path);
        let left = budget - u64::from(largest);
        let allowed = format!(
            "at most {left}, because the budget `gpus` is {budget} and a candidate needs {largest} beside the judge"
        );
        self.problems.push(Problem::value(location, &path, format!("{need} GPUs for the judge"), allowed));
    }
}

/// Returns the API key of a plan's judge, from the environment or from the configuration as it is today. A judge may need none.
pub(crate) fn judge_key(plan: &Plan, set: &[String], environment: &Environment) -> Option<String> {
    let JudgePlace::Remote { key, .. } = &plan.judge.as_ref()?.place else { return None };
    let from = |variables: &[String]| variables.iter().find_map(|name| environment.get(name)).map(str::to_owned);
    match key {
        JudgeKey::Variables(variables) => from(variables),
        JudgeKey::Written => written(plan, set, environment).or_else(|| from(&KEY_VARIABLES.map(str::to_owned))),
    }
}

fn written(plan: &Plan, set: &[String], environment: &Environment) -> Option<String> {
    let text = plan.config_file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    let mut root = text.and_then(|text| yaml::read(&text).ok()).unwrap_or_else(ConfigNode::empty);
    placeholders::fill(&mut root, environment);
    let mut ignored = Vec::new();
    overrides::apply_variables(&mut root, environment.iter(), &mut ignored);
    overrides::apply_sets(&mut root, set, &mut ignored);
    values::text(root.find(&at("api_key"))?, TextForm::Secret).ok()
}
