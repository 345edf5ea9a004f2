//! The command line by itself: nothing here makes a container.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use integration::{Cmd, Layout, Output, Sandbox, gantry};
use serde_json::{Value, json};

fn sandbox(name: &str) -> Sandbox {
    Sandbox::new(&format!("cli-{name}"), Layout::Host)
}

/// gantry without any flag of the harness's.
fn bare(sandbox: &Sandbox) -> Cmd {
    Cmd::new(gantry(), sandbox.dir())
}

/// The commands that the help lists.
fn commands(sandbox: &Sandbox) -> Vec<String> {
    let help = bare(sandbox).arg("--help").run().ok().stdout;
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    list.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// What a failed command leaves in a JSON log: exactly one line. Its time is checked, and taken out.
#[track_caller]
fn one_error(log: &Path) -> Value {
    let text = fs::read_to_string(log).unwrap();
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    let mut line: Value = serde_json::from_str(&text).unwrap();
    let time = line.as_object_mut().unwrap().remove("time").unwrap();
    let time = time.as_str().unwrap().as_bytes();
    let shape = b"0000-00-00T00:00:00.000000000Z";
    let alike = |(found, wanted): (&u8, &u8)| if *wanted == b'0' { found.is_ascii_digit() } else { found == wanted };
    assert!(time.len() == shape.len() && time.iter().zip(shape).all(alike), "{line}");
    line
}

/// Arguments, exit code, and what is said; @ stands for the sandbox's directory.
const FAILURES: &[(&[&str], i32, &str)] = &[
    // The line itself.
    (&["--frobnicate", "list"], 1, "unknown flag --frobnicate; see gantry --help"),
    (&["frobnicate"], 1, "unknown command \"frobnicate\"; see gantry --help"),
    (&["--log-level=loud", "list"], 1, "--log-level: must be one of debug, info, warn, warning, error, not \"loud\""),
    (&["--systemd-cgroup", "list"], 1, "--systemd-cgroup: cgroups made by systemd are not supported yet"),
    (&["--cgroup-manager", "disabled", "list"], 1, "--cgroup-manager: only cgroupfs is supported yet"),
    (&["--rootless", "true", "list"], 1, "--rootless: rootless containers are not supported yet"),
    (&["create"], 1, "gantry create: ID is missing; usage: gantry create [FLAGS] ID"),
    (&["create", "--bundle"], 1, "--bundle needs a value (DIR)"),
    (&["create", "--console-socket", "s", "c"], 1, "--console-socket: terminals are not supported yet"),
    (&["run", "--pidfd-socket=s", "c"], 1, "--pidfd-socket: sending a pidfd is not supported yet"),
    (&["run", "--no-pivot", "c"], 1, "--no-pivot: a container without pivot_root(2) could leave its root"),
    (&["create", "--preserve-fds", "many", "c"], 1, "--preserve-fds: must be a number, not \"many\""),
    (&["start", "--force", "c"], 1, "gantry start: unknown flag --force; see gantry start --help"),
    (&["state", "c", "d"], 1, "gantry state: unexpected argument \"d\"; usage: gantry state ID"),
    (&["list", "--format", "yaml"], 1, "--format: must be one of table, json, not \"yaml\""),
    (&["list", "--root", "/"], 1, "--root goes before the command: gantry --root … list"),
    (&["kill", "c", "FOO"], 1, "unknown signal \"FOO\""),
    (&["kill", "c", "65"], 1, "unknown signal \"65\""),
    (&["completion", "csh"], 1, "no completion for \"csh\": only for bash, zsh, fish"),
    (&["help", "frobnicate"], 1, "unknown command \"frobnicate\"; see gantry --help"),
    (&["explain", "--bundle", "a", "b"], 1, "gantry explain: BUNDLE and --bundle are the same thing twice"),
    // What is known by name only.
    (&["exec", "c", "ls", "-l"], 255, "gantry exec: not implemented yet"),
    (&["pause", "c"], 1, "gantry pause: not implemented yet"),
    (&["ps", "--format", "json", "c"], 1, "gantry ps: not implemented yet"),
    (&["update", "--resources", "-", "c"], 1, "gantry update: not implemented yet"),
    (&["help", "exec"], 1, "gantry exec: not implemented yet"),
    // Containers and bundles that are not there.
    (&["state", "c"], 1, "container does not exist"),
    (&["start", "c"], 1, "container does not exist"),
    (&["kill", "c"], 1, "container does not exist"),
    (&["kill", "--all", "c", "9"], 1, "container does not exist"),
    (&["delete", "c"], 1, "container does not exist"),
    (&["state", "../c"], 1, "invalid container ID \"../c\": '/' is not a letter, a digit or one of _ + , - ."),
    (&["delete", "--force", ""], 1, "invalid container ID \"\": it is empty"),
    (&["create", "--bundle", "@/none", "c"], 1, "open bundle \"@/none\": no such file or directory"),
    (&["run", "--bundle", "@", "c"], 1, "open config \"@/config.json\": no such file or directory"),
    (&["create", "--bundle", "@", "--config", "@/state", "c"], 1, "read config \"@/state\": not a regular file"),
    (&["explain", "@/none"], 1, "open bundle \"@/none\": no such file or directory"),
    (&["spec", "--bundle", "@/none"], 1, "create \"@/none/config.json\": no such file or directory"),
];

#[test]
fn failures_are_told_on_stderr_and_in_one_line_of_the_log() {
    let sandbox = sandbox("failures");
    let dir = sandbox.dir().to_str().unwrap();
    for (index, (arguments, code, text)) in FAILURES.iter().enumerate() {
        let arguments: Vec<_> = arguments.iter().map(|a| a.replace('@', dir)).collect();
        let text = text.replace('@', dir);
        let log = sandbox.dir().join(format!("log-{index}"));
        // As containerd's shim calls: the log's flags last of the global ones, behind what may be wrong.
        let at = arguments.iter().take_while(|a| a.starts_with("--")).count();
        let at = if arguments[..at].iter().any(|a| !a.contains('=') && takes_value(a)) { at + 1 } else { at };
        let (global, rest) = arguments.split_at(at);
        let output = sandbox.gantry(global).arg("--log").arg(&log).args(["--log-format", "json"]).args(rest).run();
        let output = output.exits(*code);
        assert_eq!(
            (output.stderr.as_str(), output.stdout.as_str()),
            (format!("{text}\n").as_str(), ""),
            "{arguments:?}"
        );
        let line = one_error(&log);
        assert_eq!((&line["level"], &line["msg"]), (&json!("error"), &json!(text)), "{arguments:?}");

        // Without a log, standard error is the log.
        let output = sandbox.gantry(&arguments).run().exits(*code);
        assert_eq!(output.stderr, format!("{text}\n"), "{arguments:?}");
        let output = sandbox.gantry(["--log-format=json"]).args(&arguments).run().exits(*code);
        let line: Value = serde_json::from_str(&output.stderr).unwrap();
        assert_eq!(line["msg"], json!(text), "{arguments:?}");
    }
    assert_eq!(fs::read_dir(sandbox.root()).unwrap().count(), 0, "a container was left behind");
}

fn takes_value(flag: &str) -> bool {
    ["--cgroup-manager", "--rootless", "--log-level"].contains(&flag)
}

#[test]
fn an_errors_cause_is_in_the_log_too() {
    let sandbox = sandbox("cause");
    let log = sandbox.dir().join("log");
    let missing = sandbox.dir().join("none");
    sandbox
        .gantry(["--log-format=json", "--log"])
        .arg(&log)
        .args(["create", "-b"])
        .arg(&missing)
        .arg("c")
        .run()
        .exits(1);
    let line = one_error(&log);
    assert_eq!((&line["op"], &line["errno"]), (&json!("open bundle"), &json!(2)));

    fs::write(sandbox.dir().join("config.json"), r#"{"ociVersion":"1.0.0","process":{"cwd":7}}"#).unwrap();
    fs::remove_file(&log).unwrap();
    sandbox
        .gantry(["--log-format=json", "--log"])
        .arg(&log)
        .args(["create", "-b"])
        .arg(sandbox.dir())
        .arg("c")
        .run()
        .exits(1);
    assert_eq!(one_error(&log)["field"], "process.cwd");
}

#[test]
fn a_text_log_has_a_level_and_a_time() {
    let sandbox = sandbox("text-log");
    let log = sandbox.dir().join("log");
    for _ in 0..2 {
        sandbox.gantry(["--debug", "--log"]).arg(&log).args(["state", "c"]).run().fails(1, "container does not exist");
    }
    // Two commands, each with what --debug adds.
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    for pair in lines.chunks(2) {
        assert!(pair[0].starts_with("time=\"2") && pair[0].contains("\" level=debug msg=\"gantry "), "{text}");
        assert!(pair[1].ends_with(" level=error msg=\"container does not exist\""), "{text}");
    }
}

#[test]
fn a_log_that_cannot_be_written_is_an_error() {
    let sandbox = sandbox("no-log");
    let output = sandbox.gantry(["--log", "/nowhere/log", "list"]).run().exits(1);
    assert_eq!(output.stderr, "open the log \"/nowhere/log\": no such file or directory\n");
    let output = sandbox.gantry(["--log", "/dev/full", "state", "c"]).run().exits(1);
    assert_eq!(output.stderr, "write the log \"/dev/full\": no space left on device\ncontainer does not exist\n");
}

#[test]
fn output_that_nobody_takes_is_an_error_unless_its_reader_has_gone() {
    let sandbox = sandbox("output");
    let shell = |script: &str| sandbox.program("bash").args(["-c", script]).env("G", gantry()).run().ok();
    let output = shell("\"$G\" --help >/dev/full; echo $?");
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("1\n", "write standard output: no space left on device\n")
    );
    let output = shell("\"$G\" --help | true; echo ${PIPESTATUS[0]}");
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("0\n", ""));
}

