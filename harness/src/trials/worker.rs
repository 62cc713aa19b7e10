//! One run of the engine behind many trials: the first trial that is asked starts it, each waits for its own cell.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Key;
use crate::event::Event;
use crate::model::{Cell, RunResults, Standing};
use crate::report::evidence;

/// What a trial is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// As it should be.
    Passed,
    /// The question does not arise on this kernel, or the failure is a known one: why.
    Ignored(String),
    /// Not as it should be: the evidence.
    Failed(String),
}

/// What runs cases.
pub trait Engine: Send + Sync + 'static {
    /// Runs these cases; tells of each cell as it is done.
    ///
    /// # Errors
    /// Why there are no results, for people.
    fn run(&self, wanted: &[Key], events: &(dyn Fn(Event) + Send + Sync)) -> Result<RunResults, String>;
}

/// Runs the engine once, for all trials that are wanted.
pub struct Worker {
    engine: Arc<dyn Engine>,
    wanted: Vec<Key>,
    known: HashSet<Key>,
    command: Vec<String>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    started: bool,
    answers: HashMap<Key, Answer>,
    /// (arch, kernel) that did not get as far as cells, and what to tell their trials.
    over: HashMap<(String, String), Answer>,
    /// The run is over: what to tell a trial without a cell.
    end: Option<String>,
}

impl Worker {
    /// A worker for the `wanted` of the `known` cases. `command` is the command line, for the hint how to run one cell
    /// again.
    pub fn new(engine: Arc<dyn Engine>, known: HashSet<Key>, wanted: Vec<Key>, command: Vec<String>) -> Arc<Self> {
        Arc::new(Self { engine, wanted, known, command, state: Mutex::default(), changed: Condvar::new() })
    }

