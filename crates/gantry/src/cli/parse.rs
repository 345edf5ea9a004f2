//! Arguments in, flags and values out, by the table.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser};

use super::{Command, Flag, Support, Value, table};
use crate::error::{Error, Result};

/// The flags and arguments that were given.
#[derive(Debug, Default)]
pub struct Parsed {
    flags: Vec<(&'static Flag, OsString)>,
    arguments: Vec<OsString>,
}

impl Parsed {
    /// The flag's value, the last one if it was given more than once.
    pub fn value(&self, flag: &'static Flag) -> Option<&OsStr> {
        self.flags.iter().rev().find(|(given, _)| std::ptr::eq(*given, flag)).map(|(_, value)| value.as_os_str())
    }

    /// The flag's value as a path.
    pub fn path(&self, flag: &'static Flag) -> Option<PathBuf> {
        self.value(flag).map(|value| Path::new(value).to_owned())
    }

    /// The flag's value as a number, 0 if it was not given. It has been checked.
    pub fn number(&self, flag: &'static Flag) -> u32 {
        self.value(flag).and_then(number).unwrap_or(0)
    }

    /// True if the switch was given and is on.
    pub fn is_on(&self, flag: &'static Flag) -> bool {
        self.value(flag).is_some_and(|value| value == "true")
    }

    /// True if the flag has this value.
    pub fn is(&self, flag: &'static Flag, value: &str) -> bool {
        self.value(flag).is_some_and(|given| given == value)
    }

    /// The argument at `index`, which must be UTF-8.
    pub fn argument(&self, index: usize) -> Result<Option<&str>> {
        let Some(argument) = self.arguments.get(index) else { return Ok(None) };
        match argument.to_str() {
            Some(text) => Ok(Some(text)),
            None => Err(Error::usage(format!("{argument:?} is not UTF-8"))),
        }
    }

    /// The argument at `index`, as a path.
    pub fn path_argument(&self, index: usize) -> Option<&Path> {
        self.arguments.get(index).map(Path::new)
    }

    /// The argument at 0 of a command that cannot do without: the parser has seen to it.
    pub fn id(&self) -> Result<&str> {
        Ok(self.argument(0)?.unwrap_or_default())
    }

