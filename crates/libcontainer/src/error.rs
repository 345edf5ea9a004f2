//! The library's one error type. Its text is made here and nowhere else.
//!
//! An error line reads from the outside in: which config field, what was being done, to which path, and what the
//! kernel said in lower case, with a hint where one helps:
//!
//! ```text
//! mounts[3] (/etc/hosts): attach bind of "/x/hosts": permission denied
//! ```

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// What sort of failure it was, for callers that decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The config contradicts the runtime spec or itself.
    InvalidConfig,
    /// The config or the command asks for something that this runtime or this kernel does not have.
    Unsupported,
    /// The container id is not one.
    InvalidId,
    /// A container of that id is there already.
    AlreadyExists,
    /// There is no container of that id.
    NotFound,
    /// The container's status does not allow the operation.
    WrongStatus,
    /// The program to execute is not there or cannot be executed.
    Program,
    /// A hook failed.
    Hook,
    /// The caller asked to stop.
    Interrupted,
    /// A system call failed.
    System,
}

/// A failure, with what an operator needs to mend it.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct Error(Box<Parts>);

/// Boxed, so that results stay small on the way up.
#[derive(Debug)]
struct Parts {
    kind: ErrorKind,
    field: Option<String>,
    label: Option<String>,
    operation: Cow<'static, str>,
    path: Option<PathBuf>,
    errno: Option<Errno>,
    detail: Option<String>,
    hint: Option<Cow<'static, str>>,
    warnings: Vec<String>,
}

/// What the library's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind; `operation` says what was being done, or what is wrong.
    pub fn new(kind: ErrorKind, operation: impl Into<Cow<'static, str>>) -> Self {
        Error(Box::new(Parts {
            kind,
            field: None,
            label: None,
            operation: operation.into(),
            path: None,
            errno: None,
            detail: None,
            hint: None,
            warnings: Vec::new(),
        }))
    }

    /// A config field that is wrong: `process.cwd: must be an absolute path`.
    pub fn invalid(field: impl Into<String>, problem: impl Into<Cow<'static, str>>) -> Self {
        Error::new(ErrorKind::InvalidConfig, problem).field(field)
    }

    /// A config field that asks for what is not there.
    pub fn unsupported(field: impl Into<String>, problem: impl Into<Cow<'static, str>>) -> Self {
        Error::new(ErrorKind::Unsupported, problem).field(field)
    }

    /// A failed system call: `system("open", errno)`.
    pub fn system(operation: impl Into<Cow<'static, str>>, errno: Errno) -> Self {
        Error::new(ErrorKind::System, operation).errno(errno)
    }

    /// A failed call of the standard library.
    pub fn io(operation: impl Into<Cow<'static, str>>, error: &std::io::Error) -> Self {
        let this = Error::new(ErrorKind::System, operation);
        match error.raw_os_error() {
            Some(code) => this.errno(Errno::from_raw(code)),
            None => this.detail(error.to_string()),
        }
    }

    /// Adds the JSON path of the config field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Adds what tells this element from its neighbours: a mount's destination, a device's path.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.0.label = Some(label.into());
        self
    }

    /// Adds the path that the operation was about.
    #[must_use]
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.0.path = Some(path.as_ref().to_owned());
        self
    }

    /// Adds the kernel's answer.
    #[must_use]
    pub fn errno(mut self, errno: Errno) -> Self {
        self.0.errno = Some(errno);
        self
    }

    /// Adds what else is known about the cause.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds what went wrong afterwards, in cleaning up.
    #[must_use]
    pub(crate) fn and_then(mut self, second: impl std::fmt::Display) -> Self {
        let words = format!("and then: {second}");
        self.0.hint = Some(match self.0.hint.take() {
            Some(hint) => format!("{hint}; {words}").into(),
            None => words.into(),
        });
        self
    }

    /// Adds the warnings that the operation would have answered, had it succeeded. They are not in the error's text.
    #[must_use]
    pub fn warnings(mut self, warnings: Vec<String>) -> Self {
        self.0.warnings.extend(warnings);
        self
    }

    /// What was left out, or went wrong, before the operation failed.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0.warnings)
    }

    /// What sort of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The JSON path of the config field to blame, as in `mounts[3]`.
    pub fn json_path(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// What was being done.
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// The path that it was done to.
    pub fn subject(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The kernel's answer, as an errno(3).
    pub fn raw_errno(&self) -> Option<i32> {
        self.0.errno.map(|e| e as i32)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(field) = &self.0.field {
            text.push_str(field);
            if let Some(label) = &self.0.label {
                let _ = write!(text, " ({label})");
            }
            text.push_str(": ");
        }
        text.push_str(&self.0.operation);
        if let Some(path) = &self.0.path {
            let _ = write!(text, " {path:?}");
        }
        if let Some(errno) = self.0.errno {
            let _ = write!(text, ": {}", errno_text(errno));
        }
        if let Some(detail) = &self.0.detail {
            let _ = write!(text, ": {detail}");
        }
        if let Some(hint) = &self.0.hint {
            let _ = write!(text, " ({hint})");
        }
        text
    }
}

/// errno(3) in the lower-case words that engines match on: `no such file or directory`.
pub fn errno_text(errno: Errno) -> String {
    if errno == Errno::UnknownErrno {
        return "unknown error".to_owned();
    }
    let text = errno.desc();
    let mut chars = text.chars();
    match chars.next() {
        // "I/O error" keeps its capital: the second letter is not a small one.
        Some(first) if chars.clone().next().is_some_and(|c| c.is_ascii_lowercase()) => {
            first.to_ascii_lowercase().to_string() + chars.as_str()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_field_operation_path_and_errno() {
        let error =
            Error::system("attach bind of", Errno::EACCES).path("/x/hosts").field("mounts[3]").label("/etc/hosts");
        assert_eq!(error.to_string(), r#"mounts[3] (/etc/hosts): attach bind of "/x/hosts": permission denied"#);
    }

    #[test]
    fn errno_texts_are_those_that_engines_match() {
        for (errno, text) in [
            (Errno::EACCES, "permission denied"),
            (Errno::EPERM, "operation not permitted"),
            (Errno::ENOENT, "no such file or directory"),
            (Errno::ENOTDIR, "not a directory"),
            (Errno::EISDIR, "is a directory"),
            (Errno::ESRCH, "no such process"),
        ] {
            assert_eq!(errno_text(errno), text);
        }
    }
}
