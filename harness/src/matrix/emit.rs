//! A balanced plan in the words of CI engines. Pure and deterministic.
//!
//! Each job is told its units by name, in the one form that `kfunc run --unit` reads: a shard that computed its units anew,
//! with another history, would not fit the others.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::durations::{Basis, Durations, Estimate};
use super::{balance, shard};
use crate::model::Unit;
use crate::plan::Plan;

/// Version of the JSON form.
pub const SCHEMA: u32 = 1;

/// A plan cut into shards, none of them empty.
#[derive(Debug, Clone, Serialize)]
pub struct Jobs {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// [`shard::digest`] of the plan.
    pub plan: String,
    /// In order.
    pub shards: Vec<Job>,
}

/// One shard.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// From 1.
    pub index: u32,
    /// How many there are.
    pub count: u32,
    /// Seconds it is thought to take.
    pub estimate_s: u64,
    /// In plan order.
    pub units: Vec<JobUnit>,
}

/// One (arch, kernel) of a shard.
#[derive(Debug, Clone, Serialize)]
pub struct JobUnit {
    /// As `--unit` takes it.
    pub name: String,
    /// Arch name.
    pub arch: String,
    /// The kernel as it was asked for.
    pub kernel: String,
    /// How many cases.
    pub cases: u32,
    /// Seconds it is thought to take.
    pub estimate_s: u64,
    /// Where the estimate comes from.
    pub estimate_from: Basis,
}

/// Cuts a plan into at most `wanted` shards, by default as many as shorten the night.
pub fn jobs(plan: &Plan, durations: &Durations, wanted: Option<u32>) -> Jobs {
    let estimates: Vec<Estimate> = plan.kernels.iter().map(|planned| durations.estimate(planned)).collect();
    let weights: Vec<u64> = estimates.iter().map(|estimate| estimate.ms).collect();
    let units = shard::units(plan);
    let most = u32::try_from(units.len()).unwrap_or(u32::MAX).clamp(1, shard::MOST);
    let count = wanted.unwrap_or_else(|| balance::useful(&weights)).clamp(1, most);
    let cut = balance::cut(&weights, count);
    let seconds = |ms: u64| ms.div_ceil(1000);
    let job = |index: u32| {
        let mine = || (0..units.len()).filter(|&unit| cut[unit] == index);
        let unit = |at: usize| {
            let Unit { arch, kernel, cases } = units[at].clone();
            JobUnit {
                name: units[at].name(),
                arch,
                kernel,
                cases,
                estimate_s: seconds(estimates[at].ms),
                estimate_from: estimates[at].from,
            }
        };
        Job { index, count, estimate_s: seconds(mine().map(|at| weights[at]).sum()), units: mine().map(unit).collect() }
    };
    Jobs { schema: SCHEMA, plan: shard::digest(plan), shards: (1..=count).map(job).collect() }
}

impl Job {
    /// Its units as one value of `--unit`.
    pub fn unit_list(&self) -> String {
        let names: Vec<&str> = self.units.iter().map(|unit| unit.name.as_str()).collect();
        names.join(",")
    }

    /// Arches, each once.
    fn arches(&self) -> Vec<&str> {
        let mut out: Vec<&str> = Vec::new();
        for unit in &self.units {
            if !out.contains(&unit.arch.as_str()) {
                out.push(&unit.arch);
            }
        }
        out
    }
}

/// Minutes after which a job is ended: thrice what it is thought to take, an hour for each kernel that may have to be
/// built, and what it takes to install QEMU; within the six hours that GitHub gives any job.
fn timeout_minutes(job: &Job) -> u64 {
    let built = job.units.iter().filter(|unit| !unit.kernel.starts_with("stock")).count();
    (20 + 3 * job.estimate_s.div_ceil(60) + 60 * u64::try_from(built).unwrap_or(0)).min(350)
}

/// One line of JSON: the value of `strategy.matrix` in a GitHub workflow, by way of `fromJSON`.
pub fn github(jobs: &Jobs) -> String {
    let entry = |job: &Job| {
        json!({
            "shard": format!("{}/{}", job.index, job.count),
            "index": job.index,
            "name": format!("{}/{} {}", job.index, job.count, job.arches().join(" ")),
            "units": job.unit_list(),
            "timeout": timeout_minutes(job),
        })
    };
    let value = json!({ "include": jobs.shards.iter().map(entry).collect::<Vec<Value>>() });
    format!("{value}\n")
}

/// The hidden job that a GitLab child pipeline's jobs extend: `ci/gitlab/shards.yml` has it.
pub const GITLAB_TEMPLATE: &str = ".kfunc-shard";

