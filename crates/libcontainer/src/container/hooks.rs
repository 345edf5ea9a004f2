//! Hooks that the runtime itself runs: prestart, createRuntime, poststart, poststop (config.md, "POSIX-platform
//! Hooks"), and the state that every hook gets on its standard input.
//!
//! A hook has its own arguments and environment and no others, and no descriptor but stdio (R10: CVE-2024-0132 and
//! its successors came from inherited ones). It starts in the bundle, as crun's do, and as runc's do in `create`.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Serialize;

use super::process::{ExitStatus, Waited, reap, wait};
use super::spawn::{Memory, Program};
use super::status::Status;
use crate::launch::interrupted;
use crate::launch::report::with_output;
use crate::state::{HookRecord, Record};
use crate::{Error, ErrorKind, Result, launch};

/// How much of a failed hook's output the error repeats, in bytes.
const OUTPUT_SHOWN: usize = 4096;

/// The state as runtime.md, "State", has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HookState<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    bundle: &'a Path,
    annotations: &'a BTreeMap<String, String>,
}

/// The state JSON for hooks; `pid` as the hook sees it, `None` for a container that has stopped.
pub(crate) fn state(record: &Record, status: Status, pid: Option<i32>) -> Result<Vec<u8>> {
    let state = HookState {
        oci_version: &record.oci_version,
        id: &record.id,
        status,
        pid,
        bundle: &record.bundle,
        annotations: &record.annotations,
    };
    serde_json::to_vec(&state)
        .map_err(|e| Error::new(ErrorKind::System, "write the state for hooks").detail(e.to_string()))
}

/// Hooks of one kind, in the order of the config.
pub(crate) struct Hooks<'a> {
    /// The kind, as the config names it.
    pub kind: &'static str,
    pub list: &'a [HookRecord],
    pub bundle: &'a Path,
    /// Once this is readable, the hook that runs is killed and no other is begun.
    pub interrupt: Option<BorrowedFd<'a>>,
}

impl Hooks<'_> {
    /// Runs the hooks up to the first that fails.
    pub fn run(&self, state: &[u8]) -> Result<()> {
        self.each(state).collect()
    }

    /// Runs all hooks, whatever becomes of the others; answers what went wrong.
    pub fn run_all(&self, state: &[u8]) -> Vec<String> {
        self.each(state).filter_map(|result| result.err()).map(|error| error.to_string()).collect()
    }

    fn each(&self, state: &[u8]) -> impl Iterator<Item = Result<()>> {
        self.list.iter().enumerate().map(move |(index, hook)| {
            run(hook, state, self.bundle, self.interrupt).map_err(|error| {
                error.field(format!("hooks.{}[{index}]", self.kind)).label(hook.path.display().to_string())
            })
        })
    }
}

fn run(hook: &HookRecord, state: &[u8], bundle: &Path, interrupt: Option<BorrowedFd<'_>>) -> Result<()> {
    let failed = |what: &'static str| move |errno| Error::new(ErrorKind::Hook, what).errno(errno);
    let input = Memory::new().map_err(failed("make the hook's input"))?;
    input.set(state).map_err(failed("write the hook's input"))?;
    let output = Memory::new().map_err(failed("make the hook's output"))?;
    let pid = start(hook, bundle, &input, &output)?;
    // It cannot be another process: nobody but us reaps this child.
    let pidfd = launch::open_pidfd(pid)?;
    let limit = hook.timeout.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()));
    let waited = wait(pidfd.as_fd(), interrupt, limit)?;
    if waited != Waited::Gone {
        // The group is there and the hook's own until its leader is reaped.
        killpg(Pid::from_raw(pid), Signal::SIGKILL).map_err(failed("kill the hook"))?;
    }
    let status = reap(pidfd.as_fd())?;
    let problem = match waited {
        Waited::Interrupted => return Err(interrupted()),
        Waited::TimedOut => format!("killed, for it took longer than {} s", hook.timeout.unwrap_or_default()),
        Waited::Gone if status == ExitStatus::Exited(0) => return Ok(()),
        Waited::Gone => status.to_string(),
    };
    let words = output.tail(OUTPUT_SHOWN).map_err(failed("read the hook's output"))?;
    Err(Error::new(ErrorKind::Hook, "hook failed").detail(with_output(problem, &words)))
}

fn start(hook: &HookRecord, bundle: &Path, input: &Memory, output: &Memory) -> Result<i32> {
    let path = text(hook.path.as_os_str().as_bytes())?;
    let mut args = hook.args.iter().map(|a| text(a.as_bytes())).collect::<Result<Vec<_>>>()?;
    if args.is_empty() {
        args.push(path.clone());
    }
    let env = hook.env.iter().map(|e| text(e.as_bytes())).collect::<Result<Vec<_>>>()?;
    let bundle = text(bundle.as_os_str().as_bytes())?;
    let mut program = Program { path: &path, args: &args, env: &env, dir: &bundle, stdin: input, output };
    let error = match program.spawn() {
        // A bundle that is gone by the time of poststop must not keep the hook from cleaning up.
        Err(Errno::ENOENT | Errno::ENOTDIR) if !is_directory(&bundle) => {
            program.dir = c"/";
            program.spawn()
        }
        result => result,
    };
    error.map_err(|e| Error::new(ErrorKind::Hook, "execute the hook").errno(e))
}

