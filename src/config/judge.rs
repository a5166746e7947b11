//! `tool_eval_type` and `llm_judge_config` into the judge of a plan, in either of its spellings; and its key, which no plan
//! holds.

use super::candidates::STUDENTS;
use super::env::Environment;
use super::file::Document;
use super::plan::{Candidate, Judge, JudgeKey, JudgePlace, LocalJudge, Plan, PlatformKind, Source};
use super::problem::Problem;
use super::resolve::Resolve;
use super::schema::Form;
use super::settings::source;
use super::{Invocation, Need, layers, values};
use crate::data::options::TypeChoice;

const SECTION: &str = "llm_judge_config";

/// Where the key of a judge is looked for, unless the configuration names a variable.
const KEY_VARIABLES: [&str; 2] = ["LLM_JUDGE_API_KEY", "NVIDIA_API_KEY"];

fn at(key: &str) -> String {
    format!("{SECTION}.{key}")
}

impl Resolve<'_> {
    /// The judge, when tool calls are judged.
    pub(crate) fn judge(
        &mut self,
        invocation: &Invocation,
        kind: PlatformKind,
        workload: TypeChoice,
        candidates: &[Candidate],
    ) -> Option<Judge> {
        if workload == TypeChoice::Classification || invocation.need != Need::Candidates {
            return None;
        }
        let settings = self.settings;
        if settings.text("evaluation_config.tool_eval_type").as_deref() != Some("tool-calling-judge") {
            return None;
        }
        if settings.written(SECTION).is_none() {
            if settings.good(SECTION) {
                let place = self.place_of("evaluation_config.tool_eval_type");
                let needed = "the model that judges, as evaluation_config.tool_eval_type is tool-calling-judge";
                self.problems.push(Problem::missing(place, SECTION, needed));
            }
            return None;
        }
        let remote = self.is_remote();
        let Some(model_name) = settings.text(&at("model_name")).or_else(|| settings.text(&at("model_id"))) else {
            if settings.good(&at("model_name")) {
                let place = self.place_of(SECTION);
                let needed = "the model that judges, such as meta/llama-3.3-70b-instruct";
                self.problems.push(Problem::missing(place, &at("model_name"), needed));
            }
            return None;
        };
        let place = match remote {
            true if invocation.rehearse => {
                let stands_in = "local (--rehearse: a stand-in judges)".to_owned();
                settings.note(&at("deployment_type"), stands_in, Source::Flag);
                // What is remote takes no GPU, and its stand-in neither.
                JudgePlace::Local(LocalJudge { gpus: 0, pvc_size: None, tag: None, registry_base: None })
            }
            true => JudgePlace::Remote { url: self.judge_url()?, key: self.judge_key() },
            false => JudgePlace::Local(self.local_judge(&model_name, kind, invocation.rehearse)),
        };
        let judge = Judge { model_name, place };
        if workload == TypeChoice::ToolCalling {
            self.judge_within_budget(&judge, candidates);
        }
        let stands_in = kind == PlatformKind::Embedded && !invocation.rehearse;
        if !stands_in && candidates.iter().any(|candidate| candidate.model_name == judge.model_name) {
            self.warnings.push(format!("{} is a candidate, too: it judges its own calls", at("model_name")));
        }
        Some(judge)
    }

    /// Whether the judge is somewhere else; when nothing says so, a URL does.
    fn is_remote(&self) -> bool {
        let settings = self.settings;
        let written = |key: &str| settings.written(&at(key)).is_some();
        let stated = ["deployment_type", "type"].into_iter().find(|key| written(key));
        match stated.and_then(|key| settings.text(&at(key))) {
            Some(word) => word == "remote",
            None => {
                let (word, why) =
                    if written("url") { ("remote", "a url is given") } else { ("local", "no url is given") };
                settings.note(&at("deployment_type"), format!("{word} ({why})"), Source::Default);
                word == "remote"
            }
        }
    }

    fn judge_url(&mut self) -> Option<String> {
        let path = at("url");
        let url = self.settings.text(&path);
        if url.is_none() && self.settings.good(&path) {
            let place = self.place_of(SECTION);
            let needed =
                "where the judge takes chat requests, such as https://integrate.api.nvidia.com/v1/chat/completions";
            self.problems.push(Problem::missing(place, &path, needed));
        }
        url
    }

    /// Where the key is; the key itself stays where it is.
    fn judge_key(&mut self) -> JudgeKey {
        let settings = self.settings;
        let path = at("api_key");
        let masked = |text: &str| format!("****{text}");
        if let Some(node) = settings.written(&path) {
            settings.note(&path, masked(""), source(&node.at));
            return JudgeKey::Written;
        }
        let named = settings.text(&at("api_key_env"));
        let variables = match &named {
            Some(name) => vec![name.clone()],
            None => KEY_VARIABLES.map(str::to_owned).to_vec(),
        };
        match variables.iter().find(|name| self.environment.get(name).is_some()) {
            Some(name) => settings.note(&path, masked(&format!(" ({name})")), Source::Environment),
            None if named.is_some() => {
                let path = at("api_key_env");
                let place = self.place_of(&path);
                let name = &variables[0];
                let sentence = format!("the environment variable {name} is not set, nor is it in a .env file");
                self.problems.push(Problem::other(place, &path, sentence));
            }
            None => settings.note(&path, "none is sent".to_owned(), Source::Default),
        }
        JudgeKey::Variables(variables)
    }

    fn local_judge(&mut self, model_name: &str, kind: PlatformKind, rehearse: bool) -> LocalJudge {
        let settings = self.settings;
        let path = if settings.written(&at("model_name")).is_some() { at("model_name") } else { at("model_id") };
        if let Some(Err(complaint)) = settings.written(&path).map(|node| values::text(node, Form::Model)) {
            let place = self.place_of(&path);
            self.problems.push(Problem::value(place, &path, complaint.found, complaint.allowed));
        } else if kind == PlatformKind::Embedded && !rehearse && !STUDENTS.contains(&model_name) {
            let place = self.place_of(&path);
            let allowed = format!(
                "{} on the embedded platform (or deployment_type: remote, or --rehearse, which stands in for any judge)",
                STUDENTS.join(", ")
            );
            self.problems.push(Problem::value(place, &path, format!("the text \"{model_name}\""), allowed));
        }
        LocalJudge {
            gpus: settings.count32(&at("gpus")),
            pvc_size: settings.text(&at("pvc_size")),
            tag: settings.text(&at("tag")),
            registry_base: settings.text(&at("registry_base")).map(|base| base.trim_end_matches('/').to_owned()),
        }
    }

    /// The judge's GPUs are taken for the whole run: every candidate has to fit beside them.
    fn judge_within_budget(&mut self, judge: &Judge, candidates: &[Candidate]) {
        let Some(budget) = self.settings.whole("gpus") else { return };
        let largest = candidates.iter().map(Candidate::least_gpus).max().unwrap_or(0);
        let need = u64::from(judge.gpus());
        // A candidate that does not fit alone has been told already.
        if need == 0 || u64::from(largest) > budget || need + u64::from(largest) <= budget {
            return;
        }
        let path = at("gpus");
        let place = self.place_of(&path);
        let left = budget - u64::from(largest);
        let allowed =
            format!("at most {left}: the budget `gpus` is {budget}, and a candidate needs {largest} beside the judge");
        self.problems.push(Problem::value(place, &path, format!("{need} GPUs for the judge"), allowed));
    }
}

/// The key of the judge of a plan: out of the environment, or out of where it is written in plain text today.
/// `None`: there is none to be found; whether one is needed, the judge knows.
pub fn judge_key(plan: &Plan, set: &[String], environment: &Environment) -> Option<String> {
    let JudgePlace::Remote { key, .. } = &plan.judge.as_ref()?.place else { return None };
    let from = |variables: &[String]| variables.iter().find_map(|name| environment.get(name)).map(str::to_owned);
    match key {
        JudgeKey::Variables(variables) => from(variables),
        JudgeKey::Written => written(plan, set, environment).or_else(|| from(&KEY_VARIABLES.map(str::to_owned))),
    }
}

fn written(plan: &Plan, set: &[String], environment: &Environment) -> Option<String> {
    let text = plan.config_file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    let document = text.and_then(|text| Document::read(&text).ok());
    let mut root = document.map_or_else(super::node::Node::empty, |document| document.root);
    let mut ignored = Vec::new();
    layers::variables(&mut root, environment.iter(), &mut ignored);
    layers::sets(&mut root, set, &mut ignored);
    values::text(root.find(&at("api_key"))?, Form::Secret).ok()
}
