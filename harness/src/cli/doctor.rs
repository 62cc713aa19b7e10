//! `kfunc doctor`.

use images::{Store, StoreOptions};

use super::args::DoctorArgs;
use super::error::Error;
use super::{engine, exit, out};
use crate::doctor::{Distro, Level, Mirror, Probe, Subject, checks, host::Host};
use crate::report::near;

/// Checks this machine; gives the exit code.
pub fn doctor(args: &DoctorArgs) -> Result<u8, Error> {
    let known = engine::arches(&args.arch_file)?;
    let wanted: Vec<&String> = args.arch.iter().filter(|arch| !arch.is_empty()).collect();
    for arch in &wanted {
        if !known.iter().any(|(name, _)| name == *arch) {
            let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
            let near = near::did_you_mean(arch, names.iter().copied());
            return Err(Error::Usage(format!("unknown arch `{arch}`; known are {}{near}", names.join(", "))));
        }
    }
    let arches = known.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(&name)).collect();
    let options = StoreOptions {
        cache_dir: args.cache_dir.clone().filter(|dir| !dir.as_os_str().is_empty()),
        mirror: args.mirror.clone().filter(|mirror| !mirror.is_empty()),
        offline: args.offline,
        refresh: true,
        ..StoreOptions::default()
    };
    let store = Store::open(options);
    let cache_dir = store.as_ref().ok().map(|store| store.cache_dir().to_owned());
    let mirror = || match &store {
        _ if args.offline => Mirror::NotAsked,
        Err(error) => Mirror::Unknown(error.to_string()),
        Ok(store) => match store.mirror() {
            Err(error) => Mirror::Unknown(error.to_string()),
            Ok(url) => match store.check_mirror("testing", &|_| {}) {
                Ok(_) => Mirror::Answers(url.to_string()),
                Err(error) => Mirror::Silent { url: url.to_string(), why: error.to_string() },
            },
        },
    };
    let host = Host { mirror: &mirror };
    let findings = checks::examine(&Subject { arches, cache_dir }, &host);
    out::stdout(&checks::render(&findings, &Distro::read(&host.os_release())))?;
    Ok(if findings.iter().any(|finding| finding.level == Level::Missing) { exit::MISSING } else { exit::OK })
}
