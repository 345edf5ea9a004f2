//! zsh: `_arguments` for the global flags, and again for the command's.

use std::fmt::Write as _;

use super::super::{Command, Flag, Kind, Value};
use super::{SIGNALS, commands, flags, quoted};

const HEAD: &str = r#"#compdef gantry
# zsh completion for gantry. Made by `gantry completion zsh`.

_gantry_ids() {
    local -a ids
    ids=(${(f)"$(_call_program ids gantry $root list --quiet)"})
    _wanted ids expl container compadd -a ids
}

_gantry_commands() {
    local -a names
    names=(
"#;

const MIDDLE: &str = r#"    )
    _describe command names
}

_gantry() {
    local curcontext=$curcontext context state state_descr line expl
    local -A opt_args
    _arguments -C \
"#;

pub fn script() -> String {
    let mut text = HEAD.to_owned();
    for command in commands() {
        let entry = format!("{}:{}", command.name, command.summary.replace(':', "\\:"));
        let _ = writeln!(text, "        {}", quoted(&entry));
    }
    text.push_str(MIDDLE);
    for flag in flags(None) {
        let _ = writeln!(text, "        {} \\", spec(flag));
    }
    text.push_str("        '1: :_gantry_commands' '*:: :->arguments' && return\n");
    // The command's own _arguments starts opt_args anew.
    text.push_str("    local -a root=(${opt_args[--root]:+--root ${opt_args[--root]}})\n");
    text.push_str("    case $line[1] in\n");
    for command in commands() {
        let _ = writeln!(text, "        {}) _arguments{} ;;", command.name, specs(command));
    }
    text.push_str("    esac\n}\n\n_gantry \"$@\"\n");
    text
}

fn specs(command: &'static Command) -> String {
    let mut text = String::new();
    for flag in flags(Some(command)) {
        let _ = write!(text, " \\\n            {}", spec(flag));
    }
    for (index, argument) in command.arguments.iter().enumerate() {
        let optional = if argument.optional { ":" } else { "" };
        let action = match argument.kind {
            Kind::Container => "_gantry_ids".to_owned(),
            Kind::NewContainer => " ".to_owned(),
            Kind::Signal => format!("({})", SIGNALS.join(" ")),
            Kind::Dir => "_files -/".to_owned(),
            Kind::Command => "_gantry_commands".to_owned(),
            Kind::Choice(words) => format!("({})", words.join(" ")),
        };
        let _ =
            write!(text, " \\\n            {}", quoted(&format!("{}:{optional}{}:{action}", index + 1, argument.name)));
    }
    text
}

/// `'(-b --bundle)'{-b+,--bundle=}'[help]:DIR:_files -/'`.
fn spec(flag: &Flag) -> String {
    let help = flag.help.replace('[', "\\[").replace(']', "\\]");
    let value = match flag.value {
        Value::Switch => String::new(),
        Value::Number => ":N: ".to_owned(),
        Value::File => ":FILE:_files".to_owned(),
        Value::Dir => ":DIR:_files -/".to_owned(),
        Value::Choice(_) => format!(":word:({})", flag.words().join(" ")),
    };
    let (plus, equals) = if value.is_empty() { ("", "") } else { ("+", "=") };
    let rest = quoted(&format!("[{help}]{value}"));
    match flag.short {
        Some(letter) => format!("'(-{letter} --{0})'{{-{letter}{plus},--{0}{equals}}}{rest}", flag.long),
        None => format!("--{}{equals}{rest}", flag.long),
    }
}
