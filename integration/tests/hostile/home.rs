//! HOME comes from the image's /etc/passwd, which is read with the runtime's rights.

use std::fs;

use integration::{Bundle, Sandbox, on_host_layout};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;
use serde_json::json;

use crate::{clear, climbing, decoy, relink, run_harmless};

on_host_layout! {
    only_the_uid_of_a_line_counts,
    passwd_may_be_anything,
    an_id_that_does_not_fit_is_refused,
}

fn bundle(sandbox: &Sandbox, uid: u32) -> Bundle {
    let bundle = sandbox.bundle().script("echo $HOME; stat -Lc %u /proc/self");
    bundle.edit(|config| config["process"]["user"] = json!({ "uid": uid, "gid": 0 }))
}

/// CVE-2016-3697, CVE-2024-40635, CVE-2026-30892: names that look like ids, and ids that wrap around.
fn only_the_uid_of_a_line_counts(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let long = format!("a:x:0:0::/{}:\nb:x:0:0::/b:", "l".repeat(4000));
    let tables: [(u32, &str, &str); 18] = [
        (1000, "1000:x:0:0::/named:\nu:x:1000:0::/u:", "/u"),
        (1000, "1000:x:0:0::/named:", "/"),
        (0, "a:x:4294967296:0::/wrapped:\nr:x:0:0::/root:", "/root"),
        (0, "a:x:18446744073709551616:0::/wrapped:", "/"),
        (0, "a:x:-0:0::/minus:\nb:x:+0:0::/plus:\nc:x: 0:0::/space:\nd:x:0x0:0::/hex:", "/"),
        (0, "a:x::0::/none:", "/"),
        (0, "a:x:0", "/"),
        (0, "a:x:0:0:gecos", "/"),
        (0, "a:x:0:0::", "/"),
        (0, "a:x:0:0::/first:\nb:x:0:0::/second:", "/first"),
        (0, "a:x:0:0::/no/shell", "/no/shell"),
        (0, "a:x:0:0::/nul\0/x:\n", ""),
        (0, "", "/"),
        (0, ":::::::::::\n\n\n:", "/"),
        (0, "+::::::\nr:x:0:0::/root:", "/root"),
        (2147483648, "a:x:-2147483648:0::/wrapped:\nb:x:2147483648:0::/b:", "/b"),
        (4294967294, "a:x:-2:0::/wrapped:\nb:x:4294967294:0::/b:", "/b"),
        (0, &long, &format!("/{}", "l".repeat(4000))),
    ];
    for (uid, passwd, home) in tables {
        let bundle = bundle(sandbox, uid);
        fs::write(bundle.rootfs().join("etc/passwd"), passwd).unwrap();
        let out = run_harmless(sandbox, &bundle, &decoy).ok();
        assert_eq!(out.stdout, format!("{home}\n{uid}\n"), "{passwd:?}");
    }
}

fn passwd_may_be_anything(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let bundle = bundle(sandbox, 0);
    let passwd = bundle.rootfs().join("etc/passwd");
    let device = |minor| mknod(&passwd, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, minor)).unwrap();
    // A FIFO nobody writes to, and a device without end, must not make the runtime wait.
    let makers: [&dyn Fn(); 9] = [
        &|| {},
        &|| mkfifo(&passwd, Mode::S_IRUSR).unwrap(),
        &|| device(3),
        &|| device(5),
        &|| fs::create_dir(&passwd).unwrap(),
        &|| relink(&bundle, "etc/passwd", decoy.join("passwd")),
        &|| relink(&bundle, "etc/passwd", climbing(&decoy.join("passwd"))),
        &|| relink(&bundle, "etc/passwd", "passwd"),
        &|| relink(&bundle, "etc/passwd", "/proc/self/fd/0"),
    ];
    for (index, make) in makers.into_iter().enumerate() {
        clear(&passwd);
        make();
        let out = run_harmless(sandbox, &bundle, &decoy).ok();
        assert_eq!(out.stdout, "/\n0\n", "passwd {index}");
    }
    // A hole of a terabyte costs nothing to ship.
    clear(&passwd);
    fs::File::create(&passwd).unwrap().set_len(1 << 40).unwrap();
    run_harmless(sandbox, &bundle, &decoy).fails(1, "process.user.uid: ");
    // Nobody else's either: a large one is read, the last line too.
    let mut text = "x:x:1:0::/x:\n".repeat(100_000);
    text += "r:x:0:0::/last:";
    fs::write(&passwd, text).unwrap();
    assert_eq!(run_harmless(sandbox, &bundle, &decoy).ok().stdout, "/last\n0\n");
}

/// -1 means "leave it as it is" to setresuid(2): the container would stay root. CVE-2024-40635.
fn an_id_that_does_not_fit_is_refused(sandbox: &Sandbox) {
    let decoy = decoy(sandbox);
    let bundle = bundle(sandbox, 0);
    for field in ["uid", "gid", "additionalGids"] {
        for id in [json!(4294967295u64), json!(4294967296u64), json!(-1), json!(1.5), json!("0")] {
            let mut config = bundle.config();
            let id = if field == "additionalGids" { json!([id]) } else { id };
            config["process"]["user"][field] = id;
            let bundle = sandbox.bundle();
            bundle.write(&config);
            run_harmless(sandbox, &bundle, &decoy).fails(1, "process.user");
        }
    }
}