/// Jobs of a GitLab child pipeline. YAML, of the part that is JSON: the text is in no danger of being read otherwise.
///
/// # Errors
/// When the JSON cannot be written, which these types give no reason to.
pub fn gitlab(jobs: &Jobs) -> Result<String, serde_json::Error> {
    let entry = |job: &Job| {
        let value = json!({
            "extends": GITLAB_TEMPLATE,
            "timeout": format!("{} minutes", timeout_minutes(job)),
            "variables": {
                "KFUNC_SHARD": format!("{}/{}", job.index, job.count),
                "KFUNC_SHARD_INDEX": job.index.to_string(),
                "KFUNC_UNIT": job.unit_list(),
            },
        });
        (format!("shard {}/{}: {}", job.index, job.count, job.arches().join(" ")), value)
    };
    let all: BTreeMap<String, Value> = jobs.shards.iter().map(entry).collect();
    let text = serde_json::to_string_pretty(&all)?;
    Ok(format!("# Made by kfunc matrix; the jobs extend {GITLAB_TEMPLATE} of ci/gitlab/shards.yml.\n{text}\n"))
}

/// [`Jobs`], for other engines and for people.
///
/// # Errors
/// As [`gitlab`].
pub fn json(jobs: &Jobs) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(jobs)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::file::tests::{NIGHTLY, catalog, read};
    use crate::matrix::shard::{Part, cut};

    fn plan() -> Plan {
        read(NIGHTLY).unwrap().plan(&catalog(), crate::abi::Settings::default()).unwrap()
    }

    fn made(wanted: Option<u32>) -> Jobs {
        jobs(&plan(), &Durations::default(), wanted)
    }

    #[test]
    fn jobs_are_the_plan() {
        for count in 1..=8 {
            let jobs = made(Some(count));
            assert_eq!(jobs.shards.len(), count.min(6) as usize, "none is empty");
            let mut names: Vec<String> =
                jobs.shards.iter().flat_map(|job| job.units.iter().map(|unit| unit.name.clone())).collect();
            names.sort();
            let mut all: Vec<String> = shard::units(&plan()).iter().map(Unit::name).collect();
            all.sort();
            assert_eq!(names, all);
            // What a job is told is what the run makes of it, and the same as without a history.
            for job in &jobs.shards {
                let part = Part { index: job.index, count: job.count };
                let named: Vec<String> = job.unit_list().split(',').map(str::to_owned).collect();
                let told = cut(plan(), part, &named).unwrap();
                let alone = cut(plan(), part, &[]).unwrap();
                assert_eq!(shard::units(&told), shard::units(&alone));
                assert_eq!(told.shard.unwrap().plan, jobs.plan);
            }
        }
    }

    #[test]
    fn by_default_as_many_as_shorten_the_night() {
        // Two units have the abi suite and take most of the time.
        assert_eq!(made(None).shards.len(), 3, "{:?}", made(None));
    }

    #[test]
    fn github_takes_one_line_of_json() {
        let text = github(&made(Some(2)));
        assert_eq!(text.lines().count(), 1);
        let value: Value = serde_json::from_str(&text).unwrap();
        let include = value["include"].as_array().unwrap();
        assert_eq!(include.len(), 2);
        assert_eq!(include[0]["shard"], "1/2");
        assert_eq!(include[1]["index"], 2);
        assert!(include[0]["units"].as_str().unwrap().contains("@built:testing"), "{text}");
        assert!(include[0]["timeout"].as_u64().unwrap() > 80);
        assert_eq!(text, github(&made(Some(2))), "the same twice");
    }

    #[test]
    fn gitlab_takes_jobs() {
        let text = gitlab(&made(Some(2))).unwrap();
        let (comment, json) = text.split_once('\n').unwrap();
        assert!(comment.starts_with("# "));
        let value: BTreeMap<String, Value> = serde_json::from_str(json).unwrap();
        assert_eq!(value.len(), 2);
        let (name, job) = value.iter().next().unwrap();
        assert!(name.starts_with("shard 1/2: "), "{name}");
        assert_eq!(job["extends"], ".kfunc-shard");
        assert_eq!(job["variables"]["KFUNC_SHARD"], "1/2");
    }

    #[test]
    fn json_says_where_estimates_come_from() {
        let value: Value = serde_json::from_str(&json(&made(Some(3))).unwrap()).unwrap();
        assert_eq!(value["schema"], 1);
        assert_eq!(value["shards"][2]["units"][0]["estimate_from"], "default");
        assert_eq!(value["plan"].as_str().unwrap().len(), 64);
    }
}
