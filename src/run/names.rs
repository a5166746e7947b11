//! The names of runs and of their resources on the platform: `dfwfd-RUN-MODEL-KIND`, in `[a-z0-9-]`.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng as _;

/// The longest name of a deployment, because Deployment Management makes a Kubernetes name of it behind a prefix.
const LONGEST_DEPLOYMENT: usize = 45;

/// The longest name of anything else.
const LONGEST_OTHER: usize = 63;

/// The length of an attempt number, such as `-12`.
const ATTEMPT: usize = 3;

/// The length of the longest suffix behind a slug in the name of a deployment.
const DEPLOYMENT_SUFFIX: usize = "nim".len();

/// The length of the longest suffix behind a slug in other names.
const OTHER_SUFFIX: usize = "customized-eval".len();

/// The length of `dfwfd-`, the run id and two hyphens.
const FRAME: usize = "dfwfd-".len() + RUN_ID + 2;

/// The length of a run id.
pub(crate) const RUN_ID: usize = 8;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Returns a new random run id.
pub(crate) fn new_run_id() -> String {
    let mut bytes = [0_u8; RUN_ID];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// Tells whether a text has the form of a run id.
pub(crate) fn is_run_id(text: &str) -> bool {
    text.len() == RUN_ID && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// Returns the run id in a name that dfwfd gave. In a description also the `user@host` behind the name.
pub(crate) fn parse(text: &str) -> Option<(&str, Option<&str>)> {
    let rest = text.strip_prefix("dfwfd-")?;
    let run = rest.get(..RUN_ID).filter(|run| is_run_id(run))?;
    if !rest[RUN_ID..].starts_with('-') {
        return None;
    }
    let owner = text.split_once(" (").and_then(|(_, owner)| owner.strip_suffix(')'));
    Some((run, owner))
}

/// The names of what belongs to the candidates of a run: unique, stable, and recognisable by the name of the model.
#[derive(Clone, Debug)]
pub(crate) struct CandidateNames {
    deployment: BTreeMap<String, String>,
    other: BTreeMap<String, String>,
}

impl CandidateNames {
    /// Returns the names for these models.
    pub(crate) fn new<'a>(models: impl IntoIterator<Item = &'a str>) -> CandidateNames {
        let models: Vec<&str> = models.into_iter().collect();
        CandidateNames {
            deployment: slugs(&models, LONGEST_DEPLOYMENT - FRAME - DEPLOYMENT_SUFFIX - ATTEMPT),
            other: slugs(&models, LONGEST_OTHER - FRAME - OTHER_SUFFIX - ATTEMPT),
        }
    }

    /// Returns the name of a deployment.
    pub(crate) fn deployment(&self, run: &str, model: &str, suffix: &str) -> String {
        format!("dfwfd-{run}-{}-{suffix}", slug_of(&self.deployment, model))
    }

    /// Returns the name of any other resource.
    pub(crate) fn other(&self, run: &str, model: &str, suffix: &str) -> String {
        format!("dfwfd-{run}-{}-{suffix}", self.slug(model))
    }

    /// Returns the short name of a model, as in names of files.
    pub(crate) fn slug(&self, model: &str) -> &str {
        slug_of(&self.other, model)
    }
}

fn slug_of<'a>(slugs: &'a BTreeMap<String, String>, model: &str) -> &'a str {
    slugs.get(model).map_or("unknown", String::as_str)
}

/// Returns a slug of at most `room` characters per model. One that is cut or shared ends in a hash of the model's name.
fn slugs(models: &[&str], room: usize) -> BTreeMap<String, String> {
    let plain: Vec<String> = models.iter().map(|model| plain_slug(model)).collect();
    let slugs = models.iter().zip(&plain).map(|(model, slug)| {
        let shared = plain.iter().filter(|other| *other == slug).count() > 1;
        let slug = if slug.len() <= room && !shared && !slug.is_empty() {
            slug.clone()
        } else {
            let hash = &blake3::hash(model.as_bytes()).to_hex()[..4];
            let cut: String = slug.chars().take(room - 5).collect();
            format!("{}-{hash}", cut.trim_end_matches('-')).trim_start_matches('-').to_owned()
        };
        ((*model).to_owned(), slug)
    });
    slugs.collect()
}

