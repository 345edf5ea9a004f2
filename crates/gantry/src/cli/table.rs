//! Every command and flag of gantry, as runc, crun and the engines that call them have them.

use super::Support::{NoEffect, Refused, Works};
use super::{Action, Argument, Command, Flag, Kind, Value};
use crate::commands;

const NO_TERMINAL: &str = "terminals are not supported yet";
const NO_PIDFD_SOCKET: &str = "sending a pidfd is not supported yet";
const NO_CHROOT: &str = "a container without pivot_root(2) could leave its root";
const NO_SYSTEMD: &str = "cgroups made by systemd are not supported yet";
const NO_ROOTLESS: &str = "rootless containers are not supported yet";

const fn switch(long: &'static str, help: &'static str) -> Flag {
    flag(long, Value::Switch, help)
}

const fn flag(long: &'static str, value: Value, help: &'static str) -> Flag {
    Flag { long, short: None, value, help, support: Works }
}

impl Flag {
    const fn short(mut self, letter: char) -> Flag {
        self.short = Some(letter);
        self
    }

    const fn no_effect(mut self, because: &'static str) -> Flag {
        self.support = NoEffect(because);
        self
    }

    const fn refused(mut self, values: &'static [&'static str], because: &'static str) -> Flag {
        self.support = Refused { values, because };
        self
    }
}

/// Prints help.
pub static HELP: Flag = switch("help", "print help").short('h');
/// Prints the version.
pub static VERSION: Flag = switch("version", "print the version").short('v');
/// Logs more.
pub static DEBUG: Flag = switch("debug", "log debug messages too, as --log-level debug does");
/// Where the log goes.
pub static LOG: Flag = flag("log", Value::File, "append log messages to this file (default: standard error)");
/// The log's format.
pub static LOG_FORMAT: Flag = flag("log-format", Value::Choice(&["text", "json"]), "the log's format (default: text)");
/// What is logged.
pub static LOG_LEVEL: Flag = flag(
    "log-level",
    Value::Choice(&["debug", "info", "warn", "warning", "error"]),
    "the least level that is logged (default: info)",
);
/// Where state is kept.
pub static ROOT: Flag =
    flag("root", Value::Dir, "keep state here (default: /run/gantry or, rootless, $XDG_RUNTIME_DIR/gantry)");
static SYSTEMD_CGROUP: Flag =
    switch("systemd-cgroup", "let systemd make cgroups (not yet)").refused(&["true"], NO_SYSTEMD);
static CGROUP_MANAGER: Flag = flag(
    "cgroup-manager",
    Value::Choice(&["cgroupfs", "systemd", "disabled"]),
    "who makes cgroups (default: cgroupfs)",
)
.refused(&["systemd", "disabled"], "only cgroupfs is supported yet");
static ROOTLESS: Flag =
    flag("rootless", Value::Choice(&["auto", "true", "false"]), "whether to run without root (default: auto)")
        .refused(&["true"], NO_ROOTLESS);
static CRIU: Flag = flag("criu", Value::File, "the criu program").no_effect("checkpoints are not supported yet");

/// The flags that come before the command.
pub static GLOBAL: &[&Flag] = &[
    &DEBUG,
    &LOG,
    &LOG_FORMAT,
    &LOG_LEVEL,
    &ROOT,
    &SYSTEMD_CGROUP,
    &CGROUP_MANAGER,
    &ROOTLESS,
    &CRIU,
    &VERSION,
    &HELP,
];

/// The bundle's directory.
pub static BUNDLE: Flag = flag("bundle", Value::Dir, "the bundle's directory (default: .)").short('b');
/// The config's name.
pub static CONFIG: Flag = flag("config", Value::File, "the config (default: config.json in the bundle)").short('f');
static CONSOLE_SOCKET: Flag =
    flag("console-socket", Value::File, "where to send the terminal").refused(&[], NO_TERMINAL);
