//! Made, joined, signalled, removed.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread::sleep;
use std::time::Duration;

use libcontainer::ErrorKind;
use libcontainer::cgroup::{Cgroup, CgroupPlan, Version};
use nix::fcntl::{OFlag, openat};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::view::{Inside, Place, in_every_view, present, succeeds, write};

/// Freezes the container's cgroup, or a nested one.
fn freeze(plan: &CgroupPlan, nested: &str) {
    match plan.controller("freezer") {
        Some(dir) => write(&dir.file(&format!("{nested}freezer.state")), "FROZEN"),
        None => write(&plan.unified().unwrap().file(&format!("{nested}cgroup.freeze")), "1"),
    }
}

fn thaw(plan: &CgroupPlan) {
    match plan.controller("freezer") {
        Some(dir) => write(&dir.file("freezer.state"), "THAWED"),
        None => write(&plan.unified().unwrap().file("cgroup.freeze"), "0"),
    }
}

/// Where nested cgroups are made: where the container's processes are looked for.
fn listing(plan: &CgroupPlan) -> String {
    plan.controller("freezer").or(plan.unified()).unwrap().host()
}

#[test]
fn made_joined_killed_removed() {
    in_every_view("lifecycle::made_joined_killed_removed", || {
        let place = Place::new();
        let plan = place.plan("pod/c1");
        let cgroup = Cgroup::create(&plan).unwrap();
        assert_eq!(present(&plan).len(), plan.dirs.len());
        assert_eq!(cgroup.dirfd().is_some(), plan.unified().is_some());
        assert!(cgroup.procs().unwrap().is_empty());

        let mut sleeper = Inside::start(&plan, "exec sleep 1000");
        assert_eq!(cgroup.procs().unwrap(), [sleeper.pid()]);
        if plan.version == Version::V1 {
            // A reader that is not ours finds it in every hierarchy.
            let path = plan.legacy()[0].below.trim_start_matches('/');
            let seen = cgroups_rs::fs::Cgroup::load(cgroups_rs::fs::hierarchies::auto(), path);
            for subsystem in seen.subsystems() {
                let controller = subsystem.to_controller();
                let pids: Vec<u64> = controller.tasks().iter().map(|task| task.pid).collect();
                assert_eq!(pids, [sleeper.pid() as u64], "{}", controller.path().display());
            }
        }

        cgroup.kill_all(Signal::SIGUSR1).unwrap();
        assert_eq!(sleeper.killed_by(), Some(Signal::SIGUSR1 as i32));

        let mut sleeper = Inside::start(&plan, "exec sleep 1000");
        cgroup.kill_all(Signal::SIGKILL).unwrap();
        // Not reaped yet, which must not keep the cgroup.
        cgroup.remove().unwrap();
        assert_eq!(sleeper.killed_by(), Some(Signal::SIGKILL as i32));
        assert!(present(&plan).is_empty());

        // What is gone is killed and removed as easily.
        cgroup.kill_all(Signal::SIGKILL).unwrap();
        cgroup.kill_all(Signal::SIGTERM).unwrap();
        cgroup.remove().unwrap();
        assert!(cgroup.procs().unwrap().is_empty());
    });
}

#[test]
fn a_new_process_is_cloned_into_it() {
    in_every_view("lifecycle::a_new_process_is_cloned_into_it", || {
        let place = Place::new();
        let plan = place.plan("c1");
        let cgroup = Cgroup::create(&plan).unwrap();
        let Some(dirfd) = cgroup.dirfd() else { return };
        let child = clone_into(dirfd.as_fd());
        let text = fs::read_to_string(format!("/proc/{child}/cgroup")).unwrap();
        // In v1 hierarchies it is not, so that only cgroup.kill can reach it.
        cgroup.kill_all(Signal::SIGKILL).unwrap();
        let expected = format!("0::{}", plan.unified().unwrap().in_hierarchy());
        let is_there = text.lines().any(|line| line == expected);
        let pid = Pid::from_raw(child);
        if !is_there {
            kill(pid, Signal::SIGTERM).unwrap();
        }
        assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Signaled(pid, Signal::SIGKILL, false), "{text}");
    });
}

