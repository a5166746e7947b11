//! Reading a fault from its text: `[METHOD] [PATH]: KIND[=VALUE] [OPTION[=VALUE]...]`. Every refusal says what is allowed.

use std::str::FromStr;
use std::time::Duration;

use glob::Pattern;

use super::spec::{BadFault, Early, FaultSpec, Kind, Schedule, Selector, Span, Told};

/// The kinds, as they are written.
const KINDS: [(&str, &str); 12] = [
    ("refuse", "refuse"),
    ("delay", "delay=SPAN"),
    ("status", "status=CODE"),
    ("drop-before", "drop-before"),
    ("drop-after", "drop-after"),
    ("late-effect", "late-effect=SPAN"),
    ("truncate", "truncate=BYTES"),
    ("stall", "stall[=BYTES]"),
    ("fail-job", "fail-job[='WHY']"),
    ("lose-job", "lose-job"),
    ("slow-adapter", "slow-adapter=SPAN"),
    ("expire-auth", "expire-auth"),
];

/// Options of every kind.
const OPTIONS: &str = "nth=N, after=N, every=N, times=N, probability=P, seed=N";

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// What stands before the paths of the three services.
const BASES: [&str; 3] = ["nemo", "nim", "datastore"];

/// Why a job fails when the fault does not say.
const NO_REASON: &str = "failed by a scripted fault";

/// The seed of draws when the fault names none.
const SEED: u64 = 42;

type Parsed<T> = Result<T, BadFault>;

fn bad<T>(sentence: impl Into<String>) -> Parsed<T> {
    Err(BadFault(sentence.into()))
}

impl FromStr for FaultSpec {
    type Err = BadFault;

    /// Reads a fault such as `POST /nemo/v1/customization/jobs: status=503 times=2`.
    fn from_str(text: &str) -> Parsed<FaultSpec> {
        let text = text.trim();
        let (calls, rest) = divided(text)?;
        let mut words = words(rest)?.into_iter();
        let Some(first) = words.next() else { return bad(format!("it names no fault; there are: {}", kinds())) };
        let mut options = Options::read(words)?;
        let kind = kind(first, &mut options)?;
        let schedule = options.schedule(&kind)?;
        options.done(&kind)?;
        if let Some(only) = kind.strikes_only()
            && !only.iter().any(|(method, path)| calls.matches(method, path))
        {
            let only: Vec<String> = only.iter().map(|(method, path)| format!("{method} {path}")).collect();
            return bad(format!(
                "{} strikes calls that make jobs, and these are none: {}",
                name(&kind),
                only.join(", ")
            ));
        }
        Ok(FaultSpec { text: text.to_owned(), calls, kind, schedule })
    }
}

fn kinds() -> String {
    KINDS.map(|(_, form)| form).join(", ")
}

/// The selector, and the text of the fault itself.
fn divided(text: &str) -> Parsed<(Selector, &str)> {
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
        return Ok((Selector { method: None, path: None }, text));
    }
    let ends = |(at, _): &(usize, &str)| text[at + 1..].chars().next().is_none_or(char::is_whitespace);
    let Some((at, _)) = text.match_indices(':').find(ends) else {
        return bad(
            "after the calls come a colon, a space and the fault, as in `POST /nemo/v1/evaluation/jobs: status=503`",
        );
    };
    let mut words = text[..at].split_whitespace();
    let method = if is_method { words.next().map(str::to_ascii_uppercase) } else { None };
    let path = words.next().map(pattern).transpose()?;
    if let Some(extra) = words.next() {
        return bad(format!("before the colon stand a method and a path; `{extra}` is too much"));
    }
    Ok((Selector { method, path: path.flatten() }, &text[at + 1..]))
}

/// A pattern of paths; `None` when every path is meant.
fn pattern(text: &str) -> Parsed<Option<Pattern>> {
    if matches!(text, "*" | "**" | "/*" | "/**") {
        return Ok(None);
    }
    let read = |text: &str| {
        Pattern::new(text).map_err(|error| BadFault(format!("the path `{text}` is no pattern: {}", error.msg)))
    };
    let whole = read(text)?;
    let base = text.strip_prefix('/').map(|path| path.split('/').next().unwrap_or_default());
    let meant = match base {
        None => false,
        Some("**") => true,
        Some(base) => BASES.iter().any(|known| read(base).is_ok_and(|pattern| pattern.matches(known))),
    };
    if !meant {
        let path = text.trim_start_matches('/');
        return bad(format!(
            "paths begin with the base of a service, /nemo, /nim or /datastore; `{text}` does not (/nemo/{path}?)"
        ));
    }
    Ok(Some(whole))
}

