//! Resolves `tool_eval_type` and `llm_judge_config` (in both spellings) into the judge of a plan.

use super::env::Environment;
use super::plan::{Candidate, JudgePlan, LocalService, Plan, ServicePlace, ValueSource};
use super::problem::Problem;
use super::resolve::Resolver;
use super::service::{self, ServiceSection};
use super::{Invocation, Need};
use crate::data::options::TypeChoice;
use crate::vocabulary::PlatformKind;

const SECTION: &str = "llm_judge_config";

const SERVICE: ServiceSection = ServiceSection {
    path: SECTION,
    url: "where the judge takes chat requests, such as https://integrate.api.nvidia.com/v1/chat/completions",
    key_variables: ["LLM_JUDGE_API_KEY", "NVIDIA_API_KEY"],
};

fn at(key: &str) -> String {
    SERVICE.at(key)
}

impl Resolver<'_> {
    /// Returns the judge of tool calls and the judge of texts: the same model, where either is judged.
    pub(super) fn judges(
        &mut self,
        invocation: &Invocation,
        kind: PlatformKind,
        workload: TypeChoice,
        candidates: &[Candidate],
    ) -> (Option<JudgePlan>, Option<JudgePlan>) {
        let reader = self.reader;
        let may_be = |wanted| workload == wanted || workload == TypeChoice::Auto;
        let calls = may_be(TypeChoice::ToolCalling)
            && reader.text("evaluation_config.tool_eval_type").as_deref() == Some("tool-calling-judge");
        let texts = may_be(TypeChoice::Text) && reader.written(SECTION).is_some();
        if invocation.need != Need::Candidates || !(calls || texts) {
            return (None, None);
        }
        let judge = self.judge(invocation, kind, workload, candidates);
        (judge.clone().filter(|_| calls), judge.filter(|_| texts))
    }

    fn judge(
        &mut self,
        invocation: &Invocation,
        kind: PlatformKind,
        workload: TypeChoice,
        candidates: &[Candidate],
    ) -> Option<JudgePlan> {
        let reader = self.reader;
        if reader.written(SECTION).is_none() {
            if reader.is_good(SECTION) {
                let location = self.location_of("evaluation_config.tool_eval_type");
                let needed = "the model that judges, because evaluation_config.tool_eval_type is tool-calling-judge";
                self.problems.push(Problem::missing(location, SECTION, needed));
            }
            return None;
        }
        let remote = self.is_remote(SERVICE);
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
                ServicePlace::Local(LocalService { gpus: 0, pvc_size: None, tag: None, registry_base: None })
            }
            true => ServicePlace::Remote { url: self.service_url(SERVICE)?, key: self.service_key(SERVICE) },
            false => ServicePlace::Local(self.local_service(SERVICE, &model_name, kind, invocation.rehearse)),
        };
        let judge = JudgePlan { model_name, place };
        if matches!(workload, TypeChoice::ToolCalling | TypeChoice::Text) {
            self.judge_within_budget(&judge, candidates);
        }
        let stands_in = kind == PlatformKind::Embedded && !invocation.rehearse;
        if !stands_in && candidates.iter().any(|candidate| candidate.model_name == judge.model_name) {
            self.warnings.push(format!("{} is also a candidate, so it judges its own replies", at("model_name")));
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

/// Returns the API key of a plan's judge.
pub(crate) fn judge_key(plan: &Plan, set: &[String], environment: &Environment) -> Option<String> {
    service::key_of(&plan.any_judge()?.place, SERVICE, plan, set, environment)
}