fn is_directory(path: &CStr) -> bool {
    nix::sys::stat::stat(path).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

fn text(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| Error::new(ErrorKind::Hook, "contains a NUL byte"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;

    fn shell(script: &str) -> HookRecord {
        HookRecord {
            path: "/bin/sh".into(),
            args: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
            ..HookRecord::default()
        }
    }

    fn run_one(hook: HookRecord) -> Result<()> {
        Hooks { kind: "createRuntime", list: &[hook], bundle: Path::new("/usr/bin"), interrupt: None }
            .run(b"{\"id\":\"c1\"}")
    }

    #[test]
    fn a_hook_gets_the_state_its_own_environment_and_the_bundle_as_directory() {
        let script = r#"
            [ "$(cat)" = '{"id":"c1"}' ] || { echo "stdin" >&2; exit 1; }
            [ "$(pwd)" = /usr/bin ] || { pwd; exit 2; }
            [ "$A" = 1 ] || exit 3
            # Of the variables, a shell sets PWD and its kin itself.
            for name in HOME CARGO RUSTUP_HOME LD_LIBRARY_PATH; do
                eval "[ -z \"\${$name+x}\" ]" || { echo $name; exit 4; }
            done"#;
        run_one(HookRecord { env: vec!["A=1".to_owned()], ..shell(script) }).expect("all as it should be");
    }

    #[test]
    fn a_hook_inherits_no_descriptor() {
        // One that the test's process would pass on: not close-on-exec.
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        let mut reader = std::fs::File::from(reader);
        let raw = fcntl_dup(&writer);
        drop(writer);
        run_one(shell(&format!("[ ! -e /proc/$$/fd/{raw} ]"))).expect("it is not there");
        run_one(shell("echo $(ls /proc/self/fd) >&2; [ \"$(ls /proc/self/fd | wc -l)\" = 4 ]"))
            .expect("stdio and ls's own");
        nix::unistd::close(raw).expect("is open");
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("nobody else has the writer");
    }

    fn fcntl_dup(fd: &impl std::os::fd::AsFd) -> i32 {
        nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_DUPFD(100)).expect("a number is free")
    }

    #[test]
    fn a_failed_hook_is_named_with_its_status_and_output() {
        let error = run_one(shell("echo first; echo 'no such network' >&2; exit 3")).expect_err("it fails");
        assert_eq!(error.kind(), ErrorKind::Hook);
        assert_eq!(
            error.to_string(),
            "hooks.createRuntime[0] (/bin/sh): hook failed: exit status 3: first; no such network"
        );
        let error = run_one(shell("kill -9 $$")).expect_err("it fails");
        assert!(error.to_string().ends_with("hook failed: killed by signal 9"), "{error}");
        let missing = HookRecord { path: "/nowhere/hook".into(), ..HookRecord::default() };
        let error = run_one(missing).expect_err("it fails");
        assert_eq!(
            error.to_string(),
            "hooks.createRuntime[0] (/nowhere/hook): execute the hook: no such file or directory"
        );
    }

    #[test]
    fn long_output_is_cut_at_its_beginning() {
        let error = run_one(shell("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; exit 1"));
        let text = error.expect_err("it fails").to_string();
        assert!(text.len() < OUTPUT_SHOWN * 2 && text.ends_with("line 1998; line 1999"), "{text}");
    }

    #[test]
    fn a_hook_that_takes_too_long_is_killed() {
        // What it has started goes with it: the pipe has no writer left then.
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        let mut reader = std::fs::File::from(reader);
        let fifo = format!("/proc/{}/fd/{}", std::process::id(), writer.as_raw_fd());
        let hook = HookRecord { timeout: Some(1), ..shell(&format!("sleep 600 > {fifo}; true")) };
        let error = run_one(hook).expect_err("it takes too long");
        assert!(error.to_string().contains("longer than 1 s"), "{error}");
        drop(writer);
        reader.read_to_end(&mut Vec::new()).expect("its end");
    }

    #[test]
    fn a_hook_is_killed_when_its_runner_is_interrupted() {
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        let list = [shell("exec sleep 600"), shell("exit 1")];
        // The writer's end readies the reader when it is dropped: at once.
        drop(writer);
        let hooks = Hooks { kind: "prestart", list: &list, bundle: Path::new("/"), interrupt: Some(reader.as_fd()) };
        let error = hooks.run(b"").expect_err("it is interrupted");
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }

    #[test]
    fn a_daemon_left_behind_keeps_nobody_waiting() {
        let directory = std::env::temp_dir();
        let fifo = directory.join(format!("gantry-hook-test-{}", std::process::id()));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        // It holds the hook's output open until the FIFO is opened.
        run_one(shell(&format!("(cat {} >/dev/null) &", fifo.display()))).expect("does not wait for the daemon");
        drop(std::fs::OpenOptions::new().write(true).open(&fifo).expect("lets it go"));
        std::fs::remove_file(&fifo).expect("ours");
    }

    #[test]
    fn the_first_failure_ends_a_list_but_not_that_of_poststop() {
        let list = [shell("exit 1"), shell("exit 2")];
        let hooks = Hooks { kind: "poststop", list: &list, bundle: Path::new("/nowhere"), interrupt: None };
        let error = hooks.run(b"").expect_err("both fail").to_string();
        assert!(error.starts_with("hooks.poststop[0]"), "{error}");
        let all = hooks.run_all(b"");
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[1].starts_with("hooks.poststop[1]"), "{all:?}");
    }

    #[test]
    fn memory_is_read_from_its_beginning_again_after_it_was_set() {
        let memory = Memory::new().expect("a memfd");
        memory.set(b"longer than the other").expect("writes");
        memory.set(b"short").expect("writes");
        let mut copy = std::fs::File::from(memory.as_fd().try_clone_to_owned().expect("duplicates"));
        let mut text = String::new();
        copy.read_to_string(&mut text).expect("reads");
        assert_eq!(text, "short");
        assert_eq!(memory.tail(3).expect("reads"), b"ort");
        assert!(memory.as_fd().as_raw_fd() > 2);
    }
}
