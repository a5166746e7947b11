//! The metric with which the Evaluator asks a judge (docs/nemo-api.md, LLM judge).

use serde_json::{Map, Value, json};

use crate::nemo::evaluation::{EVALUATION_TEMPERATURE, EvaluationKind};
use crate::nemo::judge::{JUDGE_SCORE, JudgeModel};

/// Returns the metric that asks this judge.
pub(super) fn metric(judge: &JudgeModel, kind: EvaluationKind) -> Value {
    let task = kind.judge_task();
    let model = match judge {
        JudgeModel::Served(id) => json!(id),
        JudgeModel::Remote(remote) => {
            let mut endpoint = Map::from_iter([
                ("url".to_owned(), json!(remote.chat_url())),
                ("model_id".to_owned(), json!(remote.model)),
            ]);
            endpoint.extend(remote.key.as_ref().map(|key| ("api_key".to_owned(), json!(key.reveal()))));
            json!({ "api_endpoint": endpoint })
        }
    };
    let messages =
        json!([{ "role": "system", "content": task.instructions }, { "role": "user", "content": task.question }]);
    let score = json!({ "type": "int", "parser": { "type": "regex", "pattern": task.pattern } });
    json!({
        "type": "llm-judge",
        "params": {
            "model": model,
            "template": { "messages": messages, "temperature": EVALUATION_TEMPERATURE },
            "scores": { JUDGE_SCORE: score },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemo::judge::RemoteModel;
    use crate::nemo::secret::Secret;

    const KIND: EvaluationKind = EvaluationKind::ToolCalling;

    #[test]
    fn a_key_is_sent_and_never_shown() {
        let remote = RemoteModel { url: "https://h/v1".into(), model: "m".into(), key: Some(Secret::new("s3cr3t")) };
        let judge = JudgeModel::Remote(remote.clone());
        let endpoint = &metric(&judge, KIND)["params"]["model"]["api_endpoint"];
        assert_eq!(*endpoint, json!({"url": "https://h/v1/chat/completions", "model_id": "m", "api_key": "s3cr3t"}));
        assert!(!format!("{judge:?}").contains("s3cr3t"));
        let open = JudgeModel::Remote(RemoteModel { key: None, ..remote });
        assert!(metric(&open, KIND)["params"]["model"]["api_endpoint"].get("api_key").is_none());
        assert_eq!(metric(&JudgeModel::Served("ns/m".into()), KIND)["params"]["model"], "ns/m");
    }
}
