//! What the image has in /dev when device nodes and links are made there.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use integration::{Sandbox, on_host_layout};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use crate::{add_mount, clear, climbing, decoy, relink, run_harmless, without_mounts};

on_host_layout! {
    links_in_dev_do_not_lead_nodes_out,
    links_where_links_are_made_are_left_or_replaced,
    dev_as_a_link_is_not_filled,
    a_link_to_a_volume_does_not_fill_the_volume,
    a_wrong_node_is_refused,
    the_right_node_gets_its_mode_and_owner,
    stdio_devices_of_the_host_keep_their_owner,
}

/// The image's own /dev, with nothing mounted on it.
fn own_dev(config: &mut Value) {
    without_mounts(config, "/dev");
}

/// CVE-2026-88264, CVE-2026-88265, CVE-2025-31133.
fn links_in_dev_do_not_lead_nodes_out(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let bundle = sandbox.bundle().edit(own_dev);
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let link = format!("dev/{name}");
        for target in [decoy.join(name), climbing(&decoy.join(name)), decoy.join("new"), format!("../{link}").into()] {
            relink(&bundle, &link, &target);
            let out = run_harmless(sandbox, &bundle, &decoy);
            out.fails(1, &format!("linux.devices (/{link}): "));
        }
        // A link to the host's own: it is the right device, but not the container's.
        relink(&bundle, &link, format!("/dev/{name}"));
        run_harmless(sandbox, &bundle, &decoy).fails(1, &format!("linux.devices (/{link}): "));
        clear(&bundle.rootfs().join(&link));
    }
}

fn links_where_links_are_made_are_left_or_replaced(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let bundle = sandbox.bundle().edit(own_dev);
    // Replaced, whatever it is, since it could be another container's multiplexer.
    for target in [decoy.join("ptmx"), climbing(&decoy.join("ptmx")), decoy.join("new")] {
        relink(&bundle, "dev/ptmx", target);
        run_harmless(sandbox, &bundle, &decoy).ok();
        assert_eq!(fs::read_link(bundle.rootfs().join("dev/ptmx")).unwrap(), Path::new("pts/ptmx"));
    }
    // Not made, so nothing to be led away by: CVE-2026-88264.
    relink(&bundle, "dev/console", decoy.join("console"));
    run_harmless(sandbox, &bundle, &decoy).ok();
    for name in ["fd", "stdin", "stdout", "stderr", "core"] {
        let link = format!("dev/{name}");
        relink(&bundle, &link, decoy.join(name));
        run_harmless(sandbox, &bundle, &decoy).fails(1, &format!("linux.devices (/{link}): "));
        clear(&bundle.rootfs().join(&link));
    }
}

/// CVE-2026-41579, CVE-2026-47766.
fn dev_as_a_link_is_not_filled(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    for mounted in [true, false] {
        let bundle = sandbox.bundle().edit(|config| {
            if !mounted {
                own_dev(config);
            }
        });
        for target in [decoy.clone(), climbing(&decoy), decoy.join("pts"), decoy.join("new"), "/etc".into()] {
            relink(&bundle, "dev", target);
            run_harmless(sandbox, &bundle, &decoy).fails(1, "(/dev");
        }
        // Below: the runtime makes /dev/net for a device there.
        clear(&bundle.rootfs().join("dev"));
        relink(&bundle, "dev/net", decoy.join("sys"));
        let bundle = bundle.edit(|config| config["linux"]["devices"] = json!([tun()]));
        let out = run_harmless(sandbox, &bundle, &decoy);
        if mounted {
            out.ok()
        } else {
            out.fails(1, "linux.devices[0] (/dev/net/tun): ")
        };
    }
}

/// A volume is a host directory; what the container's user may not do there, the runtime must not do for the image.
fn a_link_to_a_volume_does_not_fill_the_volume(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    for mounted in [true, false] {
        let bundle = sandbox.bundle().edit(|config| {
            if !mounted {
                own_dev(config);
            }
            add_mount(config, "/vol", Some(&decoy));
            config["linux"]["devices"] = json!([tun()]);
        });
        for name in ["dev", "dev/net"] {
            relink(&bundle, name, "/vol");
            let out = run_harmless(sandbox, &bundle, &decoy);
            if mounted && name == "dev/net" {
                out.ok()
            } else {
                out.fails(1, "(/dev")
            };
            clear(&bundle.rootfs().join(name));
        }
    }
}

fn tun() -> Value {
    json!({ "path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200 })
}

/// What stands in the place of a device and is none, or another.
fn a_wrong_node_is_refused(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let bundle = sandbox.bundle().edit(|config| {
        own_dev(config);
        let device = json!({ "path": "/dev/d", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600, "uid": 7 });
        config["linux"]["devices"] = json!([device]);
    });
    let path = bundle.rootfs().join("dev/d");
    let other = || mknod(&path, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 7)).unwrap();
    let block = || mknod(&path, SFlag::S_IFBLK, Mode::S_IRUSR, makedev(1, 5)).unwrap();
    let makers: [(&str, &dyn Fn()); 6] = [
        ("file", &|| fs::write(&path, "file").unwrap()),
        ("directory", &|| fs::create_dir(&path).unwrap()),
        ("fifo", &|| mkfifo(&path, Mode::S_IRUSR).unwrap()),
        ("another device", &other),
        ("a block device of the same numbers", &block),
        ("link", &|| relink(&bundle, "dev/d", decoy.join("zero"))),
    ];
    for (what, make) in makers {
        clear(&path);
        make();
        let before = fs::symlink_metadata(&path).unwrap();
        let out = run_harmless(sandbox, &bundle, &decoy).fails(1, "linux.devices[0] (/dev/d): ");
        let after = fs::symlink_metadata(&path).unwrap();
        let facts = |meta: &fs::Metadata| (meta.ino(), meta.mode(), meta.uid());
        assert_eq!(facts(&before), facts(&after), "{what}: {}", out.stderr);
    }
}

fn the_right_node_gets_its_mode_and_owner(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let bundle = sandbox.bundle().edit(|config| {
        own_dev(config);
        let device = json!({ "path": "/dev/d", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600, "uid": 7 });
        config["linux"]["devices"] = json!([device]);
    });
    let path = bundle.rootfs().join("dev/d");
    clear(&path);
    mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o4777), makedev(1, 5)).unwrap();
    run_harmless(sandbox, &bundle, &decoy).ok();
    let meta = fs::symlink_metadata(&path).unwrap();
    assert!(meta.file_type().is_char_device());
    assert_eq!((meta.permissions().mode() & 0o7777, meta.uid(), meta.gid()), (0o600, 7, 0));
}

/// The caller's stdio becomes the container user's, so that it can open /dev/stdout again. A memory device is
/// everybody's on the host, and its owner could change its mode.
fn stdio_devices_of_the_host_keep_their_owner(sandbox: &Sandbox) {
    let bundle = sandbox.bundle().edit(|config| config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 }));
    for minor in [3, 5, 7, 8, 9] {
        let path = sandbox.dir().join(format!("memory-{minor}"));
        mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, minor)).unwrap();
        let run = sandbox.program("sh").args(["-c", "exec \"$0\" \"$@\" <\"$STDIN\""]).env("STDIN", &path);
        let run = run.arg(integration::gantry()).arg("--root").arg(sandbox.root()).args(["run", "--bundle"]);
        run.arg(bundle.dir()).arg(sandbox.id("a")).run().ok();
        assert_eq!(fs::metadata(&path).unwrap().uid(), 0, "device 1:{minor}");
    }
}
