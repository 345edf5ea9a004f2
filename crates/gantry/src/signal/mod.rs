//! Signals: their names, and what `create` and `run` do when they get one.

pub mod watch;

use nix::libc;

use crate::error::{Error, Result};

/// The highest signal number of Linux.
const HIGHEST: i32 = 64;
/// The lowest real-time signal that programs can use: the C library keeps 32 and 33. As runc and crun have it.
const RTMIN: i32 = 34;

const NAMES: &[(&str, i32)] = &[
    ("ABRT", libc::SIGABRT),
    ("ALRM", libc::SIGALRM),
    ("BUS", libc::SIGBUS),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("FPE", libc::SIGFPE),
    ("HUP", libc::SIGHUP),
    ("ILL", libc::SIGILL),
    ("INT", libc::SIGINT),
    ("IO", libc::SIGIO),
    ("IOT", libc::SIGABRT),
    ("KILL", libc::SIGKILL),
    ("PIPE", libc::SIGPIPE),
    ("POLL", libc::SIGIO),
    ("PROF", libc::SIGPROF),
    ("PWR", libc::SIGPWR),
    ("QUIT", libc::SIGQUIT),
    ("RTMAX", HIGHEST),
    ("RTMIN", RTMIN),
    ("SEGV", libc::SIGSEGV),
    ("STKFLT", libc::SIGSTKFLT),
    ("STOP", libc::SIGSTOP),
    ("SYS", libc::SIGSYS),
    ("TERM", libc::SIGTERM),
    ("TRAP", libc::SIGTRAP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("VTALRM", libc::SIGVTALRM),
    ("WINCH", libc::SIGWINCH),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
];

/// The number of a signal that is given as one, or by name: `9`, `KILL`, `sigkill`, `RTMIN+3`, `SIGRTMAX-1`.
pub fn number(text: &str) -> Result<i32> {
    let number = match text.parse::<i32>() {
        Ok(number) => Some(number),
        Err(_) => named(&text.to_ascii_uppercase()),
    };
    // 0 is no signal, but kill(2) takes it, to find out whether there is anybody.
    number.filter(|n| (0..=HIGHEST).contains(n)).ok_or_else(|| Error::usage(format!("unknown signal {text:?}")))
}

fn named(name: &str) -> Option<i32> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let (base, offset) = match (name.strip_prefix("RTMIN+"), name.strip_prefix("RTMAX-")) {
        (Some(offset), _) => (RTMIN, offset.parse::<u8>().ok()?.into()),
        (_, Some(offset)) => (HIGHEST, -i32::from(offset.parse::<u8>().ok()?)),
        _ => return None,
    };
    Some(base + offset).filter(|number| (RTMIN..=HIGHEST).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_number_and_name() {
        for (text, expected) in [
            ("9", 9),
            ("0", 0),
            ("64", 64),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigterm", 15),
            ("Hup", 1),
            ("SIGRTMIN", 34),
            ("rtmin+3", 37),
            ("RTMIN+30", 64),
            ("RTMAX", 64),
            ("SIGRTMAX-14", 50),
        ] {
            assert_eq!(number(text).expect("is one"), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "-1", "65", "SIG", "SIGSIGKILL", "FOO", "9x", "RTMIN+31", "RTMIN-1", "RTMAX-31", "RTMIN+", "9 "]
        {
            let error = number(text).expect_err(text);
            assert_eq!(error.to_string(), format!("unknown signal {text:?}"));
        }
    }
}