/// A process that only waits, in the cgroup of `dirfd`.
fn clone_into(dirfd: BorrowedFd<'_>) -> i32 {
    // libc has it as an i32, in which it is 0.
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    // SAFETY: all zero is a valid clone_args.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = dirfd.as_raw_fd() as u64;
    // SAFETY: like fork(2); the child calls nothing but pause(2).
    match unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of_val(&args)) } {
        0 => loop {
            // SAFETY: takes nothing.
            unsafe { libc::pause() };
        },
        pid => i32::try_from(pid).unwrap(),
    }
}

#[test]
fn undone_without_a_trace_and_no_more_than_that() {
    in_every_view("lifecycle::undone_without_a_trace_and_no_more_than_that", || {
        let place = Place::new();
        let other = place.plan("pod/other");
        let first = Cgroup::create(&other).unwrap();
        let plan = place.plan("pod/deep/er/c1");
        let second = Cgroup::create(&plan).unwrap();
        let sleeper = Inside::start(&plan, "exec sleep 1000");
        second.kill_all(Signal::SIGKILL).unwrap();
        drop(sleeper);
        second.undo().unwrap();
        assert!(present(&place.plan("pod/deep")).is_empty());
        assert_eq!(present(&other).len(), other.dirs.len());
        first.undo().unwrap();
        assert!(present(&place.itself()).is_empty());
    });
}

#[test]
fn a_failure_half_way_takes_back_the_other_half() {
    in_every_view("lifecycle::a_failure_half_way_takes_back_the_other_half", || {
        let place = Place::new();
        let good = place.plan("c1");
        let mut bad = good.clone();
        // The kernel's own file in the place of a directory.
        bad.dirs.last_mut().unwrap().below.push_str("/cgroup.procs/x");
        let error = Cgroup::create(&bad).unwrap_err();
        assert!(error.subject().unwrap().ends_with("cgroup.procs/x"), "{error}");
        assert_eq!(error.raw_errno(), Some(libc::ENOTDIR), "{error}");
        assert!(present(&place.itself()).is_empty());
    });
}

#[test]
fn an_empty_cgroup_is_taken_and_a_used_or_frozen_one_refused() {
    in_every_view("lifecycle::an_empty_cgroup_is_taken_and_a_used_or_frozen_one_refused", || {
        let place = Place::new();
        let plan = place.plan("c1");
        let _first = Cgroup::create(&plan).unwrap();
        let again = Cgroup::create(&plan).unwrap();
        // What it has not made it does not take back.
        again.undo().unwrap();
        assert_eq!(present(&plan).len(), plan.dirs.len());

        freeze(&plan, "");
        for plan in [&plan, &place.plan("c1/below")] {
            let error = Cgroup::create(plan).unwrap_err();
            assert!(error.to_string().contains("container's cgroup unexpectedly frozen"), "{error}");
        }
        assert!(present(&place.plan("c1/below")).is_empty());
        thaw(&plan);

        // A process in a nested one is one, too.
        let nested = place.plan("c1/below");
        let _nested = Cgroup::create(&nested).unwrap();
        let _sleeper = Inside::start(&nested, "exec sleep 1000");
        let error = Cgroup::create(&plan).unwrap_err();
        assert_eq!((error.kind(), error.json_path()), (ErrorKind::InvalidConfig, Some("linux.cgroupsPath")));
        assert!(error.to_string().contains("container's cgroup is not empty"), "{error}");
        assert_eq!(present(&plan).len(), plan.dirs.len());
    });
}

#[test]
fn a_cpuset_that_someone_left_empty_is_filled() {
    in_every_view("lifecycle::a_cpuset_that_someone_left_empty_is_filled", || {
        let place = Place::new();
        let plan = place.plan("pod/c1");
        let Some(cpuset) = plan.controller("cpuset") else { return };
        fs::create_dir_all(cpuset.host()).unwrap();
        let _cgroup = Cgroup::create(&plan).unwrap();
        assert!(succeeds(&plan, "true"));
    });
}

