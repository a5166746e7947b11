//! The kinds of faults: how each is written, its own options, and the calls that it can strike. A new kind is added
//! here; its effect on a call is a case in `effects`.

use std::time::Duration;

use super::words::{BadFault, FaultOptions, FaultWord, Parsed, bad};

/// The effect of a fault on the call that it strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// Resets the connection before the body of the request is read.
    Refuse,
    /// Delays the call before its effect.
    Delay(HoldSpan),
    /// Answers the call with an error instead of its effect.
    Status(ScriptedAnswer),
    /// Closes the connection instead of the effect.
    DropBefore,
    /// Closes the connection after the effect.
    DropAfter,
    /// Has the effect twice, and the answer of the second time.
    Twice,
    /// Has the effect, and an answer whose body ends in its middle, with a length that fits.
    Half,
    /// Has the effect, and answers with times that are a day behind.
    DayBehind,
    /// Answers at once, and has the effect later.
    LateEffect(HoldSpan, EarlyAnswer),
    /// Cuts the body of the answer off after so many bytes, and closes the connection.
    Truncate(u64),
    /// Stops the body of the answer after so many bytes (default: half), and keeps the connection open.
    Stall(Option<u64>),
    /// Fails the job that the call creates, for this reason.
    FailJob(String),
    /// Never lets the deployment that the call creates be ready, for this reason.
    StallJob(String),
    /// Loses the job that the call creates.
    LoseJob,
    /// Delays the listing of the adapter of the job that the call creates.
    SlowAdapter(HoldSpan),
    /// Lets the adapter of the job that the call creates answer as its base for so long.
    BaseAdapter(HoldSpan),
    /// Answers 401 to this call and to all that follow.
    ExpireAuth,
    /// Answers 401 and repeats the headers and the body of the request.
    Echo,
    /// Answers as something else does that stands in front of the service. Nothing of the call happens.
    Foreign(ForeignAnswer),
}

/// An answer that is not the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForeignAnswer {
    /// 200 with the HTML page of a log-in.
    Login,
    /// 404 of a gateway that has no route.
    NoRoute,
    /// 404 of a gateway that says no more than that.
    NotFound,
    /// 404 without a body.
    Empty,
    /// 200 without a body.
    Ok,
    /// 204.
    NoContent,
    /// 404 of a gateway in the form of Spring, which looks like a service's.
    Spring,
    /// 404 of a proxy that is made with FastAPI, as the services are.
    FastApi,
    /// 302 to the log-in.
    Redirect,
    /// 200 of a gateway whose own JSON has a status.
    ErrorJson,
}

/// The foreign answers by name.
const FOREIGN: [(&str, ForeignAnswer); 10] = [
    ("login", ForeignAnswer::Login),
    ("no-route", ForeignAnswer::NoRoute),
    ("not-found", ForeignAnswer::NotFound),
    ("empty", ForeignAnswer::Empty),
    ("ok", ForeignAnswer::Ok),
    ("no-content", ForeignAnswer::NoContent),
    ("spring", ForeignAnswer::Spring),
    ("fastapi", ForeignAnswer::FastApi),
    ("redirect", ForeignAnswer::Redirect),
    ("error-json", ForeignAnswer::ErrorJson),
];

/// An answer that a fault makes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScriptedAnswer {
    pub(super) status: u16,
    /// Answers with an HTML page, as an ingress does, instead of the error of the service.
    pub(super) page: bool,
    /// Seconds, for `retry-after`.
    pub(super) retry_after: Option<u64>,
}

/// The answer to a call whose effect comes later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EarlyAnswer {
    Status(u16),
    Cut,
}

/// How long a fault holds something back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldSpan {
    Time(Duration),
    /// So many further platform calls.
    Calls(u64),
    /// So many reads of the NIM proxy's model list.
    Polls(u64),
    /// So many replies of the model.
    Replies(u64),
    /// Until `POST /control/release`.
    Release,
}

/// The calls that create jobs: those that `fail-job` and `lose-job` can strike.
pub(super) const CREATES: [(&str, &str); 3] = [
    ("POST", "/nemo/v1/customization/jobs"),
    ("POST", "/nemo/v1/evaluation/jobs"),
    ("POST", "/nemo/v1/deployment/model-deployments"),
];

