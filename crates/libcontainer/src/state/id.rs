//! Which names a container may bear.

use crate::{Error, ErrorKind, Result};

/// The longest id, in bytes. A file system's own limit (mostly 255) may be lower.
const LONGEST: usize = 1024;

/// Holds an id against runc's rule `^[\w+-\.]+$`: ASCII letters, digits and `_ + , - .`, but neither `.` nor `..`.
///
/// The id names a directory and mostly a cgroup, so nothing that could lead elsewhere gets through (R8).
pub(crate) fn check(id: &str) -> Result<()> {
    let problem = if id.is_empty() {
        "it is empty".to_owned()
    } else if id.len() > LONGEST {
        format!("it is longer than {LONGEST} bytes")
    } else if id == "." || id == ".." {
        "it names a directory".to_owned()
    } else if let Some(c) = id.chars().find(|c| !(c.is_ascii_alphanumeric() || "_+,-.".contains(*c))) {
        format!("{c:?} is not a letter, a digit or one of _ + , - .")
    } else {
        return Ok(());
    };
    // A long id says nothing in full that its beginning does not say.
    let shown: String = id.chars().take(64).collect();
    Err(Error::new(ErrorKind::InvalidId, format!("invalid container ID {shown:?}")).detail(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runcs_ids_are_accepted() {
        for id in ["a", "A-1", "_", "a.b", "..a", "...", "x+y", "a,b", "-", &"i".repeat(1024)] {
            assert!(check(id).is_ok(), "{id}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for id in ["", ".", "..", "a/b", "/", "../x", "a b", "a\n", "a\0", "ä", "a:b", "a@b", &"i".repeat(1025)] {
            let error = check(id).expect_err(id);
            assert_eq!(error.kind(), ErrorKind::InvalidId);
            assert!(error.to_string().starts_with("invalid container ID \""), "{error}");
        }
    }
}