fn plain_slug(model: &str) -> String {
    // Readers look for the name of the model, not for the organisation before the slash.
    let name = model.rsplit('/').next().unwrap_or(model);
    let mut slug = String::with_capacity(name.len());
    for character in name.chars() {
        let character = character.to_ascii_lowercase();
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// Returns the name with this suffix among the names that a candidate has in the ledger.
pub(super) fn known_name(known: Vec<String>, suffix: &str) -> Option<String> {
    known.into_iter().find(|name| name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('-')))
}

/// Returns the name of a resource of the whole run.
pub(crate) fn of_run(run: &str, kind: &str) -> String {
    format!("dfwfd-{run}-{kind}")
}

/// Returns the description that every create carries: the name and its owner.
pub(crate) fn description(name: &str, owner: &str) -> String {
    format!("{name} ({owner})")
}

/// Returns `user@host` of this process.
pub(crate) fn owner() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(fallback_user);
    let clean = |text: String| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).take(64).collect()
    };
    format!("{}@{}", clean(user), clean(host()))
}

#[cfg(unix)]
fn fallback_user() -> String {
    format!("uid{}", rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn fallback_user() -> String {
    "user".to_owned()
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "host".to_owned())
}

/// Returns a duration of configured milliseconds.
pub(crate) fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_keep_the_model_recognisable_and_apart() {
        let models =
            ["meta/llama-3.2-1b-instruct", "a/b", "c/b", "nvidia/llama-3.1-nemotron-nano-8b-v1", "///", "x_Y.z"];
        let names = CandidateNames::new(models);
        for slugs in [&names.deployment, &names.other] {
            let all: std::collections::BTreeSet<&String> = slugs.values().collect();
            assert_eq!(all.len(), models.len());
        }
        assert_eq!(names.slug("x_Y.z"), "x-y-z");
        assert!(names.slug("a/b").starts_with("b-"));
        let nim = |model| names.deployment("abcd2345", model, "nim");
        assert_eq!(nim("meta/llama-3.2-1b-instruct"), "dfwfd-abcd2345-llama-3-2-1b-instruct-nim");
        assert!(nim("nvidia/llama-3.1-nemotron-nano-8b-v1").starts_with("dfwfd-abcd2345-llama-3-1-nemotron-"));
        let lora = names.other("abcd2345", "nvidia/llama-3.1-nemotron-nano-8b-v1", "lora");
        assert_eq!(lora, "dfwfd-abcd2345-llama-3-1-nemotron-nano-8b-v1-lora");
    }

    #[test]
    fn a_run_keeps_the_names_of_its_ledger() {
        let known =
            || vec!["dfwfd-abcd2345-llama-4bfb-base-eval".to_owned(), "dfwfd-abcd2345-x-customized-eval".to_owned()];
        assert_eq!(known_name(known(), "base-eval").as_deref(), Some("dfwfd-abcd2345-llama-4bfb-base-eval"));
        assert_eq!(known_name(known(), "customized-eval").as_deref(), Some("dfwfd-abcd2345-x-customized-eval"));
        assert_eq!(known_name(known(), "nim"), None);
    }

    #[test]
    fn a_name_tells_its_run_and_owner() {
        let name = of_run("abcd2345", "nim");
        assert_eq!(parse(&name), Some(("abcd2345", None)));
        assert_eq!(parse(&description(&name, "ann@box")), Some(("abcd2345", Some("ann@box"))));
        assert_eq!(parse("dfwfd-ABCD2345-nim"), None);
        assert_eq!(parse("dfwfd-abcd2345"), None);
        assert_eq!(parse("other"), None);
    }

    proptest! {
        #[test]
        fn names_keep_to_the_alphabet_and_the_length(model in "\\PC{0,80}", attempt in 2..100_u32) {
            let names = CandidateNames::new([model.as_str()]);
            let run = new_run_id();
            for (name, longest) in [
                (names.deployment(&run, &model, "nim"), LONGEST_DEPLOYMENT),
                (names.other(&run, &model, "customized-eval"), LONGEST_OTHER),
            ] {
                let name = format!("{name}-{attempt}");
                prop_assert!(name.len() <= longest, "{name}");
                prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
                prop_assert!(parse(&name).is_some());
            }
        }
    }
}
