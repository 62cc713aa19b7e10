//! What is known of one (arch, kernel) while it runs. Pure.

use crate::event::ImageStage;
use crate::model::{Cell, Verdict};
use crate::report::clean;

/// Stage and counts of one (arch, kernel).
#[derive(Debug, Clone, Default)]
pub struct State {
    stage: Stage,
    total: usize,
    done: usize,
    wrong: usize,
    not_applicable: usize,
}

#[derive(Debug, Clone, Default)]
enum Stage {
    #[default]
    Queued,
    Image {
        stage: ImageStage,
        what: String,
        done: u64,
        total: Option<u64>,
    },
    Booting,
    Running,
    Done(String),
}

impl State {
    /// Waiting, with this many cases to run.
    pub fn new(total: usize) -> Self {
        Self { total, ..Self::default() }
    }

    /// An image is being had.
    pub fn image(&mut self, stage: ImageStage, what: &str, done: u64, total: Option<u64>) {
        self.stage = Stage::Image { stage, what: clean::line(what), done, total };
    }

    /// QEMU was started.
    pub fn booting(&mut self) {
        self.stage = Stage::Booting;
    }

    /// The agent answers.
    pub fn booted(&mut self) {
        self.stage = Stage::Running;
    }

    /// A cell came in.
    pub fn cell(&mut self, cell: &Cell) {
        self.stage = Stage::Running;
        self.done += 1;
        self.wrong += usize::from(cell.standing.fails());
        self.not_applicable += usize::from(!cell.standing.was_run());
    }

    /// It is over.
    pub fn over(&mut self, verdict: Verdict, reason: &str, error: Option<&str>) {
        self.stage = Stage::Done(ending(verdict, reason, error));
    }

    /// One line: stage and counts.
    pub fn status(&self) -> String {
        match &self.stage {
            Stage::Queued => "queued".into(),
            Stage::Image { stage, what, done, total } => image_line(*stage, what, *done, *total),
            Stage::Booting => "booting".into(),
            Stage::Running => self.counts(),
            Stage::Done(ending) if self.done == 0 => ending.clone(),
            Stage::Done(ending) => format!("{}: {ending}", self.counts()),
        }
    }

    /// `61/70 cases, 2 wrong, 4 n/a`.
    pub fn counts(&self) -> String {
        let mut out = format!("{}/{} cases", self.done, self.total.max(self.done));
        if self.wrong > 0 {
            out.push_str(&format!(", {} wrong", self.wrong));
        }
        if self.not_applicable > 0 {
            out.push_str(&format!(", {} n/a", self.not_applicable));
        }
        out
    }
}

/// The end in words.
pub fn ending(verdict: Verdict, reason: &str, error: Option<&str>) -> String {
    match error {
        Some(error) => clean::line(&format!("{verdict}: {error}")),
        None if reason.is_empty() || verdict == Verdict::Conformant => verdict.to_string(),
        None => clean::line(&format!("{verdict}: {reason}")),
    }
}

/// What is being done for an image, with amounts.
pub fn image_line(stage: ImageStage, what: &str, done: u64, total: Option<u64>) -> String {
    match (stage, total) {
        (ImageStage::Wait, _) => format!("waiting for another process to fetch {what}"),
        (ImageStage::Download, Some(total)) => format!("downloading {what}: {} of {}", bytes(done), bytes(total)),
        (ImageStage::Download, None) => format!("downloading {what}: {}", bytes(done)),
        (ImageStage::Unpack, _) => format!("unpacking {what}"),
        (ImageStage::Compile, _) => format!("compiling {what}"),
    }
}

/// `12.3 MB`, in powers of ten as mirrors count.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{} kB", n / 1_000),
        _ => format!("{}.{} MB", n / 1_000_000, n % 1_000_000 / 100_000),
    }
}
