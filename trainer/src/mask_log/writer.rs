//! The mask log's thread, and what a resume removes.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use crossbeam::channel::{Receiver, Sender, bounded};

use super::part::Part;
use super::rows::{LogContext, StepRows};

/// Steps that may wait for the log's thread; more make the training step wait.
const QUEUE_STEPS: usize = 4;
/// Rows of a part at most, so that a part that a killed run leaves unfinished is small.
const PART_ROWS: usize = 262_144;

enum Message {
    Rows(StepRows),
    /// Complete the open part and answer.
    Flush(Sender<()>),
}

/// Writes rows to `masks/epoch=E/part-rR-sS.parquet` from a thread of its own.
pub(crate) struct MaskLog {
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl MaskLog {
    /// Starts the thread; `folder` is the run's `masks` folder.
    pub(crate) fn start(folder: PathBuf, context: LogContext) -> Result<Self> {
        let (sender, receiver) = bounded(QUEUE_STEPS);
        let thread = std::thread::Builder::new()
            .name("mask-log".to_owned())
            .spawn(move || write_all(&folder, &context, &receiver))
            .context("cannot start the mask log's thread")?;
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread),
        })
    }

    /// Hands over the rows of a step; waits while the queue is full.
    pub(crate) fn append(&mut self, rows: StepRows) -> Result<()> {
        if rows.rows.is_empty() {
            return Ok(());
        }
        self.send(Message::Rows(rows))
    }

    /// Returns when every row so far is in a complete file on disk.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let (done, wait) = bounded(1);
        self.send(Message::Flush(done))?;
        wait.recv().map_err(|_| self.failure())
    }

    /// Completes everything and ends the thread.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.sender = None;
        match self.thread.take() {
            Some(thread) => join(thread),
            None => Ok(()),
        }
    }

    fn send(&mut self, message: Message) -> Result<()> {
        let sent = self
            .sender
            .as_ref()
            .is_some_and(|sender| sender.send(message).is_ok());
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Why the thread is gone.
    fn failure(&mut self) -> anyhow::Error {
        match self.thread.take().map(join) {
            Some(Err(error)) => error,
            _ => anyhow!("the mask log's thread has ended"),
        }
    }
}

fn join(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread
        .join()
        .map_err(|_| anyhow!("the mask log's thread panicked"))?
        .context("the mask log could not be written")
}

fn write_all(folder: &Path, context: &LogContext, receiver: &Receiver<Message>) -> Result<()> {
    let mut open: Option<Part> = None;
    for message in receiver {
        match message {
            Message::Rows(rows) => {
                if let Some(part) =
                    open.take_if(|part| part.epoch != rows.epoch || part.rows >= PART_ROWS)
                {
                    part.finish()?;
                }
                let part = match &mut open {
                    Some(part) => part,
                    None => open.insert(Part::begin(folder, context, rows.epoch, rows.step)?),
                };
                part.append(&rows, context)?;
            }
            Message::Flush(done) => {
                if let Some(part) = open.take() {
                    part.finish()?;
                }
                // Whoever asked may have given up waiting; the part is complete all the same.
                let _ = done.send(());
            }
        }
    }
    // The run ended without a flush: the open part stays unfinished and is removed on resume.
    Ok(())
}

/// Removes unfinished parts and every part whose first step is `step` or later.
///
/// A part never reaches over a checkpoint, so what stays holds exactly the steps before `step`.
pub(crate) fn remove_parts_from(folder: &Path, step: u64) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for epoch_folder in
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let epoch_folder = epoch_folder?.path();
        if !epoch_folder.is_dir() {
            continue;
        }
        for part in fs::read_dir(&epoch_folder)? {
            let part = part?.path();
            let name = part
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let first_step = name
                .strip_suffix(".parquet")
                .and_then(|stem| stem.rsplit_once("-s"))
                .and_then(|(_, step)| step.parse::<u64>().ok());
            let is_partial = name.ends_with(".parquet.partial");
            if is_partial || first_step.is_some_and(|first| first >= step) {
                fs::remove_file(&part)
                    .with_context(|| format!("cannot remove {}", part.display()))?;
            }
        }
        // An epoch folder that is now empty goes too; one that is not stays.
        let _ = fs::remove_dir(&epoch_folder);
    }
    Ok(())
}