#[test]
fn closed_standard_streams_are_not_taken_for_files() {
    let sandbox = sandbox("closed");
    let log = sandbox.dir().join("log");
    // With 0 to 2 closed, the log would be opened as standard error, and be written to twice.
    let script = "\"$G\" --log-format json --log \"$LOG\" --root \"$ROOT\" state c <&- >&- 2>&-; exit $?";
    let shell = sandbox.program("bash").args(["-c", script]).env("G", gantry()).env("LOG", &log);
    shell.env("ROOT", sandbox.root()).run().exits(1);
    assert_eq!(one_error(&log)["msg"], "container does not exist");
}

#[test]
fn the_version_is_what_docker_parses() {
    let sandbox = sandbox("version");
    for flag in ["--version", "-v", "-version"] {
        let output = bare(&sandbox).arg(flag).run().ok();
        let lines: Vec<_> = output.stdout.lines().collect();
        let [version, commit, spec] = lines[..] else { panic!("{}", output.stdout) };
        assert_eq!(version, concat!("gantry version ", env!("CARGO_PKG_VERSION")));
        assert!(commit.strip_prefix("commit: ").is_some_and(|c| !c.is_empty()), "{commit}");
        assert_eq!(spec, "spec: 1.3.0");
        assert_eq!((output.stdout.matches("version").count(), output.stderr.as_str()), (1, ""));
    }
}

