//! What the image has where the runtime mounts, masks and makes read-only.

use std::fs;
use std::os::unix::fs::symlink;

use integration::{Bundle, Sandbox, on_host_layout};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;
use serde_json::json;

use crate::{add_mount, clear, climbing, decoy, give, relink, run_harmless, with_usual_rights, without_mounts};

on_host_layout! {
    proc_and_sys_must_not_be_links,
    targets_that_are_links_stay_inside,
    targets_that_are_no_directories,
    a_link_to_the_root_hides_nothing_of_the_host,
    a_link_into_proc_is_refused,
    etc_as_a_link_stays_inside,
    masked_and_read_only_links_stay_inside,
    a_masked_file_cannot_be_changed,
    a_mount_made_inside_does_not_show_outside,
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2025-54867: for the file systems, and for binds of the host's.
fn proc_and_sys_must_not_be_links(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    for bound in [false, true] {
        let bundle = sandbox.bundle().edit(|config| {
            for mount in config["mounts"].as_array_mut().unwrap() {
                let destination = mount["destination"].as_str().unwrap().to_owned();
                if bound && (destination == "/proc" || destination == "/sys") {
                    *mount = json!({ "destination": destination, "source": destination, "options": ["rbind"] });
                }
            }
        });
        for name in ["proc", "sys"] {
            for target in [decoy.clone(), climbing(&decoy), decoy.join("new"), "/tmp".into(), "tmp".into()] {
                relink(&bundle, name, target);
                run_harmless(sandbox, &bundle, &decoy).fails(1, &format!("(/{name}): "));
                assert!(!bundle.rootfs().join("tmp/self").exists());
            }
            clear(&bundle.rootfs().join(name));
            fs::create_dir(bundle.rootfs().join(name)).unwrap();
        }
        run_harmless(sandbox, &bundle, &decoy).ok();
    }
}

/// A bundle that mounts a directory, a file and a tmpfs at `t`, `t/deep/er` or, to be created as a file, `t/new/file`.
fn mounting_at(sandbox: &Sandbox, destination: &str, source: Option<&str>) -> Bundle {
    let path = source.map(|name| {
        let path = sandbox.dir().join(format!("source-{name}"));
        match name {
            "directory" => fs::create_dir_all(&path).unwrap(),
            _ => fs::write(&path, "bound").unwrap(),
        }
        path
    });
    sandbox.bundle().edit(|config| add_mount(config, destination, path.as_deref()))
}

/// CVE-2019-18837, CVE-2024-45310.
fn targets_that_are_links_stay_inside(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    for source in [None, Some("directory"), Some("file")] {
        for below in ["", "/sub", "/new/er"] {
            let bundle = mounting_at(sandbox, &format!("/t{below}"), source);
            for target in [decoy.clone(), climbing(&decoy), decoy.join("new"), climbing(&decoy).join("new")] {
                relink(&bundle, "t", &target);
                let out = run_harmless(sandbox, &bundle, &decoy).ok();
                // It went where the link leads in the container: the decoy's path, below the rootfs.
                let inside = bundle.rootfs().join(decoy.strip_prefix("/").unwrap());
                assert!(inside.exists(), "{}: {out:?}", target.display());
                fs::remove_dir_all(bundle.rootfs().join(decoy.components().nth(1).unwrap())).unwrap();
                if bundle.rootfs().join("tmp").symlink_metadata().is_err() {
                    fs::create_dir(bundle.rootfs().join("tmp")).unwrap();
                }
            }
            for target in ["t", "/t", "u"] {
                relink(&bundle, "t", target);
                relink(&bundle, "u", "t");
                run_harmless(sandbox, &bundle, &decoy).fails(1, "too many symbolic links");
            }
        }
    }
}

fn targets_that_are_no_directories(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    for source in [None, Some("directory"), Some("file")] {
        let bundle = mounting_at(sandbox, "/t", source);
        let target = bundle.rootfs().join("t");
        let device = || mknod(&target, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 3)).unwrap();
        // O_PATH: a FIFO without a writer must not make anybody wait, a device must not be opened.
        let makers: [&dyn Fn(); 3] =
            [&|| mkfifo(&target, Mode::S_IRUSR).unwrap(), &device, &|| fs::write(&target, "file").unwrap()];
        for make in makers {
            clear(&target);
            make();
            let out = run_harmless(sandbox, &bundle, &decoy);
            if source == Some("file") {
                out.ok()
            } else {
                out.fails(1, "mounts[7] (/t): ")
            };
        }
        let bundle = mounting_at(sandbox, "/t/below/file", source);
        fs::write(bundle.rootfs().join("t"), "file").unwrap();
        run_harmless(sandbox, &bundle, &decoy).fails(1, "mounts[7] (/t/below/file): ");
        clear(&bundle.rootfs().join("t"));
        run_harmless(sandbox, &bundle, &decoy).ok();
    }
}

/// What is mounted over the root is not where the container lives, and not a way back to the host.
fn a_link_to_the_root_hides_nothing_of_the_host(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let script = format!("ls / /.. /../..; cat {}/file; cd /; cd ..; ls; echo done", decoy.display());
    for target in ["/", "..", "/../.."] {
        for source in [None, Some("directory")] {
            let bundle = mounting_at(sandbox, "/t", source).script(&script);
            relink(&bundle, "t", target);
            let out = run_harmless(sandbox, &bundle, &decoy);
            assert!(out.stdout.ends_with("done\n"), "{target}: {out:?}");
            assert!(!out.stdout.contains("root") && !out.stdout.contains("the host's"), "{target}: {}", out.stdout);
        }
    }
}

