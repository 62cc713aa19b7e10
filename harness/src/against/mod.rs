//! Measured against what a kernel source tree says of itself: does `bpf_jit_supports_x()` return what the kernel does?
//!
//! [`source`] reads C, [`tree`] finds the files of an arch, and [`compare`] holds a capability table against them. Only a
//! constant can agree or disagree; an expression is shown as it is written.

pub mod source;
pub mod tree;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::arch::{Arch, Release};
use crate::capability::Capability;
use crate::report::capabilities::{Kernel, Table};
use source::Says;
use tree::{Claim, Tree};

/// How one measured cell stands to the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Standing {
    /// Both say the same.
    Agrees,
    /// They do not.
    Disagrees,
    /// The source has an expression.
    Depends {
        /// As it is written.
        expression: String,
    },
    /// Nothing was measured.
    NotMeasured,
    /// The source says nothing.
    NotInSource {
        /// Why.
        why: String,
    },
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// What the table has.
    pub value: String,
    /// `yes` or `no` where the source has a constant.
    pub source: Option<&'static str>,
    /// Where it stands: `arch/arm64/net/bpf_jit_comp.c:2333`.
    pub at: Option<String>,
    /// How they go together.
    #[serde(flatten)]
    pub standing: Standing,
}

/// One capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its name.
    pub name: &'static str,
    /// The function.
    pub hook: &'static str,
    /// In the order of the kernels.
    pub cells: Vec<Compared>,
}

/// The whole comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Release of the source.
    pub source: String,
    /// Columns.
    pub kernels: Vec<Kernel>,
    /// Kernels of another release than the source: `x86_64 6.12.117+deb13-amd64`.
    pub other_release: Vec<String>,
    /// Rows.
    pub capabilities: Vec<Line>,
    /// Functions of the source that no probe asks for, with the place of their default.
    pub not_probed: Vec<String>,
}

impl Comparison {
    /// Cells of which both say something definite, and those of them that disagree.
    pub fn counts(&self) -> (usize, usize) {
        let count = |standing: &Standing| self.cells().filter(|cell| cell.standing == *standing).count();
        let disagree = count(&Standing::Disagrees);
        (count(&Standing::Agrees) + disagree, disagree)
    }

    fn cells(&self) -> impl Iterator<Item = &Compared> {
        self.capabilities.iter().flat_map(|line| &line.cells)
    }

    /// Each disagreement in a line.
    pub fn disagreements(&self) -> Vec<String> {
        let mut out = Vec::new();
        for line in &self.capabilities {
            for (kernel, cell) in self.kernels.iter().zip(&line.cells) {
                if cell.standing == Standing::Disagrees {
                    out.push(format!(
                        "{}: {} {}: measured {} (probe::{}), but {}() says {}",
                        cell.at.as_deref().unwrap_or_default(),
                        kernel.arch,
                        kernel.kernel,
                        cell.value,
                        line.name,
                        line.hook,
                        cell.source.unwrap_or_default(),
                    ));
                }
            }
        }
        out
    }
}

/// Holds a table against a tree.
pub fn compare(table: &Table, tree: &Tree, arches: &[Arch]) -> Comparison {
    let claims: Vec<Result<BTreeMap<String, Claim>, String>> = table
        .kernels
        .iter()
        .map(|kernel| match arches.iter().find(|arch| arch.name == kernel.arch) {
            Some(arch) => tree.claims(arch),
            None => Err(format!("no arch file describes {}: --arch-file", kernel.arch)),
        })
        .collect();
    let line = |capability: Capability| {
        let hook = capability.hook()?;
        let measured = table.capabilities.iter().find(|line| line.name == capability.name())?;
        let cells = measured.cells.iter().zip(&claims).map(|(value, claims)| {
            let claim = claims.as_ref().map(|claims| claims.get(hook));
            cell(&value.value, value.measured(), claim.map_err(String::as_str), hook)
        });
        Some(Line { name: capability.name(), hook, cells: cells.collect() })
    };
    let other = |kernel: &&Kernel| kernel.kernel.parse::<Release>().is_ok_and(|release| release != tree.release);
    let probed = |hook: &str| Capability::ALL.iter().any(|capability| capability.hook() == Some(hook));
    Comparison {
        source: tree.version.clone(),
        kernels: table.kernels.clone(),
        other_release: table.kernels.iter().filter(other).map(|k| format!("{} {}", k.arch, k.kernel)).collect(),
        capabilities: Capability::ALL.into_iter().filter_map(line).collect(),
        not_probed: tree
            .hooks()
            .filter(|(name, _)| !probed(name))
            .map(|(name, claim)| format!("{name} ({}:{})", claim.file, claim.line))
            .collect(),
    }
}

fn cell(value: &str, measured: Option<bool>, claim: Result<Option<&Claim>, &str>, hook: &str) -> Compared {
    let at = claim.ok().flatten().map(|claim| format!("{}:{}", claim.file, claim.line));
    let word = |yes| if yes { "yes" } else { "no" };
    let (source, standing) = match claim {
        Err(why) => (None, Standing::NotInSource { why: why.into() }),
        Ok(None) => (None, Standing::NotInSource { why: format!("this source has no {hook}()") }),
        Ok(Some(claim)) => {
            let source = match &claim.says {
                Says::Yes => Some(true),
                Says::No => Some(false),
                Says::Depends(_) => None,
            };
            let standing = match (&claim.says, source, measured) {
                (_, _, None) => Standing::NotMeasured,
                (Says::Depends(expression), ..) => Standing::Depends { expression: expression.clone() },
                (_, source, measured) if source == measured => Standing::Agrees,
                _ => Standing::Disagrees,
            };
            (source.map(word), standing)
        }
    };
    Compared { value: value.into(), source, at, standing }
}

#[cfg(test)]
mod tests;