#[test]
fn help_is_the_same_however_it_is_asked_for() {
    let sandbox = sandbox("help");
    let overview = bare(&sandbox).run().ok().stdout;
    for arguments in [&["help"][..], &["--help"], &["-h"], &["--root", "/r", "--help", "list"]] {
        assert_eq!(bare(&sandbox).args(arguments).run().ok().stdout, overview);
    }
    let names = commands(&sandbox);
    for name in
        ["create", "start", "state", "kill", "delete", "run", "list", "spec", "features", "explain", "completion"]
    {
        assert!(names.iter().any(|n| n == name), "{name} is not in {overview}");
    }
    assert!(!names.iter().any(|name| name == "exec" || name == "man"), "{overview}");
    for name in &names {
        let text = bare(&sandbox).args(["help", name]).run().ok().stdout;
        assert!(text.contains(&format!("Usage: gantry {name}")), "{text}");
        for flag in ["--help", "-h"] {
            assert_eq!(bare(&sandbox).arg(name).arg(flag).run().ok().stdout, text);
        }
    }
}

#[test]
fn manual_pages_are_roff_without_complaints() {
    let sandbox = sandbox("man");
    let names: Vec<_> = commands(&sandbox).into_iter().map(Some).chain([None]).collect();
    for name in names {
        let page = bare(&sandbox).arg("man").args(&name).run().ok().stdout;
        let title = name.as_ref().map_or("GANTRY".to_owned(), |name| format!("GANTRY\\-{}", name.to_uppercase()));
        assert!(page.starts_with(&format!(".TH {title} 8 ")), "{page}");
        for line in page.lines() {
            let request = line.split(' ').next().filter(|word| word.starts_with(['.', '\'']));
            assert!(request.is_none_or(|r| [".TH", ".SH", ".TP", ".PP"].contains(&r)), "{line}");
        }
    }
}