    fn set(&mut self, flag: &'static Flag, value: OsString) -> Result<()> {
        let value = if flag.value == Value::Switch { switch_value(flag, &value)?.into() } else { value };
        check(flag, &value)?;
        self.flags.push((flag, value));
        Ok(())
    }
}

/// Reads the global flags into `parsed`, and the command's name.
///
/// Goes on after an error, up to the command: the flags behind it may say where the error is to be logged.
pub fn globals(parser: &mut Parser, parsed: &mut Parsed) -> Result<Option<OsString>> {
    let mut first_error = None;
    let mut dashes_end = false;
    let command = loop {
        match next(parser, table::GLOBAL, parsed, &mut dashes_end) {
            Ok(None) => break None,
            Ok(Some(Word::Flag)) => {}
            Ok(Some(Word::Value(command))) => break Some(command),
            Ok(Some(Word::Unknown(name))) => {
                first_error.get_or_insert(Error::usage(format!("unknown flag {name}; see gantry --help")));
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    };
    first_error.map_or(Ok(command), Err)
}

/// Reads a command's flags and arguments.
pub fn command(parser: &mut Parser, command: &'static Command) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    let mut dashes_end = false;
    let flags: Vec<&'static Flag> = command.flags.iter().copied().chain([&table::HELP]).collect();
    while let Some(word) = next(parser, &flags, &mut parsed, &mut dashes_end)? {
        match word {
            Word::Flag => {}
            Word::Value(argument) => parsed.arguments.push(argument),
            Word::Unknown(name) => return Err(unknown(command, &name)),
        }
    }
    if !parsed.is_on(&table::HELP) {
        count(command, &parsed)?;
    }
    Ok(parsed)
}

enum Word {
    /// A flag, which has been recorded.
    Flag,
    Value(OsString),
    /// A flag that is not in the table.
    Unknown(String),
}

/// Reads the next word. `dashes_end` is true once `--` has come by.
fn next(
    parser: &mut Parser,
    flags: &[&'static Flag],
    parsed: &mut Parsed,
    dashes_end: &mut bool,
) -> Result<Option<Word>> {
    if let Some((flag, value)) = single_dash(parser, flags, dashes_end) {
        let value = match (value, flag.value) {
            (Some(value), _) => value,
            (None, Value::Switch) => OsString::from("true"),
            (None, _) => value_of(parser, flag)?,
        };
        parsed.set(flag, value)?;
        return Ok(Some(Word::Flag));
    }
    let (flag, attached) = match parser.next().map_err(wrong)? {
        None => return Ok(None),
        Some(Arg::Value(value)) => return Ok(Some(Word::Value(value))),
        Some(Arg::Long(name)) => match flags.iter().copied().find(|flag| flag.long == name) {
            Some(flag) => (flag, flag.value == Value::Switch),
            None => return Ok(Some(Word::Unknown(format!("--{name}")))),
        },
        Some(Arg::Short(letter)) => match flags.iter().copied().find(|flag| flag.short == Some(letter)) {
            // What follows a switch's letter is the next switch.
            Some(flag) => (flag, false),
            None => return Ok(Some(Word::Unknown(format!("-{letter}")))),
        },
    };
    let value = match flag.value {
        Value::Switch if attached => parser.optional_value().unwrap_or_else(|| "true".into()),
        Value::Switch => "true".into(),
        _ => value_of(parser, flag)?,
    };
    parsed.set(flag, value)?;
    Ok(Some(Word::Flag))
}

/// Takes a long flag with a single dash, as Go's programs send them: `-no-subreaper`, `-root=DIR`.
fn single_dash(
    parser: &mut Parser,
    flags: &[&'static Flag],
    dashes_end: &mut bool,
) -> Option<(&'static Flag, Option<OsString>)> {
    let mut raw = parser.try_raw_args()?;
    let bytes = raw.peek()?.as_bytes();
    if bytes == b"--" {
        *dashes_end = true;
    }
    let name = bytes.strip_prefix(b"-").filter(|name| !*dashes_end && !name.starts_with(b"-"))?;
    let end = name.iter().position(|b| *b == b'=');
    let flag = flags.iter().copied().find(|flag| flag.long.as_bytes() == &name[..end.unwrap_or(name.len())])?;
    let value = end.map(|end| OsStr::from_bytes(&name[end + 1..]).to_owned());
    raw.next();
    Some((flag, value))
}

fn value_of(parser: &mut Parser, flag: &Flag) -> Result<OsString> {
    parser.value().map_err(|_| Error::usage(format!("--{} needs a value ({})", flag.long, flag.value_name())))
}

fn wrong(error: lexopt::Error) -> Error {
    Error::usage(match error {
        lexopt::Error::UnexpectedValue { option, value } => format!("{option} takes no value, but was given {value:?}"),
        other => other.to_string(),
    })
}

/// `true` or `false`, in any spelling that Go's flag package takes.
fn switch_value(flag: &Flag, value: &OsStr) -> Result<&'static str> {
    match value.to_str() {
        Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok("true"),
        Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok("false"),
        _ => Err(Error::usage(format!("--{}: must be true or false, not {value:?}", flag.long))),
    }
}

fn number(value: &OsStr) -> Option<u32> {
    value.to_str()?.parse().ok()
}

fn check(flag: &Flag, value: &OsStr) -> Result<()> {
    let problem = match flag.value {
        Value::Choice(words) if !words.iter().any(|word| value == *word) => {
            format!("must be one of {}, not {value:?}", words.join(", "))
        }
        Value::Number if number(value).is_none() => format!("must be a number, not {value:?}"),
        Value::File | Value::Dir if value.is_empty() => "must not be empty".to_owned(),
        _ => match flag.support {
            Support::Refused { values, because } if values.is_empty() || values.iter().any(|v| value == *v) => {
                because.to_owned()
            }
            _ => return Ok(()),
        },
    };
    Err(Error::usage(format!("--{}: {problem}", flag.long)))
}

fn unknown(command: &Command, name: &str) -> Error {
    if table::GLOBAL.iter().any(|flag| name.strip_prefix("--") == Some(flag.long)) {
        return Error::usage(format!("{name} goes before the command: gantry {name} … {}", command.name));
    }
    Error::usage(format!("gantry {}: unknown flag {name}; see gantry {} --help", command.name, command.name))
}

fn count(command: &Command, parsed: &Parsed) -> Result<()> {
    let given = parsed.arguments.len();
    if let Some(missing) = command.arguments.get(given).filter(|argument| !argument.optional) {
        let (name, usage) = (command.name, command.usage());
        return Err(Error::usage(format!("gantry {name}: {} is missing; usage: gantry {usage}", missing.name)));
    }
    if let Some(extra) = parsed.arguments.get(command.arguments.len()) {
        let (name, usage) = (command.name, command.usage());
        return Err(Error::usage(format!("gantry {name}: unexpected argument {extra:?}; usage: gantry {usage}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::find;

    /// The flags and arguments of a whole line, or the error's text.
    fn parse(line: &[&str]) -> std::result::Result<(Parsed, Parsed), String> {
        let mut parser = Parser::from_args(line);
        let mut global = Parsed::default();
        let name = globals(&mut parser, &mut global).map_err(|e| e.to_string())?;
        let Some(name) = name else { return Ok((global, Parsed::default())) };
        let name = find(name.to_str().expect("UTF-8")).expect("a command");
        Ok((global, command(&mut parser, name).map_err(|e| e.to_string())?))
    }

    fn arguments(parsed: &Parsed) -> Vec<&str> {
        parsed.arguments.iter().map(|a| a.to_str().expect("UTF-8")).collect()
    }

    #[test]
    fn engines_lines_are_understood() {
        // containerd's shim, conmon (the id last), BuildKit (a single dash), a flag behind the id.
        for line in [
            &["--root", "/r", "--log-format", "json", "create", "--bundle", "/b", "--pid-file", "/p", "c1"][..],
            &["--root=/r", "create", "--bundle=/b", "--no-new-keyring", "--pid-file=/p", "c1"],
            &["-root", "/r", "create", "-b", "/b", "-no-subreaper", "-pid-file=/p", "c1"],
            &["-root=/r", "create", "c1", "-b/b", "--pid-file", "/p", "--preserve-fds", "0"],
        ] {
            let (global, parsed) = parse(line).expect("is fine");
            assert_eq!(global.path(&table::ROOT).as_deref(), Some(Path::new("/r")), "{line:?}");
            assert_eq!(parsed.path(&table::BUNDLE).as_deref(), Some(Path::new("/b")), "{line:?}");
            assert_eq!(parsed.path(&table::PID_FILE).as_deref(), Some(Path::new("/p")), "{line:?}");
            assert_eq!(arguments(&parsed), ["c1"], "{line:?}");
        }
    }

    #[test]
    fn switches_are_on_and_off() {
        for (line, on) in [
            (&["delete", "--force", "c"][..], true),
            (&["delete", "-f", "c"], true),
            (&["delete", "-rf", "c"], true),
            (&["delete", "-force=true", "c"], true),
            (&["delete", "--force=1", "c"], true),
            (&["delete", "--force=false", "c"], false),
            (&["delete", "--force", "--force=false", "c"], false),
            (&["delete", "c"], false),
        ] {
            assert_eq!(parse(line).expect("is fine").1.is_on(&table::FORCE), on, "{line:?}");
        }
    }

    #[test]
    fn values_are_taken_as_they_stand() {
        // A value may look like a flag, and what follows `--` is no flag.
        let (_, parsed) = parse(&["create", "--bundle", "-no-pivot", "--", "-keep"]).expect("is fine");
        assert_eq!(parsed.path(&table::BUNDLE).as_deref(), Some(Path::new("-no-pivot")));
        assert_eq!(arguments(&parsed), ["-keep"]);
        let (_, parsed) = parse(&["kill", "--", "-a", "--all"]).expect("is fine");
        assert_eq!(arguments(&parsed), ["-a", "--all"]);
        let (_, parsed) = parse(&["run", "--preserve-fds", "3", "--preserve-fds=4", "c"]).expect("is fine");
        assert_eq!(parsed.number(&table::PRESERVE_FDS), 4);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, text) in [
            (&["--frobnicate"][..], "unknown flag --frobnicate; see gantry --help"),
            (&["-x"], "unknown flag -x; see gantry --help"),
            (&["--root"], "--root needs a value (DIR)"),
            (&["--root", ""], "--root: must not be empty"),
            (&["--log-format", "xml"], "--log-format: must be one of text, json, not \"xml\""),
            (&["--debug=maybe"], "--debug: must be true or false, not \"maybe\""),
            (&["--systemd-cgroup"], "--systemd-cgroup: cgroups made by systemd are not supported yet"),
            (&["--cgroup-manager", "systemd"], "--cgroup-manager: only cgroupfs is supported yet"),
            (&["--rootless=true"], "--rootless: rootless containers are not supported yet"),
            (&["start"], "gantry start: ID is missing; usage: gantry start ID"),
            (&["start", "a", "b"], "gantry start: unexpected argument \"b\"; usage: gantry start ID"),
            (&["start", "--all", "a"], "gantry start: unknown flag --all; see gantry start --help"),
            (&["kill", "--root", "/r", "a"], "--root goes before the command: gantry --root … kill"),
            (&["create", "--console-socket", "s", "a"], "--console-socket: terminals are not supported yet"),
            (&["create", "--no-pivot", "a"], "--no-pivot: a container without pivot_root(2) could leave its root"),
            (&["create", "--preserve-fds", "-1", "a"], "--preserve-fds: must be a number, not \"-1\""),
        ] {
            assert_eq!(parse(line).expect_err("is wrong"), text);
        }
    }

    #[test]
    fn what_has_no_effect_yet_is_taken() {
        for line in [
            &["--systemd-cgroup=false", "--criu", "/usr/sbin/criu", "list"][..],
            &["--cgroup-manager=cgroupfs", "--rootless", "auto", "list"],
            &["--rootless=false", "create", "--no-pivot=false", "--no-subreaper", "c"],
            // Help is given even where arguments are missing.
            &["start", "--help"],
        ] {
            assert!(parse(line).is_ok(), "{line:?}");
        }
    }
}
