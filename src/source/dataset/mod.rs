//! From a request to a dataset folder: reads the sources, lets `data` decide and writes the datasets with their manifest.
//! Memory grows with selected records, not with bytes: rows are read again when they are written.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use crate::data::corpus::Corpus;
use crate::data::forms::reshape::Reshaper;
use crate::data::intake::{ExaminerScratch, Findings, Intake, Origin};
use crate::data::options::{DatasetRequest, LogSource};
use crate::data::record::Normaliser;
use crate::data::reject::Reject;
use crate::data::rows::RowRenderer;
use crate::data::split::{self, Split};
pub use crate::data::unusable::Unusable;
use crate::source::credentials::Credentials;
use crate::source::elastic::halt::Halt;
use crate::source::elastic::read::Pages;
use crate::source::input::digest::Seen;
use crate::source::input::packed::{self, Damaged, PackedKind};
use crate::source::input::reshaped::Reshaped;
use crate::source::jsonl::{Block, Blocks, Lines, MAX_LINE};
use crate::source::local::{LocalStore, StoreReading};
pub use crate::source::manifest::{DatasetFile, Manifest};
use crate::source::manifest::{InputFile, MANIFEST};
use crate::source::output::Output;
use crate::source::pipeline;

/// The eval set, below the dataset folder.
pub const EVAL: &str = "eval/eval_data.jsonl";
/// The training set, below the dataset folder.
pub const TRAIN: &str = "train/training/train_data.jsonl";
/// The validation set, below the dataset folder; not there when it would be empty.
pub const VALIDATION: &str = "train/validation/val_data.jsonl";
/// Texts that stand with different labels, below the dataset folder; not there when there are none.
pub const CONFLICTS: &str = "conflicts.jsonl";
/// Copies of what cannot be read twice (standard input, pipes, an index) while they are needed; the source's number follows.
const SPOOL: &str = ".spool-";

/// Rows rendered at once by one thread.
const ROWS_AT_ONCE: usize = 512;

/// Builds the datasets of a workload in the folder `out` and says what became of every line. Refused lines are written to
/// `rejects` as JSON lines (`file`, `line`, `reason`, `text`). An [`Unusable`] stands at the bottom of the error when the
/// records are to blame. `halt` ends the reading of an index, so that nothing of it stays open at the server.
pub fn build(
    request: &DatasetRequest,
    credentials: &Credentials,
    out: &Path,
    rejects: Option<&mut dyn Write>,
    halt: &Halt,
) -> Result<Manifest> {
    let LogSource::Elasticsearch(at) = &request.input else {
        return build_from(request, out, rejects, &mut std::io::stdin().lock(), MAX_LINE, None);
    };
    let reading = || format!("reading the records of {at}");
    let mut pages = Pages::open(at, credentials, &request.filter, halt).with_context(reading)?;
    let server = Some(pages.server.clone());
    build_from(request, out, rejects, &mut pages, MAX_LINE, server).map_err(|error| match pages.take_error() {
        Some(why) => anyhow::Error::new(why).context(reading()),
        None => error,
    })
}

/// The same with what stands in for a source that is spooled, the longest line that is read, and the server of an index.
fn build_from(
    request: &DatasetRequest,
    out: &Path,
    rejects: Option<&mut dyn Write>,
    stdin: &mut dyn Read,
    max_line: usize,
    server: Option<String>,
) -> Result<Manifest> {
    std::fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    // From here on until the new one is written, the folder counts as incomplete.
    remove_if_there(&out.join(MANIFEST))?;
    let mut sources = Sources { server, ..Sources::open(request, out)? };
    let built = sources.build(request, out, Rejects { to: rejects }, stdin, max_line);
    for (path, _) in sources.paths.iter().zip(&sources.copied).filter(|(_, copied)| **copied) {
        remove_if_there(path)?;
    }
    built
}

/// Whether there is a file to be unpacked at this path. What cannot be opened is reported when it is read.
fn is_packed(path: &Path) -> bool {
    let looked = File::open(path).and_then(packed::look);
    looked.is_ok_and(|(kind, _)| matches!(kind, PackedKind::Packed(_)))
}