#[test]
fn features_say_what_the_specification_wants_and_no_more_than_is_true() {
    let sandbox = sandbox("features");
    let output = bare(&sandbox).arg("features").run().ok();
    assert_eq!(output.stderr, "");
    let features = output.json();
    assert_eq!((&features["ociVersionMin"], &features["ociVersionMax"]), (&json!("1.0.0"), &json!("1.3.0")));
    let hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    assert_eq!(features["hooks"], json!(hooks));
    let linux = &features["linux"];
    assert_eq!(linux["namespaces"], json!(["cgroup", "ipc", "mount", "network", "pid", "uts"]));
    for absent in ["seccomp", "apparmor", "selinux", "intelRdt", "netDevices"] {
        assert_eq!(linux[absent], json!({ "enabled": false }), "{absent}");
    }
    assert_eq!(linux["mountExtensions"]["idmap"]["enabled"], json!(false));
    assert_eq!((&linux["cgroup"]["v1"], &linux["cgroup"]["systemd"]), (&json!(true), &json!(false)));
    let strings = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).unwrap() };
    let options = strings(&features["mountOptions"]);
    assert!(options.is_sorted(), "{options:?}");
    for option in ["bind", "rbind", "ro", "rro", "rprivate", "nosymfollow"] {
        assert!(options.iter().any(|o| o == option), "{option}");
    }
    let capabilities = strings(&linux["capabilities"]);
    assert_eq!((capabilities[0].as_str(), capabilities.len()), ("CAP_CHOWN", 41));
    let word = |c: char| c.is_ascii_uppercase() || c == '_';
    assert!(capabilities.iter().all(|c| c.strip_prefix("CAP_").is_some_and(|name| name.chars().all(word))));
    // The keys of the specification's schema.
    let known = |value: &Value, keys: &[&str]| {
        let found: BTreeSet<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let unknown: Vec<_> = found.difference(&keys.iter().copied().collect()).copied().collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    };
    known(
        &features,
        &[
            "ociVersionMin",
            "ociVersionMax",
            "hooks",
            "mountOptions",
            "annotations",
            "potentiallyUnsafeConfigAnnotations",
            "linux",
        ],
    );
    known(
        linux,
        &[
            "namespaces",
            "capabilities",
            "cgroup",
            "seccomp",
            "apparmor",
            "selinux",
            "intelRdt",
            "mountExtensions",
            "netDevices",
        ],
    );
}

#[test]
fn spec_writes_a_config_that_can_be_explained_and_overwrites_nothing() {
    let sandbox = sandbox("spec");
    let spec = |arguments: &[&str]| sandbox.gantry(["spec", "--bundle"]).arg(sandbox.dir()).args(arguments).run();
    let output = spec(&[]).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    let path = sandbox.dir().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\n  \"ociVersion\": \"1.3.0\",\n  \"process\": {\n    \"terminal\": true,\n"), "{text}");
    spec(&[]).fails(1, "config.json\" exists: remove it first");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    fs::write(&path, text.replace("\"terminal\": true", "\"terminal\": false")).unwrap();
    let plan = sandbox.gantry(["explain"]).arg(sandbox.dir()).run().ok().stdout;
    assert!(plan.contains("mounts[0] (/proc)"), "{plan}");
    let plan = sandbox.gantry(["explain", "--format", "json", "-b"]).arg(sandbox.dir()).run().json();
    assert!(plan["ops"].as_array().unwrap().iter().any(|op| op["field"] == "mounts[0]"), "{plan}");

    spec(&["--rootless", "--file", "rootless.json"]).ok();
    let config: Value =
        serde_json::from_str(&fs::read_to_string(sandbox.dir().join("rootless.json")).unwrap()).unwrap();
    let uid = nix::unistd::geteuid().as_raw();
    assert_eq!(config["linux"]["uidMappings"], json!([{ "containerID": 0, "hostID": uid, "size": 1 }]));
}

