//! Fetching over HTTP: small files into memory, large ones into a file that is checked against size and SHA-256.
//!
//! A stalled or refused connection is an error within [`STALL`]; a broken transfer is resumed once.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::apt::Settings;
use crate::hex::hex;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest silence of a server.
const STALL: Duration = Duration::from_secs(20);
/// Transfers per file: the first and one more.
const TRIES: u32 = 2;

/// Why a file did not come.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server says it does not exist.
    NotFound,
    /// The connection or transfer failed.
    Broken(String),
    /// It came and is not what was expected.
    Altered { expected: String, got: String },
    /// It came and could not be written.
    Write(std::io::Error),
}

impl Failure {
    /// In words.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::NotFound => "it does not exist".to_owned(),
            Self::Broken(reason) => reason.clone(),
            Self::Altered { expected, got } => format!("expected {expected}, got {got}"),
            Self::Write(error) => error.to_string(),
        }
    }
}

/// What a file must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expect<'a> {
    pub(crate) size: u64,
    /// Lower-case hexadecimal.
    pub(crate) sha256: &'a str,
}

/// A client for one mirror.
#[derive(Debug)]
pub(crate) struct Http {
    agent: ureq::Agent,
}

impl Http {
    /// `url` is any address on the mirror: apt may have a proxy for that host, else `http_proxy` and its like count.
    pub(crate) fn new(settings: &Settings, url: &str) -> Result<Self, String> {
        let mut config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_resolve(Some(CONNECT))
            .timeout_recv_response(Some(STALL))
            .timeout_per_read(Some(STALL))
            .http_status_as_error(false)
            .user_agent(concat!("kfunc-conformance/", env!("CARGO_PKG_VERSION")));
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        match settings.proxy(scheme, host) {
            Some("DIRECT") => config = config.proxy(None),
            Some(proxy) => {
                let proxy =
                    ureq::Proxy::new(proxy).map_err(|e| format!("apt's proxy '{proxy}' cannot be used: {e}"))?;
                config = config.proxy(Some(proxy));
            }
            None => {} // ureq reads the environment
        }
        Ok(Self { agent: config.build().new_agent() })
    }

    fn get(&self, url: &str, from: u64) -> Result<ureq::http::Response<ureq::Body>, Failure> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        let response = request.call().map_err(|e| Failure::Broken(e.to_string()))?;
        match response.status().as_u16() {
            200 | 206 => Ok(response),
            404 | 410 => Err(Failure::NotFound),
            status => Err(Failure::Broken(format!("the server answered with status {status}"))),
        }
    }

    /// A small file, at most `limit` bytes.
    pub(crate) fn small(&self, url: &str, limit: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let body = self.get(url, 0)?.into_body().into_reader();
        body.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Failure::Broken(e.to_string()))?;
        if bytes.len() as u64 > limit {
            return Err(Failure::Broken(format!("it is larger than {limit} bytes")));
        }
        Ok(bytes)
    }

    /// A large file into `out`, which is emptied first. On success `out` is rewound and holds exactly what was expected.
    pub(crate) fn file(
        &self,
        url: &str,
        out: &mut File,
        expect: Expect,
        mut at: impl FnMut(u64),
    ) -> Result<(), Failure> {
        let mut have = 0;
        let mut hash = Sha256::new();
        let mut tried = 0;
        loop {
            tried += 1;
            match self.transfer(url, out, expect.size, &mut have, &mut hash, &mut at) {
                Ok(()) => break,
                Err(Failure::Broken(_)) if tried < TRIES => {}
                Err(failure) => return Err(failure),
            }
        }
        let got = hex(&hash.finalize());
        if got != expect.sha256 {
            return Err(Failure::Altered { expected: format!("SHA-256 {}", expect.sha256), got });
        }
        out.seek(SeekFrom::Start(0)).map_err(Failure::Write)?;
        Ok(())
    }

    fn transfer(
        &self,
        url: &str,
        out: &mut File,
        size: u64,
        have: &mut u64,
        hash: &mut Sha256,
        at: &mut impl FnMut(u64),
    ) -> Result<(), Failure> {
        let response = self.get(url, *have)?;
        let resumed = response.status().as_u16() == 206
            && response
                .headers()
                .get("content-range")
                .and_then(|v| v.to_str().ok())
                .is_some_and(|v| v.starts_with(&format!("bytes {have}-")));
        if !resumed {
            *have = 0;
            *hash = Sha256::new();
        }
        let length =
            response.headers().get("content-length").and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
        // Known before a byte was stored: a mirror in the middle of an update, or not the file at all.
        if let Some(length) = length.filter(|length| *have + length != size) {
            return Err(Failure::Altered {
                expected: format!("{size} bytes"),
                got: format!("{} bytes", *have + length),
            });
        }
        out.seek(SeekFrom::Start(*have)).map_err(Failure::Write)?;
        out.set_len(*have).map_err(Failure::Write)?;
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) if *have == size => return Ok(()),
                Ok(0) => return Err(Failure::Broken(format!("the transfer ended after {have} of {size} bytes"))),
                Ok(n) => n,
                Err(error) => return Err(Failure::Broken(format!("after {have} of {size} bytes: {error}"))),
            };
            *have += n as u64;
            if *have > size {
                return Err(Failure::Altered { expected: format!("{size} bytes"), got: "more".to_owned() });
            }
            hash.update(&buffer[..n]);
            out.write_all(&buffer[..n]).map_err(Failure::Write)?;
            at(*have);
        }
    }
}
