//! Bundles: a root file system of busybox and a config that every runtime accepts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

/// What `runc spec` writes, without a terminal, with a cgroup namespace, for /bin/true.
/// ociVersion is 1.0.2 because Debian 12's crun refuses later ones.
const CONFIG: &str = include_str!("config.json");

/// A bundle's directory. It lies in a sandbox and goes with it.
#[derive(Clone)]
pub struct Bundle {
    dir: PathBuf,
}

impl Bundle {
    /// Makes a bundle in `dir`, which must not be there yet.
    pub fn busybox(dir: PathBuf, cgroups_path: &str) -> Bundle {
        let bin = dir.join("rootfs/bin");
        fs::create_dir_all(&bin).expect("the bundle's directories can be made");
        let busybox = busybox();
        fs::copy(&busybox.path, bin.join("busybox")).expect("busybox can be copied");
        for applet in &busybox.applets {
            symlink("busybox", bin.join(applet)).expect("an applet's link can be made");
        }
        for name in ["etc", "tmp"] {
            fs::create_dir(dir.join("rootfs").join(name)).expect("a directory of the rootfs can be made");
        }
        let bundle = Bundle { dir };
        let mut config: Value = serde_json::from_str(CONFIG).expect("config.json is JSON");
        config["linux"]["cgroupsPath"] = json!(cgroups_path);
        bundle.write(&config);
        bundle
    }

    /// The bundle's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// The config as it stands.
    pub fn config(&self) -> Value {
        let text = fs::read_to_string(self.dir.join("config.json")).expect("config.json can be read");
        serde_json::from_str(&text).expect("config.json is JSON")
    }

    /// Replaces the config.
    pub fn write(&self, config: &Value) {
        let text = serde_json::to_vec_pretty(config).expect("a value is JSON");
        fs::write(self.dir.join("config.json"), text).expect("config.json can be written");
    }

    /// Changes the config.
    #[must_use]
    pub fn edit(self, change: impl FnOnce(&mut Value)) -> Bundle {
        let mut config = self.config();
        change(&mut config);
        self.write(&config);
        self
    }

    /// Sets the program and its arguments.
    #[must_use]
    pub fn args(self, args: &[&str]) -> Bundle {
        self.edit(|config| config["process"]["args"] = json!(args))
    }

    /// Sets a shell script as the program.
    #[must_use]
    pub fn script(self, script: &str) -> Bundle {
        self.args(&["sh", "-c", script])
    }
}

struct Busybox {
    path: PathBuf,
    applets: Vec<String>,
}

/// The host's static busybox, found once.
fn busybox() -> &'static Busybox {
    static BUSYBOX: OnceLock<Busybox> = OnceLock::new();
    BUSYBOX.get_or_init(|| {
        let path = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|p| p.exists());
        let path = path.expect("busybox is not there: make deps-test installs busybox-static");
        let list = std::process::Command::new(&path).arg("--list").output().expect("busybox runs");
        let list = String::from_utf8(list.stdout).expect("busybox writes text");
        Busybox { path, applets: list.lines().filter(|name| *name != "busybox").map(str::to_owned).collect() }
    })
}