/// A word: a name, and what follows its `=`.
struct Word {
    name: String,
    value: Option<String>,
}

/// The words of a fault; a value may stand in quotes.
fn words(text: &str) -> Parsed<Vec<Word>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<Word>, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') if word.as_ref().is_some_and(|word| word.value.is_some()) => quote = Some(letter),
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            _ => {
                let word = word.get_or_insert_with(|| Word { name: String::new(), value: None });
                match &mut word.value {
                    Some(value) => value.push(letter),
                    None if letter == '=' => word.value = Some(String::new()),
                    None => word.name.push(letter),
                }
            }
        }
    }
    if let Some(open) = quote {
        return bad(format!("a quote {open} is never closed"));
    }
    words.extend(word);
    Ok(words)
}

/// The kind, and the options that are its own.
fn kind(word: Word, options: &mut Options) -> Parsed<Kind> {
    let Word { name, value } = word;
    let Some((_, form)) = KINDS.iter().find(|(known, _)| *known == name) else {
        let close = KINDS.iter().map(|(known, _)| (strsim::damerau_levenshtein(known, &name), known)).min();
        let meant = close.filter(|(distance, _)| *distance <= 2).map(|(_, known)| format!(" ({known}?)"));
        return bad(format!("there is no fault `{name}`{}; there are: {}", meant.unwrap_or_default(), kinds()));
    };
    let value = value.filter(|value| !value.is_empty());
    let given = || value.clone().ok_or_else(|| BadFault(format!("{name} needs a value: {form}")));
    let bytes = |text: &str| {
        text.parse().map_err(|_| BadFault(format!("`{name}={text}`: expected a number of bytes, such as {name}=20")))
    };
    let kind = match name.as_str() {
        "delay" => Kind::Delay(span(&name, &given()?, "calls")?),
        "status" => Kind::Status(Told {
            status: status(&name, &given()?)?,
            page: options.flag("page")?,
            retry_after: options.number("retry-after")?,
        }),
        "late-effect" => Kind::LateEffect(span(&name, &given()?, "calls")?, early(options)?),
        "truncate" => Kind::Truncate(bytes(&given()?)?),
        "stall" => Kind::Stall(value.as_deref().map(bytes).transpose()?),
        "fail-job" => Kind::FailJob(value.unwrap_or_else(|| NO_REASON.to_owned())),
        "slow-adapter" => Kind::SlowAdapter(span(&name, &given()?, "polls")?),
        other => {
            if let Some(value) = value {
                return bad(format!("{name} takes no value; `{value}` is too much"));
            }
            match other {
                "refuse" => Kind::Refuse,
                "drop-before" => Kind::DropBefore,
                "drop-after" => Kind::DropAfter,
                "lose-job" => Kind::LoseJob,
                _ => Kind::ExpireAuth,
            }
        }
    };
    Ok(kind)
}

fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Refuse => "refuse",
        Kind::Delay(_) => "delay",
        Kind::Status(_) => "status",
        Kind::DropBefore => "drop-before",
        Kind::DropAfter => "drop-after",
        Kind::LateEffect(..) => "late-effect",
        Kind::Truncate(_) => "truncate",
        Kind::Stall(_) => "stall",
        Kind::FailJob(_) => "fail-job",
        Kind::LoseJob => "lose-job",
        Kind::SlowAdapter(_) => "slow-adapter",
        Kind::ExpireAuth => "expire-auth",
    }
}

/// The status of an answer that is an error.
fn status(name: &str, text: &str) -> Parsed<u16> {
    match text.parse() {
        Ok(status @ 400..=599) => Ok(status),
        _ => bad(format!("`{name}={text}`: expected the status of an error, 400 to 599, such as {name}=503")),
    }
}

fn early(options: &mut Options) -> Parsed<Early> {
    match options.take("answer").map(Option::unwrap_or_default) {
        None => Ok(Early::Status(503)),
        Some(text) if text == "cut" => Ok(Early::Cut),
        Some(text) => match status("answer", &text) {
            Ok(status) => Ok(Early::Status(status)),
            Err(BadFault(sentence)) => bad(format!("{sentence}, or answer=cut")),
        },
    }
}

