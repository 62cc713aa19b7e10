//! Why a command ended badly: one message for people, one code for scripts.

use super::exit;

/// A message and the exit code that goes with it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Something needed is not here.
    #[error("{0}")]
    Missing(String),
    /// No image, no guest, a file that could not be read or written.
    #[error("{0}")]
    Infrastructure(String),
    /// Whoever read our output went away: no error of ours.
    #[error("the reader of standard output went away")]
    BrokenPipe,
}

impl Error {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Missing(_) => exit::MISSING,
            Self::Infrastructure(_) => exit::INFRASTRUCTURE,
            Self::BrokenPipe => exit::OK,
        }
    }
}

impl From<crate::bundle::Error> for Error {
    fn from(error: crate::bundle::Error) -> Self {
        match error {
            crate::bundle::Error::Io { .. } | crate::bundle::Error::Pack { .. } => {
                Self::Infrastructure(error.to_string())
            }
            other => Self::Usage(other.to_string()),
        }
    }
}

impl From<crate::results::Error> for Error {
    fn from(error: crate::results::Error) -> Self {
        Self::Infrastructure(error.to_string())
    }
}