#[test]
fn a_frozen_container_can_be_killed() {
    in_every_view("lifecycle::a_frozen_container_can_be_killed", || {
        for nested in ["", "nested/"] {
            let place = Place::new();
            let plan = place.plan("c1");
            let cgroup = Cgroup::create(&plan).unwrap();
            let script =
                format!("mkdir -p {0}/{nested}; echo 0 >{0}/{nested}cgroup.procs; exec sleep 1000", listing(&plan));
            let mut sleeper = Inside::start(&plan, &script);
            while fs::read_to_string(format!("/proc/{}/comm", sleeper.pid())).unwrap() != "sleep\n" {
                sleep(Duration::from_millis(1));
            }
            freeze(&plan, nested);
            // Whoever is frozen gets a lesser signal later.
            cgroup.kill_all(Signal::SIGCONT).unwrap();
            assert_eq!(cgroup.procs().unwrap(), [sleeper.pid()]);
            cgroup.kill_all(Signal::SIGKILL).unwrap();
            assert_eq!(sleeper.killed_by(), Some(Signal::SIGKILL as i32));
            cgroup.remove().unwrap();
            assert!(present(&plan).is_empty());
        }
    });
}

#[test]
fn who_keeps_forking_is_killed() {
    in_every_view("lifecycle::who_keeps_forking_is_killed", || {
        let place = Place::new();
        let mut plan = place.plan("c1");
        let forking = "while :; do (sleep 1000 & sleep 1000 &) ; done";
        if plan.version == Version::V1 {
            // Without cgroup.kill, as on a host that has v1 alone.
            plan.dirs.retain(|dir| !dir.is_unified());
        }
        let cgroup = Cgroup::create(&plan).unwrap();
        let mut shell = Inside::start(&plan, forking);
        while cgroup.procs().unwrap().len() < 20 {
            sleep(Duration::from_millis(1));
        }
        cgroup.kill_all(Signal::SIGKILL).unwrap();
        assert_eq!(shell.killed_by(), Some(Signal::SIGKILL as i32));
        cgroup.remove().unwrap();
        assert!(present(&plan).is_empty());
    });
}

#[test]
fn nested_cgroups_go_however_deep_and_many() {
    in_every_view("lifecycle::nested_cgroups_go_however_deep_and_many", || {
        let place = Place::new();
        let plan = place.plan("c1");
        let cgroup = Cgroup::create(&plan).unwrap();
        let top = listing(&plan);
        for i in 0..50 {
            fs::create_dir(format!("{top}/wide{i}")).unwrap();
        }
        // Deeper than a path can say.
        let name = "x".repeat(200);
        let mut here: OwnedFd = fs::File::open(&top).unwrap().into();
        for _ in 0..30 {
            mkdirat(&here, name.as_str(), Mode::S_IRWXU).unwrap();
            here = openat(&here, name.as_str(), OFlag::O_DIRECTORY, Mode::empty()).unwrap();
        }
        assert!(cgroup.procs().unwrap().is_empty());
        cgroup.kill_all(Signal::SIGKILL).unwrap();
        drop(here);
        cgroup.remove().unwrap();
        assert!(present(&plan).is_empty());
    });
}

#[test]
fn processes_that_stay_make_removal_fail_by_name() {
    in_every_view("lifecycle::processes_that_stay_make_removal_fail_by_name", || {
        let place = Place::new();
        let plan = place.plan("c1");
        let cgroup = Cgroup::create(&plan).unwrap();
        let _sleeper = Inside::start(&plan, "exec sleep 1000");
        let error = cgroup.remove_within(Duration::from_millis(30)).unwrap_err();
        assert_eq!(error.raw_errno(), Some(libc::EBUSY), "{error}");
        assert!(error.to_string().ends_with("1 process(es) left"), "{error}");
        assert!(plan.dirs.iter().any(|dir| Some(dir.host().as_ref()) == error.subject().and_then(|s| s.to_str())));
        assert_eq!(present(&plan).len(), plan.dirs.len());
    });
}
