//! What is known of one (arch, kernel) while it runs. Pure.

use std::time::{Duration, Instant};

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
        /// When this run began, and what was done by then.
        begun: (Instant, u64),
    },
    Booting,
    Running,
    Programs {
        done: usize,
        total: usize,
    },
    Done(String),
}

impl State {
    /// Waiting, with this many cases to run.
    pub fn new(total: usize) -> Self {
        Self { total, ..Self::default() }
    }

    /// An image is being had.
    pub fn image(&mut self, stage: ImageStage, what: &str, done: u64, total: Option<u64>) {
        let what = clean::line(what);
        let begun = match &self.stage {
            Stage::Image { stage: before, what: same, begun, .. } if *before == stage && *same == what => *begun,
            _ => (Instant::now(), done),
        };
        self.stage = Stage::Image { stage, what, done, total, begun };
    }

    /// QEMU was started.
    pub fn booting(&mut self) {
        self.stage = Stage::Booting;
    }

    /// The agent answers.
    pub fn booted(&mut self) {
        self.stage = Stage::Running;
    }

    /// The `abi` suite comes along.
    pub fn programs(&mut self, done: usize, total: usize) {
        self.stage = Stage::Programs { done, total };
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
            Stage::Image { stage: ImageStage::Build, what, done, total, begun: (since, before) } => {
                let left = left(*done, *before, *total, since.elapsed())
                    .map(|left| format!(", {left} left"))
                    .unwrap_or_default();
                format!("{}{left}", image_line(ImageStage::Build, what, *done, *total))
            }
            Stage::Image { stage, what, done, total, .. } => image_line(*stage, what, *done, *total),
            Stage::Booting => "booting".into(),
            Stage::Running => self.counts(),
            Stage::Programs { done, total } => format!("{}; abi: {done} of {total} programs", self.counts()),
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
        // The forecast is from another build: never more done than there is.
        (ImageStage::Build, Some(total)) => format!("building {what}: {done} of {} objects", total.max(done)),
        (ImageStage::Build, None) => format!("building {what}: {done} objects"),
    }
}

/// Time that is left at the pace so far, once the pace says something: `4 min`. `before`: done when `elapsed` began.
fn left(done: u64, before: u64, total: Option<u64>, elapsed: Duration) -> Option<String> {
    let left = total?.checked_sub(done)?;
    let done = done.saturating_sub(before);
    if done < 50 || elapsed < Duration::from_secs(5) {
        return None;
    }
    let seconds = elapsed.as_secs() * left / done;
    Some(if seconds < 60 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) })
}

/// `12.3 MB`, in powers of ten as mirrors count.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{} kB", n / 1_000),
        _ => format!("{}.{} MB", n / 1_000_000, n % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_tells_objects_and_the_time_left() {
        assert_eq!(
            image_line(ImageStage::Build, "kernel for arm64", 7, Some(2000)),
            "building kernel for arm64: 7 of 2000 objects"
        );
        assert_eq!(image_line(ImageStage::Build, "k", 2001, Some(2000)), "building k: 2001 of 2001 objects");
        let at = |done, seconds| left(done, 0, Some(2000), Duration::from_secs(seconds));
        assert_eq!(at(10, 60), None, "too early to tell");
        assert_eq!(at(500, 100).as_deref(), Some("5 min"));
        assert_eq!(at(1900, 380).as_deref(), Some("20 s"));
        assert_eq!(at(2100, 380), None);
        assert_eq!(left(500, 0, None, Duration::from_secs(100)), None);
        // A build that goes on is no faster for what was done before.
        assert_eq!(left(1100, 1000, Some(2000), Duration::from_secs(20)).as_deref(), Some("3 min"));
    }
}
