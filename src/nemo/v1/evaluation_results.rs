//! Results of evaluation jobs: the aggregate scores, and the rows of the downloaded archive (docs/nemo-api.md, Evaluation
//! results and Row results).

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use bytes::Bytes;
use serde_json::Value;

use super::evaluation_jobs::JOBS;
use super::{Service, V1};
use crate::nemo::evaluation::{EvaluatedRow, EvaluationScores, MetricScores};
use crate::nemo::transport::{ApiError, ApiRequest, Form, Quirks, read_json};

/// The largest archive that is downloaded.
const ARCHIVE_BYTES: usize = 256 << 20;
/// The largest `results.json` that is unpacked, because an archive may expand to any size.
const ROWS_BYTES: u64 = 1 << 30;

fn read_scores(value: &Value) -> EvaluationScores {
    let mut tasks = BTreeMap::new();
    for level in ["tasks", "groups"] {
        for (name, task) in read_json::entries(value, &[level]) {
            tasks.insert(name.clone(), metrics(task));
        }
    }
    EvaluationScores { tasks }
}

/// Reads `metrics.<metric>.scores.<score>.value`. The mean stands in for a missing value.
fn metrics(task: &Value) -> MetricScores {
    let value = |score: &Value| {
        read_json::number(score, &["value"])
            .or_else(|| read_json::number(score, &["stats", "mean"]))
            .or_else(|| score.as_f64())
    };
    let scores = |metric: &Value| {
        read_json::entries(metric, &["scores"])
            .filter_map(|(name, score)| Some((name.clone(), value(score)?)))
            .collect()
    };
    read_json::entries(task, &["metrics"]).map(|(name, metric)| (name.clone(), scores(metric))).collect()
}

fn read_row(task: &str, row: &mut Value) -> EvaluatedRow {
    let sample = row.get("sample").unwrap_or(&Value::Null);
    let answered = EvaluatedRow::of_answer(Value::Null, sample.get("response").unwrap_or(&Value::Null));
    let text = read_json::at(sample, &["output_text"]).and_then(Value::as_str).map(str::to_owned);
    EvaluatedRow {
        task: task.to_owned(),
        output_text: text.or(answered.output_text),
        scores: metrics(row),
        error: read_json::text(row, &["error"]),
        item: row.get_mut("item").map(Value::take).unwrap_or_default(),
        ..answered
    }
}

impl V1 {
    pub(crate) async fn evaluation_scores(&self, id: &str) -> Result<EvaluationScores, ApiError> {
        let request = ApiRequest::get(Service::Evaluator, &[&JOBS[..], &[id, "results"]].concat());
        let request = request.answers(Form::With(&["tasks", "groups"]));
        Ok(read_scores(&self.transport.send(request).await?.json()?))
    }

    /// Returns the rows of a finished job, in the order of the dataset.
    pub(crate) async fn evaluated_rows(&self, id: &str) -> Result<Vec<EvaluatedRow>, ApiError> {
        let path = [&JOBS[..], &[id, "download-results"]].concat();
        let request = ApiRequest::get(Service::Evaluator, &path).accept("application/zip").download(ARCHIVE_BYTES);
        let response = self.transport.send(request).await?;
        if !response.body.starts_with(b"PK") {
            // Perhaps the page of a log-in, and better the next time.
            return Err(response.unreadable("not an archive"));
        }
        let archive = response.body.clone();
        let rows = tokio::task::spawn_blocking(move || unpack(archive, ROWS_BYTES)).await;
        let rows = rows.unwrap_or_else(|_| Err(BadArchive::Damaged("unpacking was interrupted".to_owned())));
        let mut rows = rows.map_err(|bad| match bad {
            // Perhaps cut by a proxy, and whole the next time.
            BadArchive::Damaged(what) => response.unreadable(what),
            BadArchive::Other(what) => response.unreadable(what).of(Quirks::default()),
        })?;
        rows.iter_mut().filter_map(|row| row.error.as_mut()).for_each(|error| *error = response.mask.text(error));
        Ok(rows)
    }
}

