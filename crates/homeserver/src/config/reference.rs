//! The reference page and the example file, both made from the table of keys.

use std::fmt::Write as _;

use super::schema::{Key, SECTIONS, Section, variable_name};

/// How values are written and which one wins; stands at the top of the reference.
const INTRODUCTION: &str = "\
# Configuration

This page is generated from the code. Every key can be written in the configuration file (TOML) or given as an environment variable,
and some also as a flag. A flag wins over a variable, a variable over the file, the file over the default.

- Sizes are numbers of bytes, or texts with a unit: `\"50 MiB\"`, `\"2MB\"` (units B, KB, KiB, MB, MiB, GB, GiB).
- Times are numbers of milliseconds, or texts with a unit: `\"30s\"`, `\"5m\"` (units ms, s, m, h, d).
- A list in a variable is separated by commas. An empty variable counts as not set. A flag for a list may be repeated, and replaces
  the list.
- A relative path in the file counts from the file's folder, anywhere else from the working directory.
- An unknown key is an error, an unknown `BRIDGEHEAD_` variable a warning.
";

/// The start of the example file.
const EXAMPLE_HEAD: &str = "\
# Configuration of Bridgehead. Every key is here with its default; remove the # in front of one to change it.
# The lines without a default show a possible value instead. docs/config.md says more.
# A relative path in this file counts from the file's folder; the default data_dir is in the working directory.
";

/// The reference of all keys, in Markdown.
pub fn render_reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in SECTIONS.iter() {
        let heading = if section.name.is_empty() {
            "Top level".to_owned()
        } else {
            format!("`[{}]`", section.name)
        };
        push_line(
            &mut page,
            format_args!("\n## {heading}\n\n{}\n", joined(section.doc)),
        );
        push_line(
            &mut page,
            format_args!("| Key | Meaning | Value | Default | Variable | Flag |"),
        );
        push_line(&mut page, format_args!("|---|---|---|---|---|---|"));
        for key in &section.keys {
            push_line(&mut page, format_args!("{}", reference_row(key)));
        }
    }
    page
}

fn reference_row(key: &Key) -> String {
    let alias = key
        .alias
        .map(|alias| format!(" (or `{alias}`)"))
        .unwrap_or_default();
    let default = if key.default.is_empty() {
        "unset".to_owned()
    } else {
        format!("`{}`", key.default)
    };
    let flag = key.flag.map(|flag| format!("`{flag}`")).unwrap_or_default();
    let (name, meaning, expected, variable) = (
        key.name(),
        joined(key.doc),
        &key.expected,
        variable_name(key.path),
    );
    format!("| `{name}`{alias} | {meaning} | {expected} | {default} | `{variable}` | {flag} |")
}

/// A configuration file with every key, its meaning and its default, all commented out.
pub fn render_example() -> String {
    let mut file = EXAMPLE_HEAD.to_owned();
    for section in SECTIONS.iter() {
        push_section(&mut file, section);
    }
    file
}

fn push_section(file: &mut String, section: &Section) {
    push_line(file, format_args!(""));
    if !section.name.is_empty() {
        push_comment(file, section.doc);
        push_line(file, format_args!("[{}]\n", section.name));
    }
    for (index, key) in section.keys.iter().enumerate() {
        if index > 0 {
            push_line(file, format_args!(""));
        }
        push_comment(file, key.doc);
        let value = if key.default.is_empty() {
            &key.example
        } else {
            key.default
        };
        push_line(file, format_args!("#{} = {value}", key.name()));
    }
}

fn push_comment(file: &mut String, doc: &[&str]) {
    for line in doc {
        push_line(file, format_args!("# {}", line.trim()));
    }
}

fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("invariant: writing to a String cannot fail");
}

/// Lines of a declaration as one text.
fn joined(doc: &[&str]) -> String {
    doc.iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" ")
}