static PIDFD_SOCKET: Flag = flag("pidfd-socket", Value::File, "where to send a pidfd").refused(&[], NO_PIDFD_SOCKET);
/// Where the pid is written to.
pub static PID_FILE: Flag = flag("pid-file", Value::File, "write the pid of the container's process here");
static NO_PIVOT: Flag = switch("no-pivot", "do without pivot_root").refused(&["true"], NO_CHROOT);
static NO_NEW_KEYRING: Flag =
    switch("no-new-keyring", "keep the caller's session keyring").no_effect("gantry never makes a session keyring");
/// How many descriptors the container inherits.
pub static PRESERVE_FDS: Flag =
    flag("preserve-fds", Value::Number, "pass N descriptors on, from 3 upwards (default: 0)");
static NO_SUBREAPER: Flag =
    switch("no-subreaper", "adopt no orphans").no_effect("gantry never adopts a container's orphans");
/// Where the timeline goes.
pub static TRACE: Flag =
    flag("trace", Value::File, "write a timeline of the creation (Chrome trace JSON; also $GANTRY_TRACE)");
/// Does not wait for the container.
pub static DETACH: Flag = switch("detach", "do not wait for the container to end").short('d');
/// Does not delete the container.
pub static KEEP: Flag = switch("keep", "do not delete the container when it has ended");
/// Signals every process.
pub static ALL: Flag = switch("all", "signal every process of the container").short('a');
/// Takes the id for a pattern.
pub static REGEX: Flag =
    switch("regex", "take ID for a regular expression; act on each container that matches").short('r');
/// Kills first.
pub static FORCE: Flag =
    switch("force", "kill the container first if it runs; no error if it does not exist").short('f');
/// A list's format.
pub static LIST_FORMAT: Flag =
    flag("format", Value::Choice(&["table", "json"]), "the output's format (default: table)").short('f');
/// Only ids.
pub static QUIET: Flag = switch("quiet", "print ids only").short('q');
/// A config for users other than root.
pub static SPEC_ROOTLESS: Flag = switch("rootless", "a config for a container in a user namespace of yours");
/// The config's file.
pub static SPEC_FILE: Flag = flag("file", Value::File, "the file to write (default: config.json)").short('f');
/// A plan's format.
pub static EXPLAIN_FORMAT: Flag =
    flag("format", Value::Choice(&["text", "json"]), "the output's format (default: text)");

const ID: Argument = Argument { name: "ID", kind: Kind::Container, optional: false };
const NEW_ID: Argument = Argument { name: "ID", kind: Kind::NewContainer, optional: false };
const SHELLS: &[&str] = &["bash", "zsh", "fish"];

const fn command(name: &'static str, summary: &'static str, action: Action) -> Command {
    Command { name, summary, details: &[], arguments: &[], flags: &[], action, hidden: false, failure: 1 }
}

const fn not_yet(name: &'static str, summary: &'static str) -> Command {
    command(name, summary, Action::NotYet)
}

