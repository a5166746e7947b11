//! The status words of all services and generations, read into one `JobStatus`.

use crate::remote_text::said;

/// The state of a remote job or deployment, in one vocabulary for all services.
#[derive(Clone, Debug, PartialEq)]
pub enum JobStatus {
    /// Accepted and not started.
    Waiting,
    /// In progress, with the percentage (0 to 100) if the service reports one.
    Running(Option<f32>),
    /// A job that succeeded, or a deployment that is ready.
    Done,
    /// Failed, with the service's reason (may be empty).
    Failed(String),
    /// Ended on request.
    Cancelled,
    /// An unknown word in lower case. The job counts as running.
    Unknown(String),
}

impl JobStatus {
    /// Reads a status word in any case (docs/nemo-api.md, Status words). `percentage` goes into a running status,
    /// `reason` into a failed one.
    pub(crate) fn read(word: Option<&str>, percentage: Option<f32>, reason: Option<&str>) -> JobStatus {
        let word = word.unwrap_or_default().trim().to_ascii_lowercase();
        match word.as_str() {
            "created" | "pending" | "queued" | "downloading" => JobStatus::Waiting,
            // A job that is being cancelled or paused still holds its GPUs.
            "running" | "active" | "cancelling" | "canceling" | "pausing" | "paused" | "resuming" | "deleting" => {
                JobStatus::Running(percentage)
            }
            "completed" | "ready" => JobStatus::Done,
            "failed" | "error" | "lost" => JobStatus::Failed(said(reason.unwrap_or_default())),
            "cancelled" | "canceled" => JobStatus::Cancelled,
            _ => JobStatus::Unknown(said(&word)),
        }
    }

    /// Returns the status for people: the service's own word if it is an unknown one.
    pub(crate) fn in_words(&self) -> &str {
        match self {
            JobStatus::Waiting => "pending",
            JobStatus::Running(_) => "in progress",
            JobStatus::Done => "done",
            JobStatus::Failed(_) => "failed",
            JobStatus::Cancelled => "cancelled",
            JobStatus::Unknown(word) if word.is_empty() => "no status",
            JobStatus::Unknown(word) => word,
        }
    }

    /// Reports whether a job has ended and holds no GPU. (A deployment that is ready still holds its GPUs.)
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
    fn an_unknown_word_counts_as_running() {
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
