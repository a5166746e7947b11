//! Every service's status words, read into one `JobStatus`. Does not know which service said them.

/// What a remote job or deployment is doing, whatever its service calls it.
#[derive(Clone, Debug, PartialEq)]
pub enum JobStatus {
    /// Accepted, not started.
    Waiting,
    /// Going on, with the percentage (0 to 100) when the service tells one.
    Running(Option<f32>),
    /// Ended well; of a deployment: ready.
    Done,
    /// Ended badly, with the service's reason (may be empty).
    Failed(String),
    /// Ended because somebody asked for it.
    Cancelled,
    /// A word that this client does not know, lower case: going on, as far as anybody can tell.
    Unknown(String),
}

impl JobStatus {
    /// Reads a status word, case-insensitively (nemo-wire 1.6); `percentage` and `reason` are used where they belong.
    pub(crate) fn read(word: Option<&str>, percentage: Option<f32>, reason: Option<&str>) -> JobStatus {
        let word = word.unwrap_or_default().trim().to_ascii_lowercase();
        match word.as_str() {
            "created" | "pending" | "queued" | "downloading" => JobStatus::Waiting,
            // A job that is being cancelled or paused still holds its GPUs.
            "running" | "active" | "cancelling" | "canceling" | "pausing" | "paused" | "resuming" | "deleting" => {
                JobStatus::Running(percentage)
            }
            "completed" | "ready" => JobStatus::Done,
            "failed" | "error" | "lost" => JobStatus::Failed(reason.unwrap_or_default().trim().to_owned()),
            "cancelled" | "canceled" => JobStatus::Cancelled,
            _ => JobStatus::Unknown(word),
        }
    }

    /// Whether nothing more will happen: the job holds no GPU any more (a deployment that is ready still does).
    pub fn is_terminal(&self) -> bool {
        matches!(self, JobStatus::Done | JobStatus::Failed(_) | JobStatus::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vocabulary_of_the_services_is_read() {
        for word in ["created", "pending", "PENDING", "CREATED", " Pending ", "downloading"] {
            assert_eq!(JobStatus::read(Some(word), Some(3.0), Some("x")), JobStatus::Waiting, "{word}");
        }
        for word in ["running", "active", "cancelling", "pausing", "paused", "resuming", "DELETING"] {
            assert_eq!(JobStatus::read(Some(word), Some(3.0), Some("x")), JobStatus::Running(Some(3.0)), "{word}");
        }
        for word in ["completed", "ready", "READY"] {
            assert_eq!(JobStatus::read(Some(word), None, None), JobStatus::Done, "{word}");
        }
        for word in ["failed", "error", "ERROR", "LOST"] {
            assert_eq!(JobStatus::read(Some(word), None, Some(" why ")), JobStatus::Failed("why".into()), "{word}");
        }
        for word in ["cancelled", "canceled", "CANCELLED"] {
            assert_eq!(JobStatus::read(Some(word), None, None), JobStatus::Cancelled, "{word}");
        }
    }

    #[test]
    fn an_unknown_word_is_going_on() {
        for word in [Some("unknown"), Some("Hibernating"), Some("deployed"), Some(""), None] {
            let status = JobStatus::read(word, Some(50.0), None);
            assert_eq!(status, JobStatus::Unknown(word.unwrap_or_default().to_ascii_lowercase()));
            assert!(!status.is_terminal());
        }
    }

    #[test]
    fn only_an_end_is_terminal() {
        for word in ["completed", "ready", "failed", "error", "lost", "cancelled"] {
            assert!(JobStatus::read(Some(word), None, None).is_terminal(), "{word}");
        }
        for word in ["created", "pending", "running", "cancelling", "paused", "deleting", "unknown"] {
            assert!(!JobStatus::read(Some(word), None, None).is_terminal(), "{word}");
        }
    }
}
