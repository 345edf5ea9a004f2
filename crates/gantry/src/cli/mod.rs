//! The command line as data: [`table`] lists every command and flag once, and parsing, help, shell completions and
//! manual pages are made from it.
//!
//! A flag is a `static`, and is known by its address: code that asks [`parse::Parsed`] for `&table::BUNDLE` cannot
//! misspell it.

pub mod completion;
pub mod help;
pub mod man;
pub mod parse;
pub mod table;

use crate::commands::Context;
use crate::error::Result;

/// What a flag's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// None: the flag is on or off. `--flag=true` and `--flag=false` are understood as well.
    Switch,
    /// A number.
    Number,
    /// A file's path.
    File,
    /// A directory's path.
    Dir,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// Whether a flag does what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Works,
    /// Taken because engines send it, and without effect for this reason.
    NoEffect(&'static str),
    /// Refused with these values; with any value, if none is listed.
    Refused {
        /// The values that are refused.
        values: &'static [&'static str],
        /// The reason, as an error's text.
        because: &'static str,
    },
}

/// A flag of a command, or a global one.
#[derive(Debug)]
pub struct Flag {
    /// Its long name, without dashes. A single dash before it will do.
    pub long: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// Its value.
    pub value: Value,
    /// What it does, in the words of the help.
    pub help: &'static str,
    /// Whether it does.
    pub support: Support,
}

impl Flag {
    /// True if there is a value with which it does something.
    pub fn is_listed(&self) -> bool {
        match self.support {
            Support::Refused { values, .. } => !values.is_empty() && self.value != Value::Switch,
            _ => true,
        }
    }

    /// The words that a choice offers; none for other values.
    pub fn words(&self) -> Vec<&'static str> {
        let Value::Choice(words) = self.value else { return Vec::new() };
        let refused = match self.support {
            Support::Refused { values, .. } => values,
            _ => &[],
        };
        words.iter().copied().filter(|word| !refused.contains(word)).collect()
    }

    /// The name of the value in the help; empty for a switch.
    pub fn value_name(&self) -> String {
        match self.value {
            Value::Switch => String::new(),
            Value::Number => "N".to_owned(),
            Value::File => "FILE".to_owned(),
            Value::Dir => "DIR".to_owned(),
            Value::Choice(_) => self.words().join("|"),
        }
    }
}

/// What an argument is, for completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The id of a container that is there.
    Container,
    /// The id of a container to be made.
    NewContainer,
    /// A signal.
    Signal,
    /// A directory.
    Dir,
    /// A command of gantry.
    Command,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// An argument that is no flag.
#[derive(Debug)]
pub struct Argument {
    /// Its name in the help.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// True if it may be left out. Such arguments come last.
    pub optional: bool,
}

/// What a command does.
#[derive(Clone, Copy)]
pub enum Action {
    /// It calls this; the number is gantry's exit status.
    Run(fn(&mut Context<'_>, &parse::Parsed) -> Result<u8>),
    /// Nothing yet: the name is known, so that callers get a clear answer.
    NotYet,
}

/// A command.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What it does, in half a line.
    pub summary: &'static str,
    /// What else a user must know, in paragraphs without line breaks.
    pub details: &'static [&'static str],
    /// Its arguments.
    pub arguments: &'static [Argument],
    /// Its flags.
    pub flags: &'static [&'static Flag],
    /// What it does.
    pub action: Action,
    /// Left out of the list of commands.
    pub hidden: bool,
    /// The exit status when gantry itself fails.
    pub failure: u8,
}

impl Command {
    /// True if the help shows it.
    pub fn is_listed(&self) -> bool {
        !self.hidden && matches!(self.action, Action::Run(_))
    }

    /// The line that shows how to call it, without the program's name.
    pub fn usage(&self) -> String {
        let mut usage = self.name.to_owned();
        if self.flags.iter().any(|flag| flag.is_listed()) {
            usage.push_str(" [FLAGS]");
        }
        for argument in self.arguments {
            usage.push(' ');
            usage.push_str(&if argument.optional { format!("[{}]", argument.name) } else { argument.name.to_owned() });
        }
        usage
    }
}

/// The command of this name.
pub fn find(name: &str) -> Option<&'static Command> {
    table::COMMANDS.iter().find(|command| command.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn tables() -> impl Iterator<Item = (&'static str, &'static [&'static Flag])> {
        table::COMMANDS.iter().map(|c| (c.name, c.flags)).chain([("gantry", table::GLOBAL)])
    }

    #[test]
    fn names_are_unique_and_well_formed() {
        let commands: HashSet<_> = table::COMMANDS.iter().map(|c| c.name).collect();
        assert_eq!(commands.len(), table::COMMANDS.len());
        for (name, flags) in tables() {
            let flags: Vec<_> = flags.iter().copied().chain([&table::HELP]).collect();
            let longs: HashSet<_> = flags.iter().map(|f| f.long).collect();
            let shorts: Vec<_> = flags.iter().filter_map(|f| f.short).collect();
            // The global table lists --help itself.
            let twice = usize::from(name == "gantry");
            assert_eq!(longs.len() + twice, flags.len(), "{name}");
            assert_eq!(shorts.iter().collect::<HashSet<_>>().len() + twice, shorts.len(), "{name}");
            for flag in flags {
                let chars = |c: char| c.is_ascii_lowercase() || c == '-';
                assert!(flag.long.len() > 1 && flag.long.chars().all(chars), "{name} --{}", flag.long);
            }
        }
    }

    #[test]
    fn texts_fit_where_they_are_shown() {
        for command in table::COMMANDS {
            assert!(command.summary.len() <= 64, "{}: summary", command.name);
            assert!(!command.summary.ends_with('.'), "{}: summary", command.name);
            let optional = command.arguments.iter().map(|a| a.optional);
            assert!(optional.is_sorted(), "{}: an optional argument comes before others", command.name);
        }
        for (name, flags) in tables() {
            for flag in flags {
                assert!(flag.help.len() <= 80 && !flag.help.ends_with('.'), "{name} --{}", flag.long);
                if let (Support::Refused { values, .. }, Value::Choice(words)) = (flag.support, flag.value) {
                    assert!(values.iter().all(|v| words.contains(v)), "{name} --{}", flag.long);
                }
            }
        }
    }
}
