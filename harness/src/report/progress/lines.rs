//! Plain lines: what a log file or a CI page shows. No control sequences, times relative to the start.

use std::collections::HashMap;
use std::time::Duration;

use super::state::{State, ending, image_line};
use crate::event::{Event, ImageStage};
use crate::report::{clean, evidence};

/// Turns events into lines. Progress within a download is not told, only its start.
#[derive(Debug, Default)]
pub struct Lines {
    states: HashMap<(String, String), State>,
    told: HashMap<(String, String), (ImageStage, String)>,
}

impl Lines {
    /// Lines for one event, `at` after the start.
    pub fn event(&mut self, event: &Event, at: Duration) -> Vec<String> {
        let stamp = |text: &str| vec![format!("[{:7.1}s] {}", at.as_secs_f64(), clean::line(text))];
        match event {
            Event::PlanReady { kernels } => {
                for one in kernels {
                    self.states.insert((one.arch.clone(), one.kernel.clone()), State::new(one.cases));
                }
                let cases: usize = kernels.iter().map(|one| one.cases).sum();
                let plural = |n: usize| if n == 1 { "" } else { "s" };
                stamp(&format!("{cases} case{} on {} kernel{}", plural(cases), kernels.len(), plural(kernels.len())))
            }
            Event::Image { arch, kernel, stage, what, done, total } => {
                let key = (arch.clone(), kernel.clone());
                let now = match (stage, total) {
                    // A build takes minutes: every tenth is told.
                    (ImageStage::Build, Some(total)) => (*stage, format!("{what} {}", done * 10 / (*total).max(1))),
                    _ => (*stage, what.clone()),
                };
                if self.told.get(&key) == Some(&now) {
                    return Vec::new();
                }
                self.told.insert(key, now);
                let text = match (stage, total) {
                    (ImageStage::Download, Some(total)) => {
                        format!("downloading {what}: {}", super::state::bytes(*total))
                    }
                    (ImageStage::Download, None) => format!("downloading {what}"),
                    _ => image_line(*stage, what, *done, *total),
                };
                stamp(&format!("{arch} {kernel}: {text}"))
            }
            Event::Booting { arch, kernel, .. } => stamp(&format!("{arch} {kernel}: booting")),
            Event::Booted { arch, kernel, release, ms } => {
                stamp(&format!("{arch} {kernel}: {release} is up after {}.{} s", ms / 1000, ms % 1000 / 100))
            }
            // A second's work: a live display shows it, a log need not.
            Event::Programs { .. } => Vec::new(),
            Event::CellDone { arch, kernel, cell } => {
                self.state(arch, kernel).cell(cell);
                if cell.standing.fails() {
                    stamp(&format!("{arch} {kernel}: WRONG {}: {}", cell.name(), evidence::headline(cell)))
                } else {
                    Vec::new()
                }
            }
            Event::GuestLost { arch, kernel, how } => stamp(&format!("{arch} {kernel}: guest lost: {how}")),
            Event::KernelDone { arch, kernel, verdict, reason, error } => {
                let counts = self.state(arch, kernel).counts();
                stamp(&format!("{arch} {kernel}: {counts}: {}", ending(*verdict, reason, error.as_deref())))
            }
            Event::Note { text } => stamp(text),
            Event::Warning { text } => stamp(&format!("warning: {text}")),
        }
    }

    fn state(&mut self, arch: &str, kernel: &str) -> &mut State {
        self.states.entry((arch.to_owned(), kernel.to_owned())).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Planned;
    use crate::model::Verdict;
    use crate::report::fixture;

    fn feed(events: &[Event]) -> String {
        let mut lines = Lines::default();
        let told = events.iter().enumerate();
        told.flat_map(|(n, event)| lines.event(event, Duration::from_millis(n as u64 * 500)))
            .map(|line| line + "\n")
            .collect()
    }

    fn download(done: u64) -> Event {
        Event::Image {
            arch: "riscv64".into(),
            kernel: "stock:testing".into(),
            stage: ImageStage::Download,
            what: "linux-image".into(),
            done,
            total: Some(93_400_000),
        }
    }

    #[test]
    fn a_run_in_plain_lines() {
        let (arch, kernel) = (|| "riscv64".to_owned(), || "stock:testing".to_owned());
        let expected = "\
[    0.0s] 2 cases on 1 kernel
[    0.5s] riscv64 stock:testing: downloading linux-image: 93.4 MB
[    1.5s] riscv64 stock:testing: booting
[    2.0s] riscv64 stock:testing: 7.2.12+deb14-riscv64 is up after 3.2 s
[    3.0s] riscv64 stock:testing: WRONG stock::strings::strchr: observed[0] as s32: expected 1, got -1
[    3.5s] riscv64 stock:testing: guest lost: panic
[    4.0s] warning: the mirror does not answer, using the cache
[    4.5s] riscv64 stock:testing: 2/2 cases, 1 wrong: broken: 1 call is wrong
";
        let got = feed(&[
            Event::PlanReady { kernels: vec![Planned { arch: arch(), kernel: kernel(), cases: 2 }] },
            download(0),
            download(40_000_000),
            Event::Booting { arch: arch(), kernel: kernel(), command: "qemu".into() },
            Event::Booted { arch: arch(), kernel: kernel(), release: "7.2.12+deb14-riscv64".into(), ms: 3_210 },
            Event::CellDone { arch: arch(), kernel: kernel(), cell: Box::new(fixture::cell("stock", "a")) },
            Event::CellDone { arch: arch(), kernel: kernel(), cell: Box::new(fixture::wrong()) },
            Event::GuestLost { arch: arch(), kernel: kernel(), how: "panic".into() },
            Event::Warning { text: "the mirror does not answer, using the cache".into() },
            Event::KernelDone {
                arch: arch(),
                kernel: kernel(),
                verdict: Verdict::Broken,
                reason: "1 call is wrong".into(),
                error: None,
            },
        ]);
        assert_eq!(got, expected, "\n{got}");
    }

    #[test]
    fn no_control_sequence_comes_through() {
        let got =
            feed(&[Event::GuestLost { arch: "a".into(), kernel: "k".into(), how: "\u{1b}[2J\u{7}x\nnew".into() }]);
        assert_eq!(got, "[    0.0s] a k: guest lost: x new\n");
    }
}
