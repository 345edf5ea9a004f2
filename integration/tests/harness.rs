//! The harness itself: it must notice what it is there to notice.

use std::fs;

use integration::{Layout, Sandbox, cgroups, on_both_layouts};

on_both_layouts! {
    the_cgroup_tree_is_the_one_asked_for,
    a_snapshot_notices_what_is_left_behind,
}

fn the_cgroup_tree_is_the_one_asked_for(sandbox: &Sandbox) {
    let kinds: Vec<_> = cgroups::mounts().into_iter().map(|m| m.fs_type).filter(|t| t.starts_with("cgroup")).collect();
    match sandbox.layout() {
        Layout::Unified => assert_eq!(kinds, ["cgroup2"]),
        _ => assert!(kinds.iter().any(|kind| kind == "cgroup"), "{kinds:?}"),
    }
    assert!(!cgroups::below_token(sandbox.token()).is_empty());
}

fn a_snapshot_notices_what_is_left_behind(sandbox: &Sandbox) {
    let watched = sandbox.dir().join("watched");
    fs::create_dir(&watched).unwrap();
    let before = sandbox.snapshot().watching(&watched);
    before.assert_same();

    let sleeper = sandbox.program("sleep").arg("100").spawn();
    let orphan = sandbox.program("sh").args(["-c", "sleep 100 & echo $!"]).run().ok();
    let cgroup = cgroups::below_token(sandbox.token())[0].join("left");
    fs::create_dir(&cgroup).unwrap();
    fs::write(sandbox.root().join("file"), "x").unwrap();
    fs::write(watched.join("file"), "y").unwrap();
    let open = fs::File::open("/dev/zero").unwrap();
    let none = None::<&str>;
    nix::mount::mount(Some("none"), &watched, Some("tmpfs"), nix::mount::MsFlags::empty(), none).unwrap();

    let found = before.differences().join("\n");
    for trace in
        ["process sleep: sleep 100", &format!("cgroup {}", cgroup.display()), "state/file", "/dev/zero", "of tmpfs"]
    {
        assert!(found.contains(trace), "{trace} is not among\n{found}");
    }

    nix::mount::umount(&watched).unwrap();
    assert!(before.differences().join("\n").contains("watched/file"));
    drop((open, sleeper));
    integration::processes::kill(orphan.stdout.trim().parse().unwrap());
    fs::remove_dir(&cgroup).unwrap();
    fs::remove_file(sandbox.root().join("file")).unwrap();
    fs::remove_file(watched.join("file")).unwrap();
    before.assert_same();
}