#[test]
fn without_containers_there_is_nothing_to_list_or_delete() {
    let sandbox = sandbox("empty");
    let head = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n";
    assert_eq!(sandbox.gantry(["list"]).run().ok().stdout, head);
    assert_eq!(sandbox.gantry(["list", "-q"]).run().ok().stdout, "");
    assert_eq!(sandbox.gantry(["list", "--format=json"]).run().json(), json!([]));
    sandbox.gantry(["delete", "--force", "c"]).run().ok();
    sandbox.gantry(["delete", "--regex", "c.*"]).run().ok();
    sandbox.gantry(["kill", "--regex", "c(", "9"]).run().fails(1, "--regex: \"c(\": ");
}

#[test]
fn a_broken_container_does_not_keep_others_from_being_listed() {
    let sandbox = sandbox("broken");
    let broken = sandbox.root().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("state.json"), "{").unwrap();
    let output = sandbox.gantry(["list", "--format", "json"]).run().ok();
    assert!(output.stderr.starts_with("warning: container broken: "), "{}", output.stderr);
    assert_eq!(output.json(), json!([]));
    let names = sandbox.gantry(["list", "--quiet"]).run().ok().stdout;
    assert_eq!(names, "broken\n");
    sandbox.gantry(["delete", "--regex", "^brok"]).run().exits(1);
    sandbox.gantry(["delete", "--force", "--regex", "^brok"]).run().ok();
    assert!(!broken.exists());
}

#[test]
fn the_root_directory_is_the_users_own() {
    let sandbox = sandbox("root");
    let made = sandbox.dir().join("gantry/found");
    fs::create_dir_all(&made).unwrap();
    let list = |user: &str| {
        let list = bare(&sandbox).args(["list", "--quiet"]).env("XDG_RUNTIME_DIR", sandbox.dir()).env("USER", user);
        list.run().ok().stdout
    };
    if !integration::is_root() {
        assert_eq!(list("somebody"), "found\n");
        return;
    }
    // Root of the host, whoever $USER says it is.
    assert!(!list("somebody").contains("found"));
    assert!(!list("root").contains("found"));
    // Root of a user namespace.
    let mapped = |user: &str| {
        let command = sandbox.program("unshare").args(["--user", "--map-root-user"]).arg(gantry()).args(["list", "-q"]);
        let output = command.env("XDG_RUNTIME_DIR", sandbox.dir()).env("USER", user).run();
        (output.code() == Some(0)).then_some(output.stdout)
    };
    let Some(found) = mapped("somebody") else { integration::skip!("needs user namespaces") };
    assert_eq!(found, "found\n");
    assert!(mapped("root").is_some_and(|found| !found.contains("found")));
}

