//! Resolves `mlflow_config`: the MLflow server that gets the results of a run. The names of the variables are those of
//! MLflow's own client.

use super::Need;
use super::plan::{MlflowPlan, ValueSource};
use super::problem::Problem;
use super::resolve::Resolver;
use super::schema::TextForm;
use super::values;
use crate::data::userinfo;

const SECTION: &str = "mlflow_config";

/// The variable with the URL of the server, which may contain a user name and a password.
pub(crate) const TRACKING_URI: &str = "MLFLOW_TRACKING_URI";

impl Resolver<'_> {
    /// Returns the server, if the run is to be sent to one.
    pub(super) fn mlflow(&mut self, need: Need) -> Option<MlflowPlan> {
        let reader = self.reader;
        let at = |key: &str| format!("{SECTION}.{key}");
        if need != Need::Candidates || reader.written(SECTION).is_none() {
            return None;
        }
        if !reader.boolean(&at("enabled")) {
            // NVIDIA's flywheel decides by its environment, so its files do not say.
            if reader.written(&at("enabled")).is_none() {
                let warning = format!("{SECTION} has no effect until {SECTION}.enabled is true");
                self.warnings.push(warning);
            }
            return None;
        }
        let tracking_uri = self.tracking_uri(&at("tracking_uri"))?;
        let artifact_location = reader.text(&at("artifact_location")).filter(|location| {
            let is_remote = location.starts_with("mlflow-artifacts:")
                || location.contains("://") && !location.starts_with("file:");
            if !is_remote {
                self.warnings.push(format!(
                    "{} is not sent to MLflow: {location} is a path on this machine, and the server keeps artefacts where it was \
                     told to",
                    at("artifact_location")
                ));
            }
            is_remote
        });
        Some(MlflowPlan {
            tracking_uri,
            experiment_name_prefix: reader.text(&at("experiment_name_prefix")).unwrap_or_default(),
            artifact_location,
            texts: reader.boolean(&at("texts")),
        })
    }

    fn tracking_uri(&mut self, path: &str) -> Option<String> {
        let reader = self.reader;
        let Some(node) = reader.written(path) else {
            let Some(url) = self.environment.get(TRACKING_URI).map(|url| userinfo::apart(url).0) else {
                if reader.is_good(path) {
                    let location = self.location_of(SECTION);
                    let needed = "the URL of the MLflow server, such as http://localhost:5000";
                    self.problems.push(Problem::missing(location, path, needed));
                }
                return None;
            };
            reader.note(path, format!("{url} ({TRACKING_URI})"), ValueSource::Environment);
            return Some(url.trim_end_matches('/').to_owned());
        };
        match values::text(node, TextForm::Url) {
            // Read again, for the list of origins.
            Ok(_) => reader.text(path).map(|url| url.trim_end_matches('/').to_owned()),
            Err(mismatch) => {
                let location = self.location_of(path);
                self.problems.push(Problem::value(location, path, mismatch.found, mismatch.allowed));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load_text;

    const SMALL: &str = "nmp_config: {platform: embedded}\nnims: [{model_name: dfwfd/ngram-small}]\n";

    /// Returns what is sent where, with this section.
    fn plan(section: &str, variables: &[(&str, &str)]) -> Result<crate::config::plan::Plan, String> {
        load_text(&format!("{SMALL}mlflow_config: {section}\n"), |_, around| {
            around.process = crate::config::env::Environment::of(variables.iter().copied());
        })
        .map_err(|problems| problems.to_string())
    }

    #[test]
    fn it_is_off_until_it_is_switched_on() {
        let off = plan("{tracking_uri: 'file:./mlruns'}", &[]).unwrap();
        assert_eq!(off.mlflow, None);
        assert_eq!(off.warnings, ["mlflow_config has no effect until mlflow_config.enabled is true"]);
        assert_eq!(plan("{enabled: false}", &[]).unwrap().warnings, [""; 0]);
        assert_eq!(plan("null", &[]).unwrap().warnings, [""; 0]);
    }

    #[test]
    fn the_server_is_named_in_the_file_or_by_the_variable_of_mlflow() {
        let uri = |section: &str, variables: &[(&str, &str)]| {
            plan(section, variables).map(|plan| plan.mlflow.unwrap().tracking_uri)
        };
        let variable = [("MLFLOW_TRACKING_URI", "https://me:hunter2@mlflow.test/")];
        assert_eq!(uri("{enabled: true, tracking_uri: 'http://a:5000/'}", &variable).unwrap(), "http://a:5000");
        assert_eq!(uri("{enabled: true}", &variable).unwrap(), "https://mlflow.test");
        let missing = uri("{enabled: true}", &[]).unwrap_err();
        assert!(missing.contains("mlflow_config.tracking_uri"), "{missing}");
        let wrong = uri("{enabled: true, tracking_uri: 'file:./mlruns'}", &[]).unwrap_err();
        assert!(wrong.contains("mlflow_config.tracking_uri") && wrong.contains("http"), "{wrong}");
        let shown = format!("{:?}", plan("{enabled: true}", &variable).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_path_of_this_machine_is_not_sent_as_the_place_of_artefacts() {
        let location = |location: &str| {
            let plan =
                plan(&format!("{{enabled: true, tracking_uri: 'http://a', artifact_location: '{location}'}}"), &[]);
            let plan = plan.unwrap();
            (plan.mlflow.unwrap().artifact_location, plan.warnings.len())
        };
        assert_eq!(location("./mlruns"), (None, 1));
        assert_eq!(location("file:///mlruns"), (None, 1));
        assert_eq!(location("s3://bucket/a"), (Some("s3://bucket/a".to_owned()), 0));
        assert_eq!(location("mlflow-artifacts:/a"), (Some("mlflow-artifacts:/a".to_owned()), 0));
    }
}