/// The kinds by name, and how they are written.
pub(super) const FORMS: [(&str, &str); 19] = [
    ("refuse", "refuse"),
    ("delay", "delay=SPAN"),
    ("status", "status=CODE"),
    ("drop-before", "drop-before"),
    ("drop-after", "drop-after"),
    ("twice", "twice"),
    ("half", "half"),
    ("day-behind", "day-behind"),
    ("late-effect", "late-effect=SPAN"),
    ("truncate", "truncate=BYTES"),
    ("stall", "stall[=BYTES]"),
    ("fail-job", "fail-job[='WHY']"),
    ("stall-job", "stall-job='WHY'"),
    ("lose-job", "lose-job"),
    ("slow-adapter", "slow-adapter=SPAN"),
    ("base-adapter", "base-adapter=SPAN"),
    ("expire-auth", "expire-auth"),
    ("echo", "echo"),
    ("foreign", "foreign=ANSWER"),
];

/// The default reason of a failed job.
pub(super) const NO_REASON: &str = "failed by a scripted fault";

/// Lists all kinds as they are written.
pub(super) fn forms() -> String {
    FORMS.map(|(_, form)| form).join(", ")
}

/// Returns whether a kind has this name.
pub(super) fn is_name(word: &str) -> bool {
    FORMS.iter().any(|(name, _)| *name == word)
}

impl FaultKind {
    /// Reads a kind, and takes its own options.
    pub(super) fn read(word: FaultWord, options: &mut FaultOptions) -> Parsed<FaultKind> {
        let FaultWord { name, value } = word;
        let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == name) else {
            let close = FORMS.iter().map(|(known, _)| (strsim::damerau_levenshtein(known, &name), known)).min();
            let meant = close.filter(|(distance, _)| *distance <= 2).map(|(_, known)| format!(" ({known}?)"));
            return bad(format!(
                "there is no fault `{name}`{}; the faults are: {}",
                meant.unwrap_or_default(),
                forms()
            ));
        };
        let value = value.filter(|value| !value.is_empty());
        let given = || value.clone().ok_or_else(|| BadFault(format!("{name} needs a value: {form}")));
        let bytes = |text: &str| {
            let expected = || BadFault(format!("`{name}={text}`: expected a number of bytes, such as {name}=20"));
            text.parse().map_err(|_| expected())
        };
        let kind = match name.as_str() {
            "delay" => FaultKind::Delay(span(&name, &given()?, "calls")?),
            "status" => FaultKind::Status(ScriptedAnswer {
                status: status(&name, &given()?)?,
                page: options.flag("page")?,
                retry_after: options.number("retry-after")?,
            }),
            "late-effect" => FaultKind::LateEffect(span(&name, &given()?, "calls")?, early_answer(options)?),
            "truncate" => FaultKind::Truncate(bytes(&given()?)?),
            "stall" => FaultKind::Stall(value.as_deref().map(bytes).transpose()?),
            "fail-job" => FaultKind::FailJob(value.unwrap_or_else(|| NO_REASON.to_owned())),
            "stall-job" => FaultKind::StallJob(given()?),
            "foreign" => FaultKind::Foreign(foreign(&given()?)?),
            "slow-adapter" => FaultKind::SlowAdapter(span(&name, &given()?, "polls")?),
            "base-adapter" => FaultKind::BaseAdapter(span(&name, &given()?, "replies")?),
            plain => {
                if let Some(value) = value {
                    return bad(format!("{name} takes no value, but has `{value}`"));
                }
                match plain {
                    "refuse" => FaultKind::Refuse,
                    "drop-before" => FaultKind::DropBefore,
                    "drop-after" => FaultKind::DropAfter,
                    "twice" => FaultKind::Twice,
                    "half" => FaultKind::Half,
                    "day-behind" => FaultKind::DayBehind,
                    "lose-job" => FaultKind::LoseJob,
                    "echo" => FaultKind::Echo,
                    _ => FaultKind::ExpireAuth,
                }
            }
        };
        Ok(kind)
    }

    /// Returns the name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            FaultKind::Refuse => "refuse",
            FaultKind::Delay(_) => "delay",
            FaultKind::Status(_) => "status",
            FaultKind::DropBefore => "drop-before",
            FaultKind::DropAfter => "drop-after",
            FaultKind::Twice => "twice",
            FaultKind::Half => "half",
            FaultKind::DayBehind => "day-behind",
            FaultKind::LateEffect(..) => "late-effect",
            FaultKind::Truncate(_) => "truncate",
            FaultKind::Stall(_) => "stall",
            FaultKind::FailJob(_) => "fail-job",
            FaultKind::StallJob(_) => "stall-job",
            FaultKind::LoseJob => "lose-job",
            FaultKind::SlowAdapter(_) => "slow-adapter",
            FaultKind::BaseAdapter(_) => "base-adapter",
            FaultKind::ExpireAuth => "expire-auth",
            FaultKind::Echo => "echo",
            FaultKind::Foreign(_) => "foreign",
        }
    }

    /// Lists the options that only this kind has.
    pub(super) fn own_options(&self) -> &'static str {
        match self {
            FaultKind::Status(_) => "retry-after=SECONDS, page, ",
            FaultKind::LateEffect(..) => "answer=CODE or answer=cut, ",
            _ => "",
        }
    }

    /// Returns the only calls that the kind can strike; `None` if it can strike any.
    pub(super) fn strikes_only(&self) -> Option<&'static [(&'static str, &'static str)]> {
        match self {
            FaultKind::FailJob(_) | FaultKind::LoseJob => Some(&CREATES),
            FaultKind::SlowAdapter(_) | FaultKind::BaseAdapter(_) => Some(&CREATES[..1]),
            FaultKind::StallJob(_) => Some(&CREATES[2..]),
            _ => None,
        }
    }

    /// Returns the span of a kind that has one.
    pub(super) fn span(&self) -> Option<HoldSpan> {
        match self {
            FaultKind::Delay(span)
            | FaultKind::LateEffect(span, _)
            | FaultKind::SlowAdapter(span)
            | FaultKind::BaseAdapter(span) => Some(*span),
            _ => None,
        }
    }
}

