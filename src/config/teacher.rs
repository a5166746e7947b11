//! Resolves `teacher`: where the production model answers, for a run that measures its latency.

use super::plan::TeacherPlan;
use super::problem::Problem;
use super::resolve::Resolver;
use super::{Invocation, Need};

const SECTION: &str = "teacher";

impl Resolver<'_> {
    /// Returns the production model, if its latency is to be measured.
    pub(super) fn teacher(&mut self, invocation: &Invocation) -> Option<TeacherPlan> {
        let reader = self.reader;
        reader.written(SECTION).filter(|_| invocation.need == Need::Candidates)?;
        // A rehearsal asks nobody outside of this machine.
        let is_asked = invocation.measure_latency && !invocation.rehearse;
        let url = "where the production model takes chat requests, such as https://integrate.api.nvidia.com/v1";
        let url = self.needed("url", url);
        let model_name = self.needed("model_name", "the production model, such as meta/llama-3.3-70b-instruct");
        let path = format!("{SECTION}.api_key_env");
        let key_env = reader.text(&path);
        if let Some(name) = key_env.as_ref().filter(|_| is_asked) {
            self.require_variable(&path, name);
        }
        Some(TeacherPlan { url: url?, model_name: model_name?, key_env }).filter(|_| is_asked)
    }

    fn needed(&mut self, key: &str, what: &str) -> Option<String> {
        let path = format!("{SECTION}.{key}");
        let value = self.reader.text(&path);
        if value.is_none() && self.reader.is_good(&path) {
            let location = self.location_of(SECTION);
            self.problems.push(Problem::missing(location, &path, what));
        }
        value
    }
}