    /// Waits for a trial's cell. The first call starts the run.
    pub fn answer(self: &Arc<Self>, key: &Key) -> Answer {
        let mut state = self.lock();
        if !state.started {
            state.started = true;
            let worker = Arc::clone(self);
            std::thread::spawn(move || worker.work());
        }
        loop {
            if let Some(answer) = state.answers.get(key) {
                return answer.clone();
            }
            let kernel = (key.arch.clone(), key.kernel.clone());
            if let Some(answer) = state.over.get(&kernel) {
                return answer.clone();
            }
            if let Some(why) = &state.end {
                return Answer::Failed(why.clone());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the end of the run, if there was one, and gives what failed outside of the trials that were asked for,
    /// as (name, evidence): an expectation that matches nothing is such a cell.
    pub fn finish(&self) -> Vec<(String, String)> {
        let mut state = self.lock();
        while state.started && state.end.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut out: Vec<(String, String)> = state
            .answers
            .iter()
            .filter(|(key, _)| !self.known.contains(key))
            .filter_map(|(key, answer)| match answer {
                Answer::Failed(evidence) => {
                    Some((format!("{}::{}::{} ({})", key.arch, key.suite, key.case, key.kernel), evidence.clone()))
                }
                Answer::Passed | Answer::Ignored(_) => None,
            })
            .collect();
        out.sort();
        out
    }

    fn work(&self) {
        // A panic in the engine must not leave trials waiting for ever.
        let done = catch_unwind(AssertUnwindSafe(|| self.engine.run(&self.wanted, &|event| self.hear(&event))));
        let mut state = self.lock();
        state.end = Some(match done {
            Ok(Ok(results)) => {
                for kernel in &results.kernels {
                    for cell in &kernel.cells {
                        let key = key(&kernel.arch, &kernel.kernel, cell);
                        let answer = self.judge(&key, cell);
                        state.answers.insert(key, answer);
                    }
                    if let Some(error) = &kernel.error {
                        let error = crate::report::clean::lines(error).join("\n");
                        // That a distribution has no such kernel is a fact about it, and nobody's failure.
                        let answer = if kernel.unavailable { Answer::Ignored(error) } else { Answer::Failed(error) };
                        state.over.insert((kernel.arch.clone(), kernel.kernel.clone()), answer);
                    }
                }
                "the run ended without a result for this case".to_owned()
            }
            Ok(Err(error)) => error,
            Err(_) => "the harness panicked; its message is on standard error".to_owned(),
        });
        self.changed.notify_all();
    }

    fn hear(&self, event: &Event) {
        if let Event::CellDone { arch, kernel, cell } = event {
            let key = key(arch, kernel, cell);
            let answer = self.judge(&key, cell);
            self.lock().answers.insert(key, answer);
            self.changed.notify_all();
        }
    }

    fn judge(&self, key: &Key, cell: &Cell) -> Answer {
        match &cell.standing {
            Standing::Right => Answer::Passed,
            Standing::NotApplicable { reason } => Answer::Ignored(crate::report::clean::line(reason)),
            Standing::KnownFailure { .. } => Answer::Ignored(evidence::headline(cell)),
            Standing::Wrong | Standing::UnexpectedPass { .. } => {
                Answer::Failed(evidence::evidence(&self.command, &key.arch, &key.kernel, cell).join("\n"))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(arch: &str, kernel: &str, cell: &Cell) -> Key {
    Key { arch: arch.into(), kernel: kernel.into(), suite: cell.suite.clone(), case: cell.case.clone() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::report::fixture;

    /// Tells the fixture's cells one by one, then ends as told.
    struct Fake {
        runs: AtomicUsize,
        end: fn(RunResults) -> Result<RunResults, String>,
    }

    impl Engine for Fake {
        fn run(&self, _: &[Key], events: &(dyn Fn(Event) + Send + Sync)) -> Result<RunResults, String> {
            self.runs.fetch_add(1, Ordering::SeqCst);
            let mut results = fixture::five();
            for kernel in &results.kernels {
                for cell in kernel.cells.iter().take(6) {
                    events(Event::CellDone {
                        arch: kernel.arch.clone(),
                        kernel: kernel.kernel.clone(),
                        cell: Box::new(cell.clone()),
                    });
                }
            }
            results.kernels.retain(|kernel| kernel.arch != "x86_64");
            (self.end)(results)
        }
    }

    fn worker(end: fn(RunResults) -> Result<RunResults, String>) -> (Arc<Worker>, Arc<Fake>) {
        let fake = Arc::new(Fake { runs: AtomicUsize::new(0), end });
        let results = fixture::five();
        let known = results.kernels.iter().flat_map(|kernel| {
            kernel.cells.iter().map(|cell| key(&kernel.arch, &kernel.kernel, cell)).collect::<Vec<_>>()
        });
        let known = known.filter(|key| key.case != "strings::strchr").collect();
        (Worker::new(fake.clone(), known, Vec::new(), vec!["--arch".into(), "riscv64".into()]), fake)
    }

    fn case(arch: &str, suite: &str, case: &str) -> Key {
        Key { arch: arch.into(), kernel: "stock:testing".into(), suite: suite.into(), case: case.into() }
    }

    #[test]
    fn many_trials_one_run() {
        let (worker, fake) = worker(Ok);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(worker.answer(&case("riscv64", "probe", "jit")), Answer::Passed));
            }
        });
        let Answer::Failed(text) = worker.answer(&case("riscv64", "stock", "strings::strchr")) else {
            panic!("it is wrong");
        };
        assert!(text.starts_with("observed[0] as s32: expected 1, got -1\n"), "{text}");
        assert!(text.contains("again: cargo kfunc run --arch riscv64 "), "{text}");
        let ignored = worker.answer(&case("arm32", "stock", "xdp::hash"));
        assert_eq!(ignored, Answer::Ignored("no BTF".into()));
        assert_eq!(fake.runs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failure_that_is_no_trial_is_not_lost() {
        // The wrong cell of the fixture is not among the known cases here.
        let (worker, _) = worker(Ok);
        assert_eq!(worker.finish(), [], "nothing was started");
        assert_eq!(worker.answer(&case("riscv64", "probe", "jit")), Answer::Passed);
        let names: Vec<String> = worker.finish().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["riscv64::stock::strings::strchr (stock:testing)"]);
    }

    #[test]
    fn no_image_fails_the_trials_of_that_kernel_only() {
        let (worker, _) = worker(Ok);
        let failed = worker.answer(&case("arm64", "stock", "strings::strchr"));
        assert_eq!(failed, Answer::Failed("no image: the mirror did not answer".into()));
        assert_eq!(worker.answer(&case("riscv64", "stock", "iter::num")), Answer::Passed);
    }

    #[test]
    fn a_kernel_that_nobody_has_is_ignored() {
        let (worker, _) = worker(|mut results| {
            results.kernels.iter_mut().for_each(|kernel| kernel.unavailable = kernel.error.is_some());
            Ok(results)
        });
        let ignored = worker.answer(&case("arm64", "stock", "strings::strchr"));
        assert_eq!(ignored, Answer::Ignored("no image: the mirror did not answer".into()));
    }

    #[test]
    fn nobody_waits_for_a_cell_that_never_comes() {
        let (worker, _) = worker(Ok);
        let failed = worker.answer(&case("riscv64", "stock", "no::such"));
        assert_eq!(failed, Answer::Failed("the run ended without a result for this case".into()));
    }

    #[test]
    fn an_error_and_a_panic_reach_every_trial() {
        let (missing, _) = worker(|_| Err("clang is not here; install it: …".into()));
        let failed = missing.answer(&case("x86_64", "stock", "xdp::hash"));
        assert_eq!(failed, Answer::Failed("clang is not here; install it: …".into()));
        // What was done before the end counts.
        assert_eq!(missing.answer(&case("x86_64", "probe", "jit")), Answer::Passed);
        let (panicking, _) = worker(|_| panic!("on purpose"));
        let Answer::Failed(text) = panicking.answer(&case("x86_64", "stock", "xdp::hash")) else { panic!("it failed") };
        assert!(text.starts_with("the harness panicked"), "{text}");
    }
}
