//! The endpoints of the platform, as methods and path patterns. The list is checked against the routes in the sources
//! and against the methods that the platform allows.

use std::collections::BTreeSet;
use std::path::Path;

/// Methods and patterns: `{}` is one segment, `{*}` the rest.
const ENDPOINTS: &[(&str, &str)] = &[
    ("GET POST", "/nemo/v1/namespaces"),
    ("GET PATCH DELETE", "/nemo/v1/namespaces/{}"),
    ("GET POST", "/nemo/v1/projects"),
    ("GET PATCH DELETE", "/nemo/v1/projects/{}/{}"),
    ("GET POST", "/datastore/v1/datastore/namespaces"),
    ("GET DELETE", "/datastore/v1/datastore/namespaces/{}"),
    ("GET", "/datastore/v1/health"),
    ("POST", "/datastore/v1/hf/api/repos/create"),
    ("DELETE", "/datastore/v1/hf/api/repos/delete"),
    ("POST", "/datastore/v1/hf/api/validate-yaml"),
    ("GET", "/datastore/v1/hf/api/{}"),
    ("GET", "/datastore/v1/hf/api/{}/{}/{}"),
    ("GET", "/datastore/v1/hf/api/{}/{}/{}/refs"),
    ("GET", "/datastore/v1/hf/api/{}/{}/{}/revision/{}"),
    ("GET", "/datastore/v1/hf/api/{}/{}/{}/tree/{}"),
    ("GET", "/datastore/v1/hf/api/{}/{}/{}/tree/{}/{*}"),
    ("POST", "/datastore/v1/hf/api/{}/{}/{}/paths-info/{}"),
    ("POST", "/datastore/v1/hf/api/{}/{}/{}/preupload/{}"),
    ("POST", "/datastore/v1/hf/api/{}/{}/{}/commit/{}"),
    ("POST", "/datastore/v1/hf/datasets/{}/{}/info/lfs/objects/batch"),
    ("POST", "/datastore/v1/hf/{}/{}/info/lfs/objects/batch"),
    ("PUT", "/datastore/v1/hf/lfs/put/{}"),
    ("POST", "/datastore/v1/hf/lfs/verify"),
    ("GET HEAD", "/datastore/v1/hf/datasets/{}/{}/resolve/{}/{*}"),
    ("GET HEAD", "/datastore/v1/hf/{}/{}/resolve/{}/{*}"),
    ("GET POST", "/nemo/v1/datasets"),
    ("GET PATCH DELETE", "/nemo/v1/datasets/{}/{}"),
    ("GET POST", "/nemo/v1/deployment/configs"),
    ("GET PATCH DELETE", "/nemo/v1/deployment/configs/{}/{}"),
    ("GET POST", "/nemo/v1/deployment/model-deployments"),
    ("GET PATCH DELETE", "/nemo/v1/deployment/model-deployments/{}/{}"),
    ("GET POST", "/nemo/v1/customization/targets"),
    ("GET PATCH DELETE", "/nemo/v1/customization/targets/{}/{}"),
    ("GET POST", "/nemo/v1/customization/configs"),
    ("GET PATCH DELETE", "/nemo/v1/customization/configs/{}/{}"),
    ("GET POST", "/nemo/v1/customization/jobs"),
    ("GET", "/nemo/v1/customization/jobs/{}"),
    ("GET", "/nemo/v1/customization/jobs/{}/status"),
    ("POST", "/nemo/v1/customization/jobs/{}/cancel"),
    ("POST", "/nemo/v1/customizations/{}/cancel"),
    ("GET", "/nemo/v1/customization/jobs/{}/container-logs"),
    ("GET POST", "/nemo/v1/models"),
    ("GET PATCH DELETE", "/nemo/v1/models/{}/{}"),
    ("GET POST", "/nemo/v1/evaluation/configs"),
    ("GET PATCH DELETE", "/nemo/v1/evaluation/configs/{}/{}"),
    ("GET POST", "/nemo/v1/evaluation/targets"),
    ("GET PATCH DELETE", "/nemo/v1/evaluation/targets/{}/{}"),
    ("GET POST", "/nemo/v1/evaluation/jobs"),
    ("GET DELETE", "/nemo/v1/evaluation/jobs/{}"),
    ("GET", "/nemo/v1/evaluation/jobs/{}/status"),
    ("POST", "/nemo/v1/evaluation/jobs/{}/cancel"),
    ("GET", "/nemo/v1/evaluation/jobs/{}/logs"),
    ("GET", "/nemo/v1/evaluation/jobs/{}/results"),
    ("GET", "/nemo/v1/evaluation/jobs/{}/download-results"),
    ("GET POST", "/nemo/v1/evaluation/results"),
    ("GET PATCH DELETE", "/nemo/v1/evaluation/results/{}"),
    ("POST", "/nemo/v1/evaluation/live"),
    ("GET", "/nim/v1/models"),
    ("GET", "/nim/v1/health/ready"),
    ("GET", "/nim/v1/health/live"),
    ("POST", "/nim/v1/chat/completions"),
    ("POST", "/nim/v1/completions"),
    ("POST", "/nim/v1/embeddings"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub method: &'static str,
    pub pattern: &'static str,
}

/// Returns all endpoints.
pub(crate) fn all() -> Vec<Endpoint> {
    let each = |&(methods, pattern): &(&'static str, &'static str)| {
        methods.split(' ').map(move |method| Endpoint { method, pattern })
    };
    ENDPOINTS.iter().flat_map(each).collect()
}

/// Returns the patterns, each with its methods.
pub(crate) fn patterns() -> impl Iterator<Item = (Vec<&'static str>, &'static str)> {
    ENDPOINTS.iter().map(|&(methods, pattern)| (methods.split(' ').collect(), pattern))
}

impl Endpoint {
    /// Returns whether a request goes to this endpoint.
    pub(crate) fn takes(self, method: &str, path: &str) -> bool {
        self.method == method && self.pattern == pattern_of(path).unwrap_or_default()
    }
}

/// Returns the first pattern that a path matches.
fn pattern_of(path: &str) -> Option<&'static str> {
    let path = path.split('?').next().unwrap_or_default();
    let follows = |pattern: &str| {
        let mut steps = path.split('/');
        for wanted in pattern.split('/') {
            match (wanted, steps.next()) {
                ("{*}", Some(step)) => return !step.is_empty() || steps.next().is_some(),
                ("{}", Some(step)) if !step.is_empty() => {}
                (wanted, Some(step)) if wanted == step => {}
                _ => return false,
            }
        }
        steps.next().is_none()
    };
    ENDPOINTS.iter().map(|(_, pattern)| *pattern).find(|pattern| follows(pattern))
}

