//! Names on this platform, and the ids that are made of them.

/// The longest name.
const LONGEST: usize = 63;

/// The longest name of a job: its results lie in the fileset `job-fileset-NAME` (docs/helix-api.md, Names).
const LONGEST_JOB: usize = LONGEST - "job-fileset-".len();

/// Turns the name of a model into the name of its entity: `meta/llama-3.2-1b-instruct` is `llama-3.2-1b-instruct`.
///
/// A name starts with a lower-case letter, holds lower-case letters, digits and `-@.+_`, never `--`, and has 2 to 63
/// characters (docs/helix-api.md, Names).
pub(super) fn model_name(model: &str) -> String {
    let bare = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let mut name = String::new();
    for letter in bare.chars() {
        let letter = if letter.is_ascii_alphanumeric() || "@.+_".contains(letter) { letter } else { '-' };
        if letter != '-' || !name.ends_with('-') {
            name.push(letter);
        }
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name.insert_str(0, "m-");
    }
    name.truncate(LONGEST);
    name.trim_end_matches('-').to_owned()
}

/// Reports whether something may have this name.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || "-@.+_".contains(one);
    (2..=LONGEST).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(fits)
        && !text.contains("--")
        && !text.ends_with('-')
}

/// Splits `workspace/name`. A bare name belongs to the given workspace.
pub(super) fn split<'a>(reference: &'a str, workspace: &'a str) -> (&'a str, &'a str) {
    reference.split_once('/').unwrap_or((workspace, reference))
}

/// Returns the name of a job, which is the first word of its description. A longer one is cut and ends in a hash.
pub(super) fn of_description(description: &str) -> String {
    let name = description.split_whitespace().next().unwrap_or(description);
    if name.len() <= LONGEST_JOB {
        return name.to_owned();
    }
    let hash = &blake3::hash(name.as_bytes()).to_hex()[..4];
    let cut: String = name.chars().take(LONGEST_JOB - 1 - hash.len()).collect();
    format!("{}-{hash}", cut.trim_end_matches('-'))
}

/// Returns the id under which an adapter is served next to its base model.
pub(super) fn adapter_id(base: &str, workspace: &str, adapter: &str) -> String {
    format!("{base}&adapters/{workspace}/{adapter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_a_name_that_the_platform_takes() {
        for (model, name) in [
            ("meta/llama-3.2-1b-instruct", "llama-3.2-1b-instruct"),
            ("Qwen/Qwen2.5-0.5B-Instruct", "qwen2.5-0.5b-instruct"),
            ("dfwfd/ngram-small", "ngram-small"),
            ("3b--model--", "m-3b-model"),
            ("a b(c)", "a-b-c"),
        ] {
            assert_eq!(model_name(model), name);
            assert!(is_name(name), "{name}");
        }
        for refused in ["", "x", "My_Space", "Bad--Space", "bad--space", "bad-", "1st", "a/b", "a b", &"x".repeat(64)] {
            assert!(!is_name(refused), "{refused}");
        }
        assert!(model_name(&"x".repeat(200)).len() <= LONGEST);
    }

    #[test]
    fn a_reference_may_leave_out_its_workspace() {
        assert_eq!(split("a/b", "w"), ("a", "b"));
        assert_eq!(split("b", "w"), ("w", "b"));
    }

    #[test]
    fn a_job_and_the_fileset_of_its_results_have_names_that_the_platform_takes() {
        assert_eq!(of_description("dfwfd-a-train (me@host)"), "dfwfd-a-train");
        let name = |attempt| of_description(&format!("dfwfd-a-{}-customized-eval{attempt} (me@host)", "x".repeat(29)));
        assert!(name("").len() <= LONGEST_JOB && name("").starts_with("dfwfd-a-xxx"), "{}", name(""));
        assert_ne!(name(""), name("-2"));
    }
}