/// Every command, in the order of the help.
pub static COMMANDS: &[Command] = &[
    Command {
        details: &[
            "The container's process is set up as config.json says and then waits for `gantry start`.",
            "Interrupted by SIGINT, SIGTERM, SIGHUP or SIGQUIT, gantry takes away what it has made.",
        ],
        arguments: &[NEW_ID],
        flags: &[
            &BUNDLE,
            &CONFIG,
            &CONSOLE_SOCKET,
            &PIDFD_SOCKET,
            &PID_FILE,
            &NO_PIVOT,
            &NO_NEW_KEYRING,
            &PRESERVE_FDS,
            &NO_SUBREAPER,
            &TRACE,
        ],
        ..command("create", "create a container from a bundle", Action::Run(commands::create::create))
    },
    Command {
        details: &["A program that cannot be executed is reported here: what is missing, and where it was looked for."],
        arguments: &[ID],
        ..command("start", "start the program of a created container", Action::Run(commands::lifecycle::start))
    },
    Command {
        details: &[
            "Without --detach, gantry waits for the container, passes the signals that it gets on to it, deletes it \
             (unless --keep is given) and exits with its status: 128 and the signal's number if one has killed it.",
        ],
        arguments: &[NEW_ID],
        flags: &[
            &BUNDLE,
            &CONFIG,
            &CONSOLE_SOCKET,
            &PIDFD_SOCKET,
            &PID_FILE,
            &NO_PIVOT,
            &NO_NEW_KEYRING,
            &PRESERVE_FDS,
            &NO_SUBREAPER,
            &TRACE,
            &DETACH,
            &KEEP,
        ],
        ..command("run", "create and start a container, and wait for its end", Action::Run(commands::create::run))
    },
    Command {
        details: &["The status is one of creating, created, running, stopped. The pid of a stopped container is 0."],
        arguments: &[ID],
        ..command("state", "print a container's state as JSON", Action::Run(commands::lifecycle::state))
    },
    Command {
        details: &[
            "SIGNAL is a number or a name, with or without SIG: 9, KILL, SIGKILL, RTMIN+3. The default is TERM.",
        ],
        arguments: &[ID, Argument { name: "SIGNAL", kind: Kind::Signal, optional: true }],
        flags: &[&ALL, &REGEX],
        ..command("kill", "send a signal to a container", Action::Run(commands::lifecycle::kill))
    },
    Command {
        details: &["A container that was created but never started is killed; one that runs only with --force."],
        arguments: &[ID],
        flags: &[&FORCE, &REGEX],
        ..command("delete", "delete a container that has stopped", Action::Run(commands::lifecycle::delete))
    },
    Command {
        details: &["A container whose state cannot be read is left out, with a warning."],
        flags: &[&LIST_FORMAT, &QUIET],
        ..command("list", "list containers", Action::Run(commands::list::list))
    },
    Command {
        details: &[
            "The config is a beginning, to be edited: a shell on a terminal in the bundle's directory `rootfs`. \
             An existing file is not overwritten.",
        ],
        flags: &[&BUNDLE, &SPEC_ROOTLESS, &SPEC_FILE],
        ..command("spec", "write a config.json to begin with", Action::Run(commands::spec::spec))
    },
    command("features", "print what this runtime supports, as JSON", Action::Run(commands::features::features)),
    Command {
        details: &[
            "Prints every step of the container's creation, with the config field that each one serves. Nothing is \
             run, and no privilege is needed. The bundle is the current directory unless BUNDLE or --bundle says \
             otherwise.",
        ],
        arguments: &[Argument { name: "BUNDLE", kind: Kind::Dir, optional: true }],
        flags: &[&BUNDLE, &CONFIG, &EXPLAIN_FORMAT],
        ..command("explain", "print the steps of a bundle's creation", Action::Run(commands::explain::explain))
    },
    Command {
        details: &["For bash: source <(gantry completion bash)"],
        arguments: &[Argument { name: "SHELL", kind: Kind::Choice(SHELLS), optional: false }],
        ..command("completion", "print a shell's completion script", Action::Run(commands::text::completion))
    },
    Command {
        arguments: &[Argument { name: "COMMAND", kind: Kind::Command, optional: true }],
        ..command("help", "print help on a command", Action::Run(commands::text::help))
    },
    Command {
        arguments: &[Argument { name: "COMMAND", kind: Kind::Command, optional: true }],
        hidden: true,
        ..command("man", "print a manual page in roff", Action::Run(commands::text::man))
    },
    // runc and crun call 255 what fails before the new process runs, so that it is not taken for its status.
    Command { failure: 255, ..not_yet("exec", "run another process in a container") },
    not_yet("pause", "suspend all processes of a container"),
    not_yet("resume", "resume all processes of a container"),
    not_yet("ps", "list the processes of a container"),
    not_yet("events", "print events and statistics of a container"),
    not_yet("update", "change a container's resource limits"),
    not_yet("checkpoint", "checkpoint a running container"),
    not_yet("restore", "restore a container from a checkpoint"),
    not_yet("mounts", "add or remove mounts of a running container"),
    not_yet("check", "check a bundle and this host"),
];
