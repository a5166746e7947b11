//! Reads a fault from its text: `[METHOD] [PATH]: KIND[=VALUE] [OPTION[=VALUE]...]`. Every refusal says what is allowed.

use std::str::FromStr;

use glob::Pattern;

use super::kind::{self, FaultKind};
use super::spec::{CallSelector, FaultSpec, Schedule};
use super::words::{self, BadFault, FaultOptions, Parsed, bad};

/// The options of every kind.
const OPTIONS: &str = "nth=N, after=N, every=N, times=N, probability=P, seed=N";

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// The first steps of paths: the bases of the three services.
const BASES: [&str; 3] = ["nemo", "nim", "datastore"];

/// The default seed of `probability`.
const SEED: u64 = 42;

impl FromStr for FaultSpec {
    type Err = BadFault;

    /// Reads a fault such as `POST /nemo/v1/customization/jobs: status=503 times=2`.
    fn from_str(text: &str) -> Parsed<FaultSpec> {
        let text = text.trim();
        let (calls, rest) = split_calls(text)?;
        let mut words = words::split(rest)?.into_iter();
        let Some(first) = words.next() else {
            return bad(format!("no fault is given; the faults are: {}", kind::forms()));
        };
        let mut options = FaultOptions::new(words)?;
        let kind = FaultKind::read(first, &mut options)?;
        let schedule = schedule(&mut options, &kind)?;
        check_unread(&options, &kind)?;
        if let Some(only) = kind.strikes_only()
            && !only.iter().any(|(method, path)| calls.matches(method, path))
        {
            let only: Vec<String> = only.iter().map(|(method, path)| format!("{method} {path}")).collect();
            let name = kind.name();
            return bad(format!(
                "{name} strikes only calls that create jobs, and these match none: {}",
                only.join(", ")
            ));
        }
        Ok(FaultSpec { text: text.to_owned(), calls, kind, schedule })
    }
}

/// Splits a text into the selector of calls and the fault itself.
fn split_calls(text: &str) -> Parsed<(CallSelector, &str)> {
    let first = text.split_whitespace().next().unwrap_or_default();
    let bare = first.trim_end_matches(':');
    let is_method = METHODS.iter().any(|method| method.eq_ignore_ascii_case(bare));
    if !is_method && !bare.starts_with(['/', '*']) {
        let names_calls = first.ends_with(':') && !first.contains('=');
        if names_calls || (!bare.is_empty() && bare.chars().all(|c| c.is_ascii_uppercase())) {
            return bad(format!(
                "`{bare}` is neither a method ({}) nor a path such as /nemo/v1/customization/jobs",
                METHODS.join(", ")
            ));
        }
        return Ok((CallSelector { method: None, path: None }, text));
    }
    let ends = |(at, _): &(usize, &str)| text[at + 1..].chars().next().is_none_or(char::is_whitespace);
    let Some((at, _)) = text.match_indices(':').find(ends) else {
        return bad(
            "put a colon, a space and the fault after the calls, as in `POST /nemo/v1/evaluation/jobs: status=503`",
        );
    };
    let mut words = text[..at].split_whitespace();
    let method = if is_method { words.next().map(str::to_ascii_uppercase) } else { None };
    let path = words.next().map(pattern).transpose()?;
    if let Some(extra) = words.next() {
        return bad(format!("only a method and a path go before the colon: remove `{extra}`"));
    }
    Ok((CallSelector { method, path: path.flatten() }, &text[at + 1..]))
}

/// Reads a pattern of paths; `None` if it matches every path.
fn pattern(text: &str) -> Parsed<Option<Pattern>> {
    if matches!(text, "*" | "**" | "/*" | "/**") {
        return Ok(None);
    }
    let read = |text: &str| {
        Pattern::new(text).map_err(|error| BadFault(format!("the path `{text}` is not a pattern: {}", error.msg)))
    };
    let whole = read(text)?;
    let base = text.strip_prefix('/').map(|path| path.split('/').next().unwrap_or_default());
    let has_base = match base {
        None => false,
        Some("**") => true,
        Some(base) => BASES.iter().any(|known| read(base).is_ok_and(|pattern| pattern.matches(known))),
    };
    if !has_base {
        let path = text.trim_start_matches('/');
        return bad(format!(
            "the path `{text}` does not begin with the base of a service (/nemo, /nim or /datastore): did you mean /nemo/{path}?"
        ));
    }
    Ok(Some(whole))
}

/// Takes the options that say which calls are struck.
fn schedule(options: &mut FaultOptions, kind: &FaultKind) -> Parsed<Schedule> {
    let (nth, after) = (options.count("nth")?, options.number("after")?);
    let (every, times) = (options.count("every")?, options.count("times")?);
    let (chance, seed) = (options.chance()?, options.number("seed")?);
    if seed.is_some() && chance.is_none() {
        return bad("seed needs probability");
    }
    let is_lasting = *kind == FaultKind::ExpireAuth;
    if is_lasting && (every.is_some() || chance.is_some()) {
        return bad("expire-auth strikes all calls from one on; it takes nth=N or after=N, and times=N");
    }
    let Some(nth) = nth else {
        let chance = chance.map(|chance| (chance, seed.unwrap_or(SEED)));
        return Ok(Schedule { after: after.unwrap_or(0), every: every.unwrap_or(1), times, chance });
    };
    if after.is_some() || every.is_some() || chance.is_some() || (times.is_some() && !is_lasting) {
        return bad("nth=N strikes one call; for several use after=N, every=N, times=N");
    }
    let times = if is_lasting { times } else { Some(1) };
    Ok(Schedule { after: nth - 1, times, ..Schedule::ALWAYS })
}

/// Checks that all options were read.
fn check_unread(options: &FaultOptions, kind: &FaultKind) -> Parsed<()> {
    let Some(unread) = options.unread() else { return Ok(()) };
    let hint = if kind::is_name(unread) { " (that is a fault of its own: give it with a second --fault)" } else { "" };
    let (name, own) = (kind.name(), kind.own_options());
    bad(format!("{name} has no option `{unread}`{hint}; its options are: {own}{OPTIONS}"))
}

#[cfg(test)]
mod tests;