/// The places that records come from.
struct Sources {
    name: &'static str,
    /// Where a source can be read again, by its number.
    paths: Vec<PathBuf>,
    /// What a source is called, by its number.
    names: Vec<PathBuf>,
    /// Whether a source is copied, by its number: because it is read once, or as what was packed in it, or as the records
    /// that were made of it.
    copied: Vec<bool>,
    /// Name and version of the server that they come from.
    server: Option<String>,
    /// Makes records of documents of another shape.
    reshaper: Option<Reshaper>,
    /// Whether records come in another order each time.
    unordered: bool,
    /// Keeps writers out of a log store that is read.
    _store: Option<StoreReading>,
}

impl Sources {
    fn open(DatasetRequest { input, fields, .. }: &DatasetRequest, out: &Path) -> Result<Sources> {
        let mut store = None;
        let (name, names) = match input {
            LogSource::Files(paths) => ("jsonl", paths.clone()),
            LogSource::Local(dir) => ("local", store.insert(LocalStore::at(dir).read()?).files.clone()),
            LogSource::Stdin => ("stdin", vec![PathBuf::from("-")]),
            LogSource::Elasticsearch(at) => ("elasticsearch", vec![PathBuf::from(at.to_string())]),
        };
        let unordered = matches!(input, LogSource::Elasticsearch(_));
        // Those that `build` is handed as a stream.
        let streamed = matches!(input, LogSource::Stdin | LogSource::Elasticsearch(_));
        let is_pipe = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|file| !file.is_file());
        let spooled: Vec<bool> = names.iter().map(|path| streamed || is_pipe(path)).collect();
        // The log store holds records in their own shape, whatever they were made of.
        let other = !fields.are_own() && !matches!(input, LogSource::Local(_));
        let copy = |(path, spooled): (&PathBuf, &bool)| *spooled || other || is_packed(path);
        let copied: Vec<bool> = names.iter().zip(&spooled).map(copy).collect();
        let spool = |(number, copied): (usize, &bool)| copied.then(|| out.join(format!("{SPOOL}{number}")));
        let copies = copied.iter().enumerate().map(spool);
        let paths = names.iter().zip(copies).map(|(path, copy)| copy.unwrap_or_else(|| path.clone())).collect();
        let reshaper = other.then(|| Reshaper::new(fields));
        Ok(Sources { name, paths, names, copied, unordered, server: None, reshaper, _store: store })
    }

    fn build(
        &mut self,
        request: &DatasetRequest,
        out: &Path,
        mut rejects: Rejects<'_>,
        stdin: &mut dyn Read,
        max_line: usize,
    ) -> Result<Manifest> {
        let started = Instant::now();
        let mut intake = Intake::new(request).map_err(|e| anyhow!("label_pattern: {e}"))?;
        let mut inputs = Vec::new();
        let mut identities = Vec::new();
        for source in 0..self.paths.len() {
            let path = self.paths[source].clone();
            let copy = || File::create(&path).with_context(|| format!("creating {}", path.display()));
            let copy = self.copied[source].then(copy).transpose()?;
            let input = if matches!(request.input, LogSource::Stdin | LogSource::Elasticsearch(_)) {
                self.read(source, &mut *stdin, copy, max_line, &mut intake, &mut rejects)
            } else {
                let name = self.names[source].clone();
                let file = File::open(&name).with_context(|| format!("opening {}", name.display()))?;
                self.read(source, file, copy, max_line, &mut intake, &mut rejects)
            };
            inputs.push(input?);
            identities.push(identity(&path)?.0);
        }
        // What an index has is looked at before it is read.
        let unmet = self.reshaper.as_ref().filter(|_| !matches!(request.input, LogSource::Elasticsearch(_)));
        if let Some(unmet) = unmet.and_then(Reshaper::unmet) {
            return Err(unmet.into());
        }
        let lines: u64 = inputs.iter().map(|input| input.lines).sum();
        tracing::info!(lines, seconds = started.elapsed().as_secs_f64(), "the records are read");
        let ids = self.ids(&intake.ties())?;
        intake.settle(&ids);
        let corpus = intake.finish()?;
        let mut lines = Lines::new(&self.paths);
        for (at, reason) in &corpus.late {
            let text = lines.read(at).with_context(|| format!("reading {}", self.name_of(at)))?;
            rejects.write(&self.name_of(at), at, *reason, text)?;
        }
        rejects.finish()?;
        let split = split::split(&corpus, &request.split)?;
        let files = self.write_datasets(request, &corpus, &split, out)?;
        self.write_conflicts(&corpus, out)?;
        for (source, (input, before)) in inputs.iter().zip(identities).enumerate() {
            let path = &self.paths[source];
            let (now, bytes) = identity(path)?;
            if now != before || (bytes < input.bytes && !self.copied[source]) {
                bail!("{} was cut or replaced while it was read", path.display());
            }
        }
        let manifest = Manifest::of(request, self.name, &corpus, &split, files, inputs);
        let mut output = Output::new(out, MANIFEST)?;
        output.rows(&serde_json::to_vec_pretty(&manifest)?, 1)?;
        output.finish()?;
        Ok(manifest)
    }

    fn name_of(&self, at: &Origin) -> String {
        self.names.get(at.source as usize).map(|name| name.display().to_string()).unwrap_or_default()
    }

    /// Reads one source to its end.
    fn read(
        &mut self,
        source: usize,
        reader: impl Read,
        copy: Option<File>,
        max_line: usize,
        intake: &mut Intake,
        rejects: &mut Rejects<'_>,
    ) -> Result<InputFile> {
        let name = self.names[source].clone();
        let context = || format!("reading {}", name.display());
        let file = name.display().to_string();
        let (kind, reader) = packed::look(reader).with_context(context)?;
        let (seen, documents) = (Seen::default(), Seen::default());
        let reader: Box<dyn Read + '_> = match kind {
            PackedKind::Foreign(unpack) => return Err(Unusable::Compressed { file, unpack }.into()),
            PackedKind::Packed(_) if !self.copied[source] => bail!("{file} was replaced while it was read"),
            PackedKind::Packed(packing) => Box::new(packing.unpack(seen.watch(reader)).with_context(context)?),
            PackedKind::Plain => Box::new(reader),
        };
        let mut reshaper = self.reshaper.take();
        let reader: Box<dyn Read + '_> = match &mut reshaper {
            Some(reshaper) => Box::new(Reshaped::new(reader, reshaper, &documents)),
            None => reader,
        };
        let mut blocks = Blocks::new(reader, source as u32, copy, max_line);
        if self.unordered {
            blocks = blocks.unordered();
        }
        let examiner = intake.examiner();
        let buffers = std::cell::RefCell::new(Vec::new());
        let mut lines = 0;
        pipeline::in_order(
            || {
                let buffer = buffers.borrow_mut().pop().unwrap_or_default();
                blocks.next(buffer).map_err(|error| match Damaged::of(&error) {
                    Some(why) => Unusable::Damaged { file: file.clone(), why: why.to_string() }.into(),
                    None => anyhow::Error::new(error).context(context()),
                })
            },
            ExaminerScratch::default,
            |scratch: &mut ExaminerScratch, block: Block| {
                let batch = block.examine(&examiner, scratch);
                (block, batch)
            },
            |(block, mut batch): (Block, Findings)| {
                batch.shift_lines(lines);
                lines += batch.lines();
                for (at, reason) in intake.absorb(batch) {
                    rejects.write(&self.name_of(&at), &at, reason, block.line(&at))?;
                }
                buffers.borrow_mut().push(block.into_buffer());
                Ok(())
            },
        )?;
        let digest = blocks.digest();
        drop(blocks);
        // Of what the source holds, whatever was made of it.
        let digest = match kind {
            PackedKind::Packed(_) => seen.digest(),
            _ if reshaper.is_some() && !self.unordered => documents.digest(),
            _ => digest,
        };
        self.reshaper = reshaper;
        let server = self.server.clone();
        Ok(InputFile { path: name, bytes: digest.bytes, lines, blake3: digest.blake3, server })
    }

    /// The ids of the records at these places.
    fn ids(&self, places: &[Origin]) -> Result<Vec<u128>> {
        let mut ids = Vec::with_capacity(places.len());
        let mut jobs = places.chunks(ROWS_AT_ONCE);
        pipeline::in_order(
            || Ok(jobs.next()),
            || (Lines::new(&self.paths), Normaliser::default()),
            |(lines, normaliser), places| -> Result<Vec<u128>> {
                let mut ids = Vec::with_capacity(places.len());
                for at in places {
                    let context = || format!("reading line {} of {} again", at.line, self.name_of(at));
                    ids.push(normaliser.id(lines.read(at).with_context(context)?).with_context(context)?);
                }
                Ok(ids)
            },
            |some: Result<Vec<u128>>| {
                ids.extend(some?);
                Ok(())
            },
        )?;
        Ok(ids)
    }

    fn write_datasets(
        &self,
        request: &DatasetRequest,
        corpus: &Corpus,
        split: &Split,
        out: &Path,
    ) -> Result<Vec<DatasetFile>> {
        let parse = request.split.parse_function_arguments;
        let mut files = Vec::new();
        for (name, rows) in [(EVAL, &split.eval), (TRAIN, &split.train), (VALIDATION, &split.validation)] {
            if rows.is_empty() {
                remove_if_there(&out.join(name))?;
                continue;
            }
            let mut output = Output::new(out, name)?;
            let mut jobs = rows.chunks(ROWS_AT_ONCE);
            pipeline::in_order(
                || Ok(jobs.next()),
                || (Lines::new(&self.paths), RowRenderer::new(parse)),
                |(lines, renderer), rows| {
                    let mut text = Vec::with_capacity(rows.len() * 1024);
                    for &row in rows {
                        if !text.is_empty() {
                            text.push(b'\n');
                        }
                        let at = &corpus.rows[row as usize].origin;
                        self.render(lines, renderer, at, name == EVAL, &mut text)?;
                    }
                    Ok((text, rows.len() as u64))
                },
                |rendered: Result<(Vec<u8>, u64)>| {
                    let (text, rows) = rendered?;
                    output.rows(&text, rows)
                },
            )?;
            files.push(output.finish()?);
        }
        Ok(files)
    }

    fn render(
        &self,
        lines: &mut Lines<'_>,
        renderer: &mut RowRenderer,
        at: &Origin,
        eval: bool,
        text: &mut Vec<u8>,
    ) -> Result<()> {
        let context = || format!("reading line {} of {} again", at.line, self.name_of(at));
        let json = lines.read(at).with_context(context)?;
        let rendered = if eval { renderer.eval_row(json, text) } else { renderer.training_row(json, text) };
        rendered.with_context(context)
    }

    fn write_conflicts(&self, corpus: &Corpus, out: &Path) -> Result<()> {
        if corpus.conflicts.is_empty() {
            return remove_if_there(&out.join(CONFLICTS));
        }
        let mut output = Output::new(out, CONFLICTS)?;
        let mut lines = Lines::new(&self.paths);
        let mut renderer = RowRenderer::new(true);
        for conflict in &corpus.conflicts {
            let mut row = Vec::new();
            self.render(&mut lines, &mut renderer, &conflict.kept, true, &mut row)?;
            let record: serde_json::Value = serde_json::from_slice(&row)?;
            let line = serde_json::json!({
                "kept": conflict.label,
                "labels": conflict.labels,
                "timestamp": record["timestamp"],
                "messages": record["request"]["messages"],
            });
            output.rows(line.to_string().as_bytes(), 1)?;
        }
        output.finish().map(drop)
    }
}

/// Which file a path leads to (device and inode), and its bytes. Growing is fine, as live logs do.
fn identity(path: &Path) -> Result<((u64, u64), u64)> {
    let file = std::fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?;
    Ok(((file.dev(), file.ino()), file.len()))
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Where refused lines are written to, if anywhere.
struct Rejects<'a> {
    to: Option<&'a mut dyn Write>,
}

impl Rejects<'_> {
    fn write(&mut self, file: &str, at: &Origin, reason: Reject, text: &[u8]) -> Result<()> {
        let Some(to) = &mut self.to else { return Ok(()) };
        let text = (reason != Reject::LineTooLong).then(|| String::from_utf8_lossy(text));
        let line = serde_json::json!({"file": file, "line": at.line, "reason": reason, "text": text});
        writeln!(to, "{line}").context("writing the refused lines")
    }

    fn finish(&mut self) -> Result<()> {
        self.to.as_mut().map_or(Ok(()), |to| to.flush()).context("writing the refused lines")
    }
}

#[cfg(test)]
mod tests;
