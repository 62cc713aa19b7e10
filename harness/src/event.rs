//! What the engine tells while it works: consumed by the live display, the plain lines and the conformance trials.
//!
//! Pure data. Text that came from a guest is stripped of control sequences before it gets here.

use crate::model::{Cell, Verdict};

/// Which stage an image is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageStage {
    /// Another process holds the lock on this image.
    Wait,
    /// Bytes from the mirror.
    Download,
    /// Taking out of the package what is needed.
    Unpack,
    /// Compiling the agent.
    Compile,
    /// Building a kernel; amounts are steps of the build.
    Build,
}

/// One thing that happened. `arch` and `kernel` are as in the plan.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Event {
    PlanReady { kernels: Vec<Planned> },
    Image { arch: String, kernel: String, stage: ImageStage, what: String, done: u64, total: Option<u64> },
    Booting { arch: String, kernel: String, command: String },
    Booted { arch: String, kernel: String, release: String, ms: u64 },
    Programs { arch: String, kernel: String, done: usize, total: usize },
    CellDone { arch: String, kernel: String, cell: Box<Cell> },
    GuestLost { arch: String, kernel: String, how: String },
    KernelDone { arch: String, kernel: String, verdict: Verdict, reason: String, error: Option<String> },
    Note { text: String },
    Warning { text: String },
}

/// One (arch, kernel) of the plan and how many cases it has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Planned {
    pub arch: String,
    pub kernel: String,
    pub cases: usize,
}

/// What the image stage tells, as an event of this (arch, kernel). A task's end is no event of its own.
pub fn of_image(arch: String, kernel: String, event: images::Event) -> Option<Event> {
    use images::{Activity, Event as Image};
    let stage = |activity| match activity {
        Activity::Download => ImageStage::Download,
        Activity::Unpack => ImageStage::Unpack,
        Activity::Compile => ImageStage::Compile,
        Activity::Build => ImageStage::Build,
    };
    Some(match event {
        Image::Started { activity, what, done, total } => {
            Event::Image { arch, kernel, stage: stage(activity), what, done, total }
        }
        Image::Progress { activity, what, done, total } => {
            Event::Image { arch, kernel, stage: stage(activity), what, done, total }
        }
        Image::Finished { .. } => return None,
        Image::Waiting { what } => Event::Image { arch, kernel, stage: ImageStage::Wait, what, done: 0, total: None },
        Image::Note(text) => Event::Note { text: format!("{arch}: {text}") },
    })
}