/// Reads the status of an error answer.
fn status(name: &str, text: &str) -> Parsed<u16> {
    match text.parse() {
        Ok(status @ 400..=599) => Ok(status),
        _ => bad(format!("`{name}={text}`: expected the status of an error, 400 to 599, such as {name}=503")),
    }
}

fn foreign(text: &str) -> Parsed<ForeignAnswer> {
    let known = FOREIGN.iter().find(|(name, _)| *name == text).map(|(_, answer)| *answer);
    let names = || FOREIGN.map(|(name, _)| name).join(", ");
    known.ok_or_else(|| BadFault(format!("`foreign={text}`: expected one of {}", names())))
}

fn early_answer(options: &mut FaultOptions) -> Parsed<EarlyAnswer> {
    match options.take("answer").map(Option::unwrap_or_default) {
        None => Ok(EarlyAnswer::Status(503)),
        Some(text) if text == "cut" => Ok(EarlyAnswer::Cut),
        Some(text) => match status("answer", &text) {
            Ok(status) => Ok(EarlyAnswer::Status(status)),
            Err(BadFault(sentence)) => bad(format!("{sentence}, or answer=cut")),
        },
    }
}

/// Reads a time, a count in `unit`, or `release`.
fn span(name: &str, text: &str, unit: &str) -> Parsed<HoldSpan> {
    if text == "release" {
        return Ok(HoldSpan::Release);
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, word) = text.split_at(digits);
    let seconds = |scale| Some(HoldSpan::Time(Duration::from_secs(count.parse::<u64>().ok()?.checked_mul(scale)?)));
    let read = match word {
        "ms" => count.parse().ok().map(|count| HoldSpan::Time(Duration::from_millis(count))),
        "s" => seconds(1),
        "m" | "min" => seconds(60),
        "h" => seconds(3600),
        "call" | "calls" if unit == "calls" => count.parse().ok().map(HoldSpan::Calls),
        "poll" | "polls" if unit == "polls" => count.parse().ok().map(HoldSpan::Polls),
        "reply" | "replies" if unit == "replies" => count.parse().ok().map(HoldSpan::Replies),
        _ => None,
    };
    let counted = match unit {
        "calls" => "a number of further platform calls such as 3calls",
        "polls" => "a number of reads of the model list such as 3polls",
        _ => "a number of replies of the adapter such as 3replies",
    };
    read.ok_or_else(|| {
        BadFault(format!("`{name}={text}`: expected a time such as 500ms, 2s or 1m, {counted}, or release"))
    })
}