/// Returns the routes in the sources that no pattern names, and the patterns that are not routes.
pub(crate) fn unlisted(sources: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut found = BTreeSet::new();
    let mut folders = vec![sources.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") {
                found.extend(routes(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let listed: BTreeSet<String> = ENDPOINTS.iter().map(|(_, pattern)| below_service(pattern).to_owned()).collect();
    (found.difference(&listed).cloned().collect(), listed.difference(&found).cloned().collect())
}

/// Returns the paths of the routes in a source file, with anonymous parameters.
fn routes(source: &str) -> BTreeSet<String> {
    let parameter = regex::Regex::new(r"\{(\*?)\w+\}").unwrap();
    let route = regex::Regex::new(r#"\.route\(\s*"(/v1/[^"]+)""#).unwrap();
    let entity = regex::Regex::new(r#"crud\("(/v1/[^"]+)""#).unwrap();
    let paths = |pattern: &regex::Regex| -> Vec<String> {
        let found = pattern.captures_iter(source).map(|found| found[1].to_owned());
        found.map(|path| parameter.replace_all(&path, "{$1}").into_owned()).collect()
    };
    let mut all = BTreeSet::from_iter(paths(&route));
    for path in paths(&entity) {
        all.insert(format!("{path}/{{}}/{{}}"));
        all.insert(path);
    }
    all
}

/// Removes the prefix of the service from a pattern.
fn below_service(pattern: &str) -> &str {
    pattern.find("/v1/").map_or(pattern, |at| &pattern[at..])
}
