//! Names: of runs, and of everything a run makes on the platform. `dfwfd-<run 8>-<slug>-<kind>`, `[a-z0-9-]`, at most
//! 45 characters, because Deployment Management turns its names into Kubernetes names behind a prefix.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng as _;

/// The longest name that is made, attempt number included.
const LONGEST: usize = 45;

/// Room that an attempt number may take, as in `-12`.
const ATTEMPT: usize = 3;

/// The longest kind that follows a slug.
const LONGEST_KIND: usize = "customized-eval".len();

/// `dfwfd-`, the run id, and two hyphens.
const FRAME: usize = "dfwfd-".len() + RUN_ID + 2;

/// Characters of a run id.
pub const RUN_ID: usize = 8;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A new random run id.
pub fn new_run_id() -> String {
    let mut bytes = [0_u8; RUN_ID];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// Whether a text has the form of a run id.
pub fn is_run_id(text: &str) -> bool {
    text.len() == RUN_ID && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// The run id in a name that dfwfd gave, and the `user@host` behind it when the text is a description.
pub fn parse(text: &str) -> Option<(&str, Option<&str>)> {
    let rest = text.strip_prefix("dfwfd-")?;
    let run = rest.get(..RUN_ID).filter(|run| is_run_id(run))?;
    if !rest[RUN_ID..].starts_with('-') {
        return None;
    }
    let owner = text.split_once(" (").and_then(|(_, owner)| owner.strip_suffix(')'));
    Some((run, owner))
}

/// The slugs of a run's candidates, by model name: short, unique, stable.
#[derive(Clone, Debug)]
pub struct Slugs(BTreeMap<String, String>);

impl Slugs {
    /// Slugs for these models.
    pub fn new<'a>(models: impl IntoIterator<Item = &'a str>) -> Slugs {
        let room = LONGEST - FRAME - LONGEST_KIND - ATTEMPT;
        let models: Vec<&str> = models.into_iter().collect();
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
        Slugs(slugs.collect())
    }

    /// The slug of a model.
    pub fn of(&self, model: &str) -> &str {
        self.0.get(model).map_or("unknown", String::as_str)
    }
}

fn plain_slug(model: &str) -> String {
    // The organisation before the slash says least: the model's own name is what a reader looks for.
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

/// The name of something that belongs to a candidate.
pub fn of_candidate(run: &str, slug: &str, kind: &str) -> String {
    format!("dfwfd-{run}-{slug}-{kind}")
}

/// The name of something that belongs to the whole run.
pub fn of_run(run: &str, kind: &str) -> String {
    format!("dfwfd-{run}-{kind}")
}

/// The description that every create carries: its name, and whose it is.
pub fn description(name: &str, owner: &str) -> String {
    format!("{name} ({owner})")
}

/// `user@host` of this process.
pub fn owner() -> String {
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

/// A duration from configured milliseconds.
pub fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slugs_are_readable_and_unique() {
        let models =
            ["meta/llama-3.2-1b-instruct", "a/b", "c/b", "nvidia/llama-3.1-nemotron-nano-8b-v1", "///", "x_Y.z"];
        let slugs = Slugs::new(models);
        let all: std::collections::BTreeSet<&str> = models.iter().map(|model| slugs.of(model)).collect();
        assert_eq!(all.len(), models.len());
        assert_eq!(slugs.of("x_Y.z"), "x-y-z");
        assert!(slugs.of("a/b").starts_with("b-"));
    }

    #[test]
    fn a_name_tells_its_run_and_owner() {
        let name = of_candidate("abcd2345", "m", "nim");
        assert_eq!(parse(&name), Some(("abcd2345", None)));
        assert_eq!(parse(&description(&name, "ann@box")), Some(("abcd2345", Some("ann@box"))));
        assert_eq!(parse("dfwfd-ABCD2345-nim"), None);
        assert_eq!(parse("dfwfd-abcd2345"), None);
        assert_eq!(parse("other"), None);
    }

    proptest! {
        #[test]
        fn names_keep_to_the_alphabet_and_the_length(model in "\\PC{0,80}", attempt in 2..100_u32) {
            let slugs = Slugs::new([model.as_str()]);
            let name = format!("{}-{attempt}", of_candidate(&new_run_id(), slugs.of(&model), "customized-eval"));
            prop_assert!(name.len() <= LONGEST, "{name}");
            prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!(parse(&name).is_some());
        }
    }
}