/// CVE-2019-16884, CVE-2025-52881: it would catch what is later written there.
fn a_link_into_proc_is_refused(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    for source in [None, Some("directory"), Some("file")] {
        let below = if source == Some("file") { "/proc/sysrq-trigger" } else { "/proc/sys" };
        for target in [below, "/proc", "/proc/self/fd/1", "/proc/self/root", "/proc/self/cwd"] {
            let bundle = mounting_at(sandbox, "/t", source);
            relink(&bundle, "t", target);
            run_harmless(sandbox, &bundle, &decoy).fails(1, "mounts[7] (/t): ");
        }
    }
}

fn etc_as_a_link_stays_inside(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let hosts = sandbox.dir().join("hosts");
    fs::write(&hosts, "bound").unwrap();
    let script = "cat /etc/hosts; echo; echo $HOME";
    for target in [decoy.clone(), climbing(&decoy), decoy.join("new")] {
        let bundle = sandbox.bundle().script(script).edit(|config| add_mount(config, "/etc/hosts", Some(&hosts)));
        relink(&bundle, "etc", target);
        let out = run_harmless(sandbox, &bundle, &decoy).ok();
        assert_eq!(out.stdout, "bound\n/\n");
    }
}

fn masked_and_read_only_links_stay_inside(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let script = "cat /t; ls /t; echo x > /t; touch /t/x; true";
    for list in ["maskedPaths", "readonlyPaths"] {
        let bundle = sandbox.bundle().script(script).edit(|config| {
            config["linux"][list].as_array_mut().unwrap().push(json!("/t"));
            with_usual_rights(config);
        });
        for target in [decoy.join("file"), decoy.clone(), climbing(&decoy), decoy.join("new"), "/proc/sys".into()] {
            relink(&bundle, "t", &target);
            let out = run_harmless(sandbox, &bundle, &decoy).ok();
            assert!(!out.stdout.contains("the host's"), "{}: {out:?}", target.display());
            let _ = fs::remove_dir_all(bundle.rootfs().join(decoy.strip_prefix("/").unwrap()));
        }
        // What cannot be hidden is an error, not a gap.
        for target in ["t", "/proc/self/fd/0", "/proc/self/root"] {
            relink(&bundle, "t", target);
            run_harmless(sandbox, &bundle, &decoy).fails(1, &format!("linux.{list}["));
        }
    }
    // A mask follows a link to what it leads to in the container.
    let bundle = sandbox.bundle().script("cat /secret").edit(|config| config["linux"]["maskedPaths"] = json!(["/t"]));
    fs::write(bundle.rootfs().join("secret"), "secret").unwrap();
    relink(&bundle, "t", "/secret");
    assert_eq!(run_harmless(sandbox, &bundle, &decoy).ok().stdout, "");
}

/// What covers a masked file is the host's null device. The changes tried here are none, so that this test does no
/// harm where it fails.
fn a_masked_file_cannot_be_changed(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let script = "for f in /proc/uptime /t; do for c in 'chmod 666' 'chown 0:0' 'touch -c'; do \
                  $c $f 2>/dev/null && echo $c $f; done; [ -c $f ] || echo $f is no device; done; echo done";
    let bundle = sandbox.bundle().script(script).edit(|config| {
        with_usual_rights(config);
        config["linux"]["maskedPaths"] = json!(["/proc/uptime", "/t"]);
    });
    fs::write(bundle.rootfs().join("t"), "t").unwrap();
    // CVE-2025-31133: never the image's idea of a null device.
    relink(&bundle, "dev/null", "/proc/sys/kernel/core_pattern");
    assert_eq!(run_harmless(sandbox, &bundle, &decoy).ok().stdout, "done\n");
    // Not even where the image's is what the container has: nothing is made in a /dev that is bound.
    let dev = sandbox.dir().join("dev");
    fs::create_dir(&dev).unwrap();
    symlink("/secret", dev.join("null")).unwrap();
    let bundle = sandbox.bundle().script("cat /t").edit(|config| {
        without_mounts(config, "/dev");
        add_mount(config, "/dev", Some(&dev));
        config["linux"]["maskedPaths"] = json!(["/t"]);
    });
    for name in ["t", "secret"] {
        fs::write(bundle.rootfs().join(name), name).unwrap();
    }
    assert_eq!(run_harmless(sandbox, &bundle, &decoy).ok().stdout, "");
}

/// All mounts of the host shared, as systemd has them.
fn a_mount_made_inside_does_not_show_outside(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    // In this test's own mount namespace, which started out private.
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none).unwrap();
    let script = "mount -t tmpfs hidden /vol/sub && mount -t tmpfs hidden /tmp && grep -c hidden /proc/self/mountinfo";
    for propagation in [None, Some("private"), Some("slave"), Some("rslave"), Some("rprivate")] {
        let bundle = sandbox.bundle().script(script).edit(|config| {
            add_mount(config, "/vol", Some(&decoy));
            fs::create_dir_all(decoy.join("sub")).unwrap();
            give(config, &["CAP_SYS_ADMIN".to_owned()]);
            if let Some(propagation) = propagation {
                config["linux"]["rootfsPropagation"] = json!(propagation);
            }
        });
        let out = run_harmless(sandbox, &bundle, &decoy).ok();
        assert_eq!(out.stdout, "2\n", "{}", out.stderr);
    }
    // A link at the target, too: the mount would be one of the host's tree.
    let bundle = sandbox.bundle().edit(|config| {
        without_mounts(config, "/dev");
        add_mount(config, "/t/sub", None);
    });
    symlink(&decoy, bundle.rootfs().join("t")).unwrap();
    run_harmless(sandbox, &bundle, &decoy).ok();
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
}
