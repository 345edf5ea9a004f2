//! bash: one function that finds the command on the line, then offers what fits.

use std::fmt::Write as _;

use super::super::{Argument, Flag, Kind, Value};
use super::{SIGNALS, commands, flags, takes_value};

const HEAD: &str = r#"# bash completion for gantry. Made by `gantry completion bash`.

_gantry_ids() {
    gantry ${1:+--root "$1"} list --quiet 2>/dev/null
}

_gantry() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local command= root= place=0 i word skip=
    # Readline makes `--flag=value` three words.
    [[ $cur == = ]] && cur=
    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ $word == = ]] && continue
        if [[ $skip ]]; then
            [[ $skip == --root ]] && root=$word
            skip=
            continue
        fi
        case "$command $word" in
"#;

const MIDDLE: &str = r#"            *' '-*) ;;
            ' '*) command=$word ;;
            *) ((place++)) ;;
        esac
    done

    local words= files=
    case "$command $prev" in
"#;

const TAIL: &str = r#"    esac
    if [[ $files ]]; then
        mapfile -t COMPREPLY < <(compgen -A "$files" -- "$cur")
        compopt -o filenames
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    fi
}

complete -F _gantry gantry
"#;

pub fn script() -> String {
    let mut text = HEAD.to_owned();
    // Flags whose value is the next word, so that this is not taken for the command or an argument.
    let tables = || std::iter::once(None).chain(commands().map(Some));
    for command in tables() {
        let name = command.map_or("", |c| c.name);
        let patterns: Vec<_> = flags(command).filter(|f| takes_value(f)).flat_map(|f| patterns(name, f)).collect();
        if !patterns.is_empty() {
            let _ = writeln!(text, "            {}) skip=$word ;;", patterns.join("|"));
        }
    }
    text.push_str(MIDDLE);
    for command in tables() {
        let name = command.map_or("", |c| c.name);
        for flag in flags(command).filter(|f| takes_value(f)) {
            let _ = writeln!(text, "        {}) {} ;;", patterns(name, flag).join("|"), value(flag));
        }
    }
    text.push_str("        *)\n            case \"$command $place $cur\" in\n");
    for command in tables() {
        let name = command.map_or("", |c| c.name);
        let longs: Vec<_> = flags(command).map(|f| format!("--{}", f.long)).collect();
        let _ = writeln!(text, "                '{name} '*' -'*) words='{}' ;;", longs.join(" "));
        for (place, argument) in command.map_or(&[][..], |c| c.arguments).iter().enumerate() {
            let _ = writeln!(text, "                '{name} {place} '*) {} ;;", source(argument));
        }
    }
    let names: Vec<_> = commands().map(|c| c.name).collect();
    let _ = writeln!(text, "                ' '*) words='{}' ;;\n            esac ;;", names.join(" "));
    text.push_str(TAIL);
    text
}

/// The flag after its command, as patterns of a `case`.
fn patterns(command: &str, flag: &Flag) -> Vec<String> {
    let short = flag.short.map(|letter| format!("'{command} -{letter}'"));
    short.into_iter().chain([format!("'{command} --{}'", flag.long)]).collect()
}

fn value(flag: &Flag) -> String {
    match flag.value {
        Value::Dir => "files=directory".to_owned(),
        Value::File => "files=file".to_owned(),
        Value::Choice(_) => format!("words='{}'", flag.words().join(" ")),
        Value::Number | Value::Switch => "words=".to_owned(),
    }
}

fn source(argument: &Argument) -> String {
    match argument.kind {
        Kind::Container => "words=$(_gantry_ids \"$root\")".to_owned(),
        Kind::NewContainer => "words=".to_owned(),
        Kind::Dir => "files=directory".to_owned(),
        Kind::Signal => format!("words='{}'", SIGNALS.join(" ")),
        Kind::Choice(words) => format!("words='{}'", words.join(" ")),
        Kind::Command => format!("words='{}'", commands().map(|c| c.name).collect::<Vec<_>>().join(" ")),
    }
}
