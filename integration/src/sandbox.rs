//! A test's own corner of the host: temporary directory, state root, ids and cgroups, all named after one token.
//!
//! Whatever a test makes carries the token in its name, so that leftovers are found and can be taken away without
//! touching anybody else's.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::{Bundle, Cmd, HostSnapshot, Layout, cgroups, processes};

/// The cgroup, in every hierarchy, that holds those of all tests.
pub const CGROUP_PARENT: &str = "gantry-test";

/// See the module's documentation. Cleans up when dropped.
pub struct Sandbox {
    token: String,
    dir: PathBuf,
    layout: Layout,
    bundles: Cell<u32>,
    /// Whether this process made it: only the maker takes it away.
    owned: bool,
}

impl Sandbox {
    /// Makes the sandbox called `name`.
    pub fn new(name: &str, layout: Layout) -> Sandbox {
        let sandbox = Sandbox::attach(format!("{}-{}", name.replace("::", "-"), std::process::id()), layout, true);
        fs::create_dir(&sandbox.dir).expect("the sandbox's directory can be made");
        fs::DirBuilder::new().mode(0o700).create(sandbox.root()).expect("the state root can be made");
        sandbox
    }

    /// The sandbox that another process has made under this token.
    pub(crate) fn borrowed(token: String, layout: Layout) -> Sandbox {
        Sandbox::attach(token, layout, false)
    }

    fn attach(token: String, layout: Layout, owned: bool) -> Sandbox {
        let dir = std::env::temp_dir().join(format!("gantry-test-{token}"));
        Sandbox { token, dir, layout, bundles: Cell::new(0), owned }
    }

    /// What all of the sandbox's names contain.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Its temporary directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The state root that its commands use.
    pub fn root(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The cgroup tree that its commands see.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// A container id of the sandbox's own.
    pub fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.token)
    }

    /// `linux.cgroupsPath` for a container of this id.
    pub fn cgroups_path(&self, id: &str) -> String {
        format!("/{CGROUP_PARENT}/{}/{id}", self.token)
    }

    /// A new busybox bundle.
    pub fn bundle(&self) -> Bundle {
        self.bundles.set(self.bundles.get() + 1);
        Bundle::busybox(self.dir.join(format!("bundle-{}", self.bundles.get())), &self.cgroups_path("default"))
    }

    /// `gantry --root ROOT ARGUMENTS`, not yet started.
    pub fn gantry<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Cmd {
        self.program(gantry()).arg("--root").arg(self.root()).args(arguments)
    }

    /// Any program, its output kept below the sandbox's directory.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Cmd {
        Cmd::new(program, &self.dir)
    }

    /// The status that `state` reports.
    pub fn status(&self, id: &str) -> String {
        let state = self.gantry(["state", id]).run().json();
        state["status"].as_str().expect("state has a status").to_owned()
    }

    /// The host as it is now, as far as this sandbox is concerned.
    pub fn snapshot(&self) -> HostSnapshot {
        HostSnapshot::take(self)
    }

    /// Ends what is left of the sandbox's containers: thaws, kills, takes cgroups away. Says what there was.
    pub fn clean_up(&self) -> Vec<String> {
        let mut found = Vec::new();
        for _ in 0..50 {
            let left = processes::marked(&self.token);
            for cgroup in cgroups::below_token(&self.token) {
                cgroups::thaw(&cgroup);
            }
            if left.is_empty() {
                break;
            }
            for process in left {
                processes::kill(process.pid);
                found.push(process.to_string());
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        cgroups::remove(&self.token);
        found.sort();
        found.dedup();
        found
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.owned {
            self.clean_up();
            if let Err(error) = fs::remove_dir_all(&self.dir) {
                crate::print_uncaptured(&format!("{}: left behind: {error}\n", self.dir.display()));
            }
        }
    }
}

/// The binary under test: `$GANTRY`, or the one built next to the test.
///
/// # Panics
/// If it has not been built.
pub fn gantry() -> PathBuf {
    let path = std::env::var_os("GANTRY").map_or_else(|| beside_test("gantry"), PathBuf::from);
    assert!(path.exists(), "{} is not there: cargo build -p gantry, or make test", path.display());
    path
}

/// A binary of this profile: tests lie in target/PROFILE/deps, binaries above.
fn beside_test(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("/proc/self/exe can be read");
    let dir = test.parent().expect("a file has a directory");
    let dir = if dir.ends_with("deps") { dir.parent().expect("deps has a parent") } else { dir };
    dir.join(name)
}
