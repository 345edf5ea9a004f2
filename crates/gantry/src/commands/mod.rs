//! What each command does: asks the library, and prints the answer.

pub mod create;
pub mod explain;
pub mod features;
pub mod lifecycle;
pub mod list;
pub mod spec;
pub mod text;

use std::path::{Path, PathBuf};

use libcontainer::config::Bundle;
use libcontainer::container::Runtime;
use nix::unistd::geteuid;

use crate::cli::parse::Parsed;
use crate::cli::table;
use crate::error::{Error, Result};
use crate::report::Report;

/// What every command gets besides its own flags.
pub struct Context<'a> {
    /// The global flags.
    pub global: &'a Parsed,
    /// Where warnings go.
    pub report: &'a mut Report,
}

impl Context<'_> {
    /// The runtime whose root directory the command line, or the environment, names.
    pub fn runtime(&self) -> Result<Runtime> {
        let root = match self.global.path(&table::ROOT) {
            Some(root) => root,
            None => default_root()?,
        };
        Ok(Runtime::new(std::path::absolute(&root).map_err(|e| Error::io("find the root directory", root, &e))?))
    }

    /// Keeps warnings for the command's end.
    pub fn warn(&mut self, warnings: Vec<String>) {
        warnings.into_iter().for_each(|warning| self.report.warn(warning));
    }
}

/// The bundle that --bundle and --config name.
fn bundle(parsed: &Parsed) -> Result<Bundle> {
    let path = parsed.path(&table::BUNDLE);
    let config = parsed.path(&table::CONFIG);
    Ok(Bundle::load(path.as_deref().unwrap_or(Path::new(".")), config.as_deref())?)
}

fn default_root() -> Result<PathBuf> {
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match runtime_dir {
        Some(dir) if !geteuid().is_root() || is_rootless_root() => Ok(PathBuf::from(dir).join("gantry")),
        None if !geteuid().is_root() => Err(Error::usage("--root must be given where XDG_RUNTIME_DIR is not set")),
        _ => Ok(PathBuf::from("/run/gantry")),
    }
}

/// True for the root of a user namespace that is another user outside, as rootless Podman runs us. As in runc, $USER
/// tells this from the root of, say, an LXC container.
fn is_rootless_root() -> bool {
    if std::env::var_os("USER").is_none_or(|user| user == "root") {
        return false;
    }
    // Without the file there are no user namespaces.
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.is_empty() && !is_identity(&map)
}

/// True for the map of the initial user namespace (user_namespaces(7)).
fn is_identity(map: &str) -> bool {
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::is_identity;

    #[test]
    fn only_the_initial_map_is_the_identity() {
        assert!(is_identity("         0          0 4294967295\n"));
        assert!(!is_identity("         0       1000          1\n         1     100000      65536\n"));
        assert!(!is_identity("         0     100000      65536\n"));
    }
}
