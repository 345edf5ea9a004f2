//! fish: one `complete` line a flag and an argument.

use std::fmt::Write as _;

use super::super::{Flag, Kind, Value};
use super::{SIGNALS, commands, flags};

const HEAD: &str = r#"# fish completion for gantry. Made by `gantry completion fish`.

function __gantry_ids
    gantry list --quiet 2>/dev/null
end

complete -c gantry -f
"#;

pub fn script() -> String {
    let mut text = HEAD.to_owned();
    let names: Vec<_> = commands().map(|command| command.name).collect();
    let none = format!("not __fish_seen_subcommand_from {}", names.join(" "));
    for command in commands() {
        let _ = writeln!(
            text,
            "complete -c gantry -n {} -a {} -d {}",
            quoted(&none),
            command.name,
            quoted(command.summary)
        );
    }
    for flag in flags(None) {
        let _ = writeln!(text, "complete -c gantry -n {}{}", quoted(&none), spec(flag));
    }
    for command in commands() {
        let seen = quoted(&format!("__fish_seen_subcommand_from {}", command.name));
        for flag in flags(Some(command)) {
            let _ = writeln!(text, "complete -c gantry -n {seen}{}", spec(flag));
        }
        for argument in command.arguments {
            let words = match argument.kind {
                Kind::NewContainer => continue,
                Kind::Container => "(__gantry_ids)".to_owned(),
                Kind::Signal => SIGNALS.join(" "),
                Kind::Dir => "(__fish_complete_directories)".to_owned(),
                Kind::Command => names.join(" "),
                Kind::Choice(words) => words.join(" "),
            };
            let _ = writeln!(text, "complete -c gantry -n {seen} -a {}", quoted(&words));
        }
    }
    text
}

fn spec(flag: &Flag) -> String {
    let mut text = String::new();
    if let Some(letter) = flag.short {
        let _ = write!(text, " -s {letter}");
    }
    let _ = write!(text, " -l {}", flag.long);
    // -x: a value, and none that is a file.
    match flag.value {
        Value::File => text.push_str(" -r -F"),
        Value::Dir => text.push_str(" -x -a '(__fish_complete_directories)'"),
        Value::Choice(_) => {
            let _ = write!(text, " -x -a {}", quoted(&flag.words().join(" ")));
        }
        Value::Number => text.push_str(" -x"),
        Value::Switch => {}
    }
    let _ = write!(text, " -d {}", quoted(flag.help));
    text
}

/// fish knows `\'` and `\\` in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
