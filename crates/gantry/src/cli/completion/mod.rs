//! The table as completion scripts.

mod bash;
mod fish;
mod zsh;

use super::{Command, Flag, Value, table};

/// The script for a shell; `None` for a shell that has none.
pub fn script(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash::script()),
        "zsh" => Some(zsh::script()),
        "fish" => Some(fish::script()),
        _ => None,
    }
}

/// The commands that are offered.
fn commands() -> impl Iterator<Item = &'static Command> {
    table::COMMANDS.iter().filter(|command| command.is_listed())
}

/// The flags that are offered: a command's, or with `None` the global ones.
fn flags(command: Option<&'static Command>) -> impl Iterator<Item = &'static Flag> {
    let (own, help) = match command {
        Some(command) => (command.flags, Some(&table::HELP)),
        None => (table::GLOBAL, None),
    };
    own.iter().copied().chain(help).filter(|flag| flag.is_listed())
}

/// The names of signals that a user may want to send.
const SIGNALS: &[&str] = &["TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2", "STOP", "CONT", "WINCH"];

/// A text in single quotes, as every shell here understands it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn takes_value(flag: &Flag) -> bool {
    flag.value != Value::Switch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_that_the_command_line_names_has_a_script() {
        let completion = crate::cli::find("completion").expect("is there");
        let crate::cli::Kind::Choice(shells) = completion.arguments[0].kind else { panic!("not a choice") };
        for shell in shells {
            let script = script(shell).expect("is there");
            for name in ["create", "pid-file", "log-format"] {
                assert!(script.contains(name), "{shell}: {name}");
            }
            for absent in ["console-socket", "checkpoint"] {
                assert!(!script.contains(absent), "{shell}: {absent}");
            }
        }
        assert!(script("csh").is_none());
    }
}
