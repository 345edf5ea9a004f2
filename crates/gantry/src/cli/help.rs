//! The table as help for people.

use std::fmt::Write as _;

use super::{Command, Flag, Support, table};

/// What `gantry --help` prints.
pub fn overview() -> String {
    let mut text = String::from(
        "gantry creates and runs OCI containers.\n\nUsage: gantry [GLOBAL FLAGS] COMMAND [FLAGS] [ARGUMENTS]\n\nCommands:\n",
    );
    let listed: Vec<_> = table::COMMANDS.iter().filter(|command| command.is_listed()).collect();
    let width = listed.iter().map(|command| command.name.len()).max().unwrap_or(0);
    for command in listed {
        let _ = writeln!(text, "  {:width$}  {}", command.name, command.summary);
    }
    text.push_str("\nGlobal flags:\n");
    flags(&mut text, table::GLOBAL.iter().copied());
    text.push_str("\n`gantry COMMAND --help` says more about a command.\n");
    text
}

/// What `gantry COMMAND --help` prints.
pub fn command(command: &Command) -> String {
    let mut text = format!("gantry {}: {}\n\nUsage: gantry {}\n", command.name, command.summary, command.usage());
    for paragraph in command.details {
        text.push('\n');
        wrap(&mut text, paragraph);
    }
    text.push_str("\nFlags:\n");
    flags(&mut text, command.flags.iter().copied().chain([&table::HELP]));
    text
}

/// The widest first column: what is longer has its words on the next line.
const COLUMN: usize = 30;

fn flags<'a>(text: &mut String, flags: impl Iterator<Item = &'a Flag>) {
    let rows: Vec<_> = flags.filter(|flag| flag.is_listed()).map(|flag| (spelling(flag), words(flag))).collect();
    let width = rows.iter().map(|(spelling, _)| spelling.len()).filter(|width| *width <= COLUMN).max().unwrap_or(0);
    for (spelling, words) in rows {
        if spelling.len() > width {
            let _ = writeln!(text, "  {spelling}\n  {:width$}  {words}", "");
        } else {
            let _ = writeln!(text, "  {spelling:width$}  {words}");
        }
    }
}

/// `-b, --bundle DIR`.
fn spelling(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
    let value = flag.value_name();
    format!("{short}--{}{}{value}", flag.long, if value.is_empty() { "" } else { " " })
}

/// What the flag does, and what it does not.
pub(super) fn words(flag: &Flag) -> String {
    match flag.support {
        Support::NoEffect(because) => format!("{} (no effect: {because})", flag.help),
        _ => flag.help.to_owned(),
    }
}

/// Adds a paragraph in lines of at most 80 characters.
fn wrap(text: &mut String, paragraph: &str) {
    let mut length = 0;
    for word in paragraph.split_whitespace() {
        if length > 0 && length + 1 + word.len() > 80 {
            text.push('\n');
            length = 0;
        } else if length > 0 {
            text.push(' ');
            length += 1;
        }
        text.push_str(word);
        length += word.len();
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::find;

    #[test]
    fn the_overview_lists_what_works_and_nothing_else() {
        let text = overview();
        for name in ["create", "start", "state", "kill", "delete", "run", "list", "spec", "features", "explain"] {
            assert!(text.contains(&format!("\n  {name} ")), "{name}");
        }
        for name in ["exec", "man", "check"] {
            assert!(!text.contains(&format!("\n  {name} ")), "{name}");
        }
    }

    #[test]
    fn a_command_lists_its_flags() {
        let text = command(find("kill").expect("is there"));
        assert_eq!(
            text,
            "gantry kill: send a signal to a container\n\n\
             Usage: gantry kill [FLAGS] ID [SIGNAL]\n\n\
             SIGNAL is a number or a name, with or without SIG: 9, KILL, SIGKILL, RTMIN+3.\n\
             The default is TERM.\n\n\
             Flags:\n\
             \x20 -a, --all    signal every process of the container\n\
             \x20 -r, --regex  take ID for a regular expression; act on each container that matches\n\
             \x20 -h, --help   print help\n"
        );
        // What is refused whatever its value is not offered.
        assert!(!command(find("create").expect("is there")).contains("console-socket"));
    }

    #[test]
    fn lines_are_short() {
        let texts = table::COMMANDS.iter().map(command).chain([overview()]);
        for text in texts {
            assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        }
    }
}