/// A time, a count in this unit, or `release`.
fn span(name: &str, text: &str, unit: &str) -> Parsed<Span> {
    if text == "release" {
        return Ok(Span::Release);
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, word) = text.split_at(digits);
    let seconds = |scale| Some(Span::Time(Duration::from_secs(count.parse::<u64>().ok()?.checked_mul(scale)?)));
    let read = match word {
        "ms" => count.parse().ok().map(|count| Span::Time(Duration::from_millis(count))),
        "s" => seconds(1),
        "m" | "min" => seconds(60),
        "h" => seconds(3600),
        "call" | "calls" if unit == "calls" => count.parse().ok().map(Span::Calls),
        "poll" | "polls" if unit == "polls" => count.parse().ok().map(Span::Polls),
        _ => None,
    };
    let counted = match unit {
        "calls" => "a number of further platform calls such as 3calls",
        _ => "a number of readings of the NIM proxy's list such as 3polls",
    };
    read.ok_or_else(|| {
        BadFault(format!("`{name}={text}`: expected a time such as 500ms, 2s or 1m, {counted}, or release"))
    })
}

/// The options of a fault that were not looked at yet.
struct Options(Vec<Word>);

impl Options {
    fn read(words: impl Iterator<Item = Word>) -> Parsed<Options> {
        let words: Vec<Word> = words.collect();
        for (at, word) in words.iter().enumerate() {
            if words[..at].iter().any(|other| other.name == word.name) {
                return bad(format!("{} is there twice", word.name));
            }
        }
        Ok(Options(words))
    }

    /// An option's value, `Some(None)` when it has none.
    fn take(&mut self, name: &str) -> Option<Option<String>> {
        let at = self.0.iter().position(|word| word.name == name)?;
        Some(self.0.remove(at).value)
    }

    fn flag(&mut self, name: &str) -> Parsed<bool> {
        match self.take(name) {
            None => Ok(false),
            Some(None) => Ok(true),
            Some(Some(value)) => bad(format!("{name} takes no value; `{value}` is too much")),
        }
    }

    fn number(&mut self, name: &str) -> Parsed<Option<u64>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let value = value.unwrap_or_default();
        let expected = || BadFault(format!("`{name}={value}`: expected a whole number, such as {name}=2"));
        value.parse().map(Some).map_err(|_| expected())
    }

    /// A number that counts from 1.
    fn count(&mut self, name: &str) -> Parsed<Option<u64>> {
        match self.number(name)? {
            Some(0) => bad(format!("`{name}=0`: {name} counts from 1")),
            other => Ok(other),
        }
    }

    /// A probability, in millionths.
    fn chance(&mut self) -> Parsed<Option<u32>> {
        let Some(value) = self.take("probability") else { return Ok(None) };
        let value = value.unwrap_or_default();
        match value.parse::<f64>() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Some((share * 1e6).round() as u32)),
            _ => bad(format!("`probability={value}`: expected a number from 0 to 1, such as probability=0.1")),
        }
    }

    fn schedule(&mut self, kind: &Kind) -> Parsed<Schedule> {
        let (nth, after) = (self.count("nth")?, self.number("after")?);
        let (every, times) = (self.count("every")?, self.count("times")?);
        let (chance, seed) = (self.chance()?, self.number("seed")?);
        if seed.is_some() && chance.is_none() {
            return bad("seed is for probability, which is not there");
        }
        if *kind == Kind::ExpireAuth && (every.is_some() || chance.is_some()) {
            return bad("expire-auth strikes all calls from one on; it takes nth=N or after=N, and times=N");
        }
        let Some(nth) = nth else {
            let chance = chance.map(|chance| (chance, seed.unwrap_or(SEED)));
            return Ok(Schedule { after: after.unwrap_or(0), every: every.unwrap_or(1), times, chance });
        };
        if after.is_some() || every.is_some() || chance.is_some() || (times.is_some() && *kind != Kind::ExpireAuth) {
            return bad("nth=N is one call; for more: after=N, every=N, times=N");
        }
        let times = if *kind == Kind::ExpireAuth { times } else { Some(1) };
        Ok(Schedule { after: nth - 1, times, ..Schedule::ALWAYS })
    }

    /// Nothing may be left.
    fn done(self, kind: &Kind) -> Parsed<()> {
        let Some(word) = self.0.first() else { return Ok(()) };
        let own = match kind {
            Kind::Status(_) => "retry-after=SECONDS, page, ",
            Kind::LateEffect(..) => "answer=CODE or answer=cut, ",
            _ => "",
        };
        let also = KINDS.iter().any(|(known, _)| *known == word.name);
        let hint = if also { " (one fault each; give another one for it)" } else { "" };
        bad(format!("{} has no option `{}`{hint}; there are: {own}{OPTIONS}", name(kind), word.name))
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