/// Why no rows can be read from an archive.
#[derive(Debug, PartialEq)]
enum BadArchive {
    /// The archive was harmed on its way.
    Damaged(String),
    /// The archive is whole, and holds something else.
    Other(String),
}

/// Reads the rows of an archive in memory. Nothing is written, so paths in the archive can do no harm.
fn unpack(archive: Bytes, largest: u64) -> Result<Vec<EvaluatedRow>, BadArchive> {
    use BadArchive::{Damaged, Other};
    let zip = zip::ZipArchive::new(Cursor::new(archive));
    let mut zip = zip.map_err(|error| Damaged(format!("not an archive: {error}")))?;
    let mut names: Vec<String> = zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    names.retain(|name| name.rsplit(['/', '\\']).next() == Some("results.json"));
    // The layout differs between builds. The outermost of several files is the one of the job.
    names.sort_by_key(|name| (name.split(['/', '\\']).count(), name.clone()));
    let name = names.first().ok_or_else(|| Other("no results.json in the archive".to_owned()))?;
    let file = zip.by_name(name).map_err(|error| Damaged(format!("{name}: {error}")))?;
    let mut json = Vec::new();
    let read = file.take(largest + 1).read_to_end(&mut json).map_err(|error| Damaged(format!("{name}: {error}")))?;
    if read as u64 > largest {
        return Err(Other(format!("{name} holds more than {largest} bytes")));
    }
    let mut results = read_json::parse(&json).map_err(|error| Other(format!("{name}: {error}")))?;
    Ok(rows(&mut results))
}

/// Reads a map from task to rows, or a plain list of rows.
fn rows(results: &mut Value) -> Vec<EvaluatedRow> {
    let of = |task: &str, rows: &mut Value| -> Vec<EvaluatedRow> {
        let rows = rows.as_array_mut().into_iter().flatten().filter(|row| row.is_object());
        rows.map(|row| read_row(task, row)).collect()
    };
    match results {
        Value::Object(tasks) => tasks.iter_mut().flat_map(|(task, rows)| of(task, rows)).collect(),
        rows => of("", rows),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(fill: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Bytes {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        fill(&mut zip);
        zip.finish().unwrap().into_inner().into()
    }

    #[test]
    fn names_that_lead_elsewhere_write_nothing_there() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside").join("results.json");
        let absolute = outside.to_str().unwrap().to_owned();
        let upwards = format!("{}{}", "../".repeat(20), absolute.trim_start_matches('/'));
        for name in [absolute, upwards] {
            let bytes = archive(|zip| {
                zip.start_file(name, SimpleFileOptions::default()).unwrap();
                zip.write_all(br#"{"t": [{"item": {"a": 1}}]}"#).unwrap();
            });
            assert_eq!(unpack(bytes, ROWS_BYTES).unwrap()[0].item["a"], 1);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), r#"{"t": [{"item": {"a": 1}}]}"#).unwrap();
        let target = secret.path().to_str().unwrap();
        let bytes = archive(|zip| zip.add_symlink("results.json", target, SimpleFileOptions::default()).unwrap());
        let error = unpack(bytes, ROWS_BYTES).unwrap_err();
        assert!(matches!(&error, BadArchive::Other(what) if what.starts_with("results.json: ")), "{error:?}");
    }

    #[test]
    fn what_expands_beyond_the_limit_is_not_read_to_its_end() {
        let bytes = archive(|zip| {
            zip.start_file("results.json", SimpleFileOptions::default()).unwrap();
            let blanks = vec![b' '; 1 << 20];
            (0..16).for_each(|_| zip.write_all(&blanks).unwrap());
        });
        assert!(bytes.len() < 1 << 17, "{} bytes", bytes.len());
        let bad = BadArchive::Other("results.json holds more than 65536 bytes".to_owned());
        assert_eq!(unpack(bytes, 1 << 16).unwrap_err(), bad);
    }
}
