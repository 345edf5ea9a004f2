//! What a command can fail with.

use std::fmt;

/// A failed command.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong, or asks for what is not there.
    Usage(String),
    /// The library says no.
    Library(libcontainer::Error),
    /// Whoever read standard output has gone. Nothing to report, and nobody to report it to.
    OutputClosed,
}

/// What commands answer.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A wrong command line.
    pub fn usage(text: impl Into<String>) -> Error {
        Error::Usage(text.into())
    }

    /// A failed call of the standard library.
    pub fn io(operation: &'static str, path: impl AsRef<std::path::Path>, error: &std::io::Error) -> Error {
        Error::Library(libcontainer::Error::io(operation, error).path(path))
    }
}

impl From<libcontainer::Error> for Error {
    fn from(error: libcontainer::Error) -> Self {
        Error::Library(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(text) => f.write_str(text),
            Error::Library(error) => error.fmt(f),
            Error::OutputClosed => f.write_str("standard output is closed"),
        }
    }
}