/// What bash offers for a line whose last word is being typed.
fn bash(sandbox: &Sandbox, words: &[&str]) -> BTreeSet<String> {
    let script = r#"
        source <("$G" completion bash)
        compopt() { :; }
        gantry() { [ "$*" = "--root /r list --quiet" ] && echo c1 c2; }
        COMP_WORDS=(gantry "$@") COMP_CWORD=$#
        _gantry
        printf '%s\n' "${COMPREPLY[@]}""#;
    let shell = sandbox.program("bash").args(["--norc", "-c", script, "bash"]).args(words).env("G", gantry());
    let output = shell.current_dir(sandbox.dir()).run().ok();
    assert_eq!(output.stderr, "", "{words:?}");
    output.stdout.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_what_the_table_has() {
    let sandbox = sandbox("bash");
    let offers = |words: &[&str], expected: &[&str]| {
        assert_eq!(bash(&sandbox, words), expected.iter().map(|&s| s.to_owned()).collect(), "{words:?}");
    };
    offers(&["st"], &["start", "state"]);
    offers(&["--log-f"], &["--log-format"]);
    offers(&["--log-format", ""], &["text", "json"]);
    offers(&["--log", "x", "--debug", "del"], &["delete"]);
    offers(&["--log-format", "="], &["text", "json"]);
    offers(&["--log-format", "=", "j"], &["json"]);
    offers(&["--root", "=", "/r", "start", ""], &["c1", "c2"]);
    offers(&["--root", "/r", "kill", ""], &["c1", "c2"]);
    offers(&["--root", "/r", "kill", "c1", "US"], &["USR1", "USR2"]);
    offers(&["--root", "/r", "kill", "--all", "c1", "K"], &["KILL"]);
    offers(&["delete", "--"], &["--force", "--regex", "--help"]);
    offers(&["run", "--pi"], &["--pid-file"]);
    offers(&["run", "--bundle", "sta"], &["state"]);
    offers(&["run", "-b", "state", "--preserve-fds", "3", "--de"], &["--detach"]);
    offers(&["list", "-f", ""], &["table", "json"]);
    offers(&["completion", ""], &["bash", "zsh", "fish"]);
    offers(&["help", "expl"], &["explain"]);
}

/// Runs another shell's own check of the script; that shell may not be there.
fn other_shell(name: &str, check: &str) -> Option<Output> {
    let sandbox = sandbox(name);
    let there = std::process::Command::new(name).args(["-c", "true"]).output().is_ok();
    there.then(|| sandbox.program(name).args(["-c", check]).env("G", gantry()).run())
}

#[test]
fn zsh_takes_its_script() {
    // compinit wants a terminal; that the function can be defined and its specs be parsed shows without.
    let check = r#"
        autoload -Uz compinit && compinit -u -D
        script="$("$G" completion zsh)"
        eval "${script%_gantry \"\$@\"}" && (( $+functions[_gantry] ))"#;
    let Some(output) = other_shell("zsh", check) else { integration::skip!("needs zsh") };
    assert_eq!(output.ok().stderr, "");
}

#[test]
fn fish_completes_what_the_table_has() {
    let check = r#"
        $G completion fish | source
        function gantry; string match -q -- "list --quiet" "$argv"; and echo c1; end
        complete -C 'gantry start '
        complete -C 'gantry st'
        complete -C 'gantry delete --fo'
        complete -C 'gantry --log-format '"#;
    let Some(output) = other_shell("fish", check) else { integration::skip!("needs fish") };
    let output = output.ok();
    let words: Vec<_> = output.stdout.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(
        (words.as_slice(), output.stderr.as_str()),
        (&["c1", "start", "state", "--force", "json", "text"][..], "")
    );
}

/// The lines that engines sent to a runtime, with their paths led astray: each is understood.
#[test]
fn engines_lines_are_understood() {
    let sandbox = sandbox("engines");
    let calls = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/configs/calls.log")).unwrap();
    let mut seen = 0;
    for call in calls.lines() {
        let (_, line) = call.split_once(": ").unwrap();
        let line = line.replace('/', "_");
        let output = sandbox.gantry(line.split(' ')).current_dir(sandbox.dir()).run();
        let expected: &[&str] = match line.split(' ').find(|word| COMMANDS.contains(word)) {
            None => &[""],
            Some("create") if line.contains("--console-socket") => {
                &["--console-socket: terminals are not supported yet\n"]
            }
            Some("create") => &["open bundle \""],
            Some("start" | "state" | "kill") => &["container does not exist\n"],
            Some("delete") if line.contains("--force") => &[""],
            Some("delete") => &["container does not exist\n"],
            Some(other) => {
                assert_eq!(output.stderr, format!("gantry {other}: not implemented yet\n"), "{call}");
                continue;
            }
        };
        assert!(expected.iter().any(|text| output.stderr.starts_with(text)), "{call}: {}", output.stderr);
        assert_eq!(output.code() == Some(0), expected == [""], "{call}: {}", output.stderr);
        seen += 1;
    }
    assert!(seen > 30, "only {seen} lines");
}

const COMMANDS: &[&str] =
    &["create", "start", "state", "kill", "delete", "exec", "update", "pause", "resume", "ps", "checkpoint", "restore"];
