//! The table as manual pages, in roff's man macros (groff_man(7)).

use std::fmt::Write as _;

use super::{Command, Flag, help, table};

/// gantry(8).
pub fn overview() -> String {
    let mut page = head("gantry", "create and run OCI containers");
    page.push_str(
        ".SH SYNOPSIS\n\\fBgantry\\fR [\\fIglobal flags\\fR] \\fIcommand\\fR [\\fIflags\\fR] [\\fIarguments\\fR]\n",
    );
    page.push_str(".SH COMMANDS\n");
    for command in table::COMMANDS.iter().filter(|command| command.is_listed()) {
        let _ = writeln!(page, ".TP\n\\fBgantry\\-{}\\fR(8)\n{}", escape(command.name), escape(command.summary));
    }
    page.push_str(".SH GLOBAL FLAGS\n");
    flags(&mut page, table::GLOBAL.iter().copied());
    page.push_str(".SH EXIT STATUS\n1 if gantry fails; the container's own status from \\fBgantry run\\fR.\n");
    page
}

/// gantry-COMMAND(8).
pub fn command(command: &Command) -> String {
    let mut page = head(&format!("gantry-{}", command.name), command.summary);
    let usage = command.usage();
    let rest = usage.strip_prefix(command.name).unwrap_or_default();
    let _ = writeln!(page, ".SH SYNOPSIS\n\\fBgantry {}\\fR{}", escape(command.name), escape(rest));
    if !command.details.is_empty() {
        page.push_str(".SH DESCRIPTION\n");
        for (index, paragraph) in command.details.iter().enumerate() {
            let _ = writeln!(page, "{}{}", if index > 0 { ".PP\n" } else { "" }, escape(paragraph));
        }
    }
    page.push_str(".SH FLAGS\n");
    flags(&mut page, command.flags.iter().copied().chain([&table::HELP]));
    page.push_str(".SH SEE ALSO\n\\fBgantry\\fR(8)\n");
    page
}

fn head(name: &str, summary: &str) -> String {
    let title = name.to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH {} 8 \"\" \"gantry {version}\"\n.SH NAME\n{} \\- {}\n", escape(&title), escape(name), escape(summary))
}

fn flags<'a>(page: &mut String, flags: impl Iterator<Item = &'a Flag>) {
    for flag in flags.filter(|flag| flag.is_listed()) {
        page.push_str(".TP\n");
        if let Some(letter) = flag.short {
            let _ = write!(page, "\\fB\\-{letter}\\fR, ");
        }
        let _ = write!(page, "\\fB\\-\\-{}\\fR", escape(flag.long));
        let value = flag.value_name();
        if !value.is_empty() {
            let _ = write!(page, " \\fI{}\\fR", escape(&value));
        }
        let _ = writeln!(page, "\n{}", escape(&help::words(flag)));
    }
}

/// Text that roff takes for text: no escapes, no requests at a line's beginning, dashes that can be copied.
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::find;

    #[test]
    fn text_cannot_become_a_request() {
        assert_eq!(escape(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(escape("a\\b --c"), "a\\eb \\-\\-c");
    }

    #[test]
    fn a_page_has_its_parts() {
        let page = command(find("delete").expect("is there"));
        for part in
            [".TH GANTRY\\-DELETE 8 ", ".SH NAME\ngantry\\-delete \\- ", ".SH SYNOPSIS", "\\fB\\-\\-force\\fR\n"]
        {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(overview().contains("\\fBgantry\\-create\\fR(8)"));
    }
}
