//! What an image stage tells while it works. The live display and the tests are both consumers.
//!
//! Several arches are resolved at once, so events of different `what` interleave; `what` identifies a task.

use std::time::Duration;

/// Kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Bytes come over the network.
    Download,
    /// A package or kernel is unpacked.
    Unpack,
    /// The agent is compiled.
    Compile,
    /// A kernel is built. What is counted are the build's steps, not bytes.
    Build,
}

/// Something worth showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A task began.
    Started {
        /// Kind.
        activity: Activity,
        /// Of what, e.g. a package's name and architecture.
        what: String,
        /// Done already, by a build that was interrupted; mostly 0.
        done: u64,
        /// Bytes in all (steps of a build), when known.
        total: Option<u64>,
    },
    /// A task went on.
    Progress {
        /// As in `Started`.
        activity: Activity,
        /// As in `Started`.
        what: String,
        /// Bytes so far, or steps.
        done: u64,
        /// Bytes in all, when known.
        total: Option<u64>,
    },
    /// A task ended well. (One that failed ends in an error instead.)
    Finished {
        /// As in `Started`.
        activity: Activity,
        /// As in `Started`.
        what: String,
        /// Bytes handled, or steps.
        bytes: u64,
        /// How long it took.
        elapsed: Duration,
    },
    /// Another run holds the lock; this one waits for its result.
    Waiting {
        /// For what.
        what: String,
    },
    /// Something the user should know, in a sentence without full stop.
    Note(String),
}

/// Takes events, from several threads.
pub type Progress<'a> = dyn Fn(Event) + Sync + 'a;

/// One running task: sends `Started` at once, `Progress` at most every 100 ms, `Finished` when told so.
pub(crate) struct Task<'a> {
    activity: Activity,
    what: String,
    total: Option<u64>,
    progress: &'a Progress<'a>,
    begun: std::time::Instant,
    told: std::time::Instant,
}

impl<'a> Task<'a> {
    pub(crate) fn start(
        activity: Activity,
        what: impl Into<String>,
        total: Option<u64>,
        progress: &'a Progress<'a>,
    ) -> Self {
        Self::go_on(activity, what, 0, total, progress)
    }

    /// Begins a task of which `done` was done by an earlier run.
    pub(crate) fn go_on(
        activity: Activity,
        what: impl Into<String>,
        done: u64,
        total: Option<u64>,
        progress: &'a Progress<'a>,
    ) -> Self {
        let what = what.into();
        progress(Event::Started { activity, what: what.clone(), done, total });
        let now = std::time::Instant::now();
        Self { activity, what, total, progress, begun: now, told: now }
    }

    pub(crate) fn at(&mut self, done: u64) {
        if self.told.elapsed() >= Duration::from_millis(100) {
            self.told = std::time::Instant::now();
            (self.progress)(Event::Progress {
                activity: self.activity,
                what: self.what.clone(),
                done,
                total: self.total,
            });
        }
    }

    pub(crate) fn finish(self, bytes: u64) {
        (self.progress)(Event::Finished {
            activity: self.activity,
            what: self.what,
            bytes,
            elapsed: self.begun.elapsed(),
        });
    }
}
