//! A path that is exchanged under the runtime's hands: CVE-2021-30465, CVE-2024-45310, CVE-2025-31133.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use integration::{Sandbox, on_host_layout};
use serde_json::json;

use crate::{add_mount, decoy, with_usual_rights, without_mounts};

on_host_layout! {
    an_exchanged_directory_leads_nowhere,
}

/// renameat2(2) with `RENAME_EXCHANGE`.
fn exchange(a: &CString, b: &CString) {
    // SAFETY: both are C strings.
    let result =
        unsafe { libc::renameat2(libc::AT_FDCWD, a.as_ptr(), libc::AT_FDCWD, b.as_ptr(), libc::RENAME_EXCHANGE) };
    // A mount in another namespace makes it fail at times; the next round tries again.
    let _ = result;
}

fn cstring(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// One thread exchanges the directory where everything is to be made with a link to the decoy, as fast as it can.
fn an_exchanged_directory_leads_nowhere(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let source = sandbox.dir().join("source");
    fs::create_dir(&source).unwrap();
    let file = sandbox.dir().join("source-file");
    fs::write(&file, "bound").unwrap();
    let bundle = sandbox.bundle().script("echo x > /t/written; chmod 777 /t/file; true").edit(|config| {
        without_mounts(config, "/dev");
        with_usual_rights(config);
        add_mount(config, "/t/sys", None);
        add_mount(config, "/t/pts", Some(&source));
        add_mount(config, "/t/new/er", Some(&source));
        add_mount(config, "/t/hosts", Some(&file));
        add_mount(config, "/t/made", Some(&file));
        let node = |name: &str, kind: &str| {
            json!({ "path": format!("/t/{name}"), "type": kind, "uid": 7, "gid": 7,
            "fileMode": 0o777, "major": 1, "minor": 5 })
        };
        config["linux"]["devices"] = json!([node("null", "c"), node("fifo", "p"), node("a/b/c", "c")]);
        config["linux"]["maskedPaths"] = json!(["/t/file", "/t/fs"]);
        config["linux"]["readonlyPaths"] = json!(["/t/tty", "/t/shm"]);
        config["process"]["cwd"] = json!("/t/cwd");
    });
    fs::create_dir(bundle.rootfs().join("t")).unwrap();
    std::os::unix::fs::symlink(&decoy, bundle.rootfs().join("u")).unwrap();
    let (a, b) = (cstring(&bundle.rootfs().join("t")), cstring(&bundle.rootfs().join("u")));

    let before = sandbox.snapshot().watching(&decoy);
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut outcomes = [0u32; 2];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                exchange(&a, &b);
                // Not always back at once: both states last for a while, of different lengths.
                let round = rounds.fetch_add(1, Ordering::Relaxed);
                if round % 7 == 0 {
                    std::thread::sleep(Duration::from_micros(round % 300));
                }
            }
        });
        for _ in 0..if integration::is_deep() { 10_000 } else { 200 } {
            let out = sandbox.gantry(["run", "--bundle"]).arg(bundle.dir()).arg(sandbox.id("a")).run();
            outcomes[usize::from(out.code() == Some(0))] += 1;
            let _ = fs::remove_dir_all(bundle.rootfs().join(decoy.strip_prefix("/").unwrap()));
        }
        stop.store(true, Ordering::Relaxed);
    });
    before.assert_same();
    // It did run against the exchange: far more of those than of containers.
    assert!(rounds.load(Ordering::Relaxed) > 1000, "{rounds:?} exchanges, {outcomes:?}");
}
