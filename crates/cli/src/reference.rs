//! The command line's reference page, `docs/cli.md`, made from its definition.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use crate::Arguments;

const INTRODUCTION: &str = "\
# Command line

This page is generated from the code. `bridgehead help COMMAND` says the same on a terminal, `bridgehead man --out DIR` writes manual
pages, and `bridgehead completions SHELL` what a shell needs to complete commands.

";

/// The page.
fn render() -> String {
    let mut command = Arguments::command();
    command.build();
    let mut page = INTRODUCTION.to_owned();
    for subcommand in subcommands(&command) {
        add_command(&mut page, subcommand, "bridgehead", 2, &BTreeSet::new());
    }
    page.trim_end().to_owned() + "\n"
}

/// All but `help`, which is the same everywhere.
fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|one| one.get_name() != "help" && !one.is_hide_set())
}

fn add_command(
    page: &mut String,
    command: &Command,
    parent: &str,
    level: usize,
    told: &BTreeSet<String>,
) {
    let name = format!("{parent} {}", command.get_name());
    writeln!(page, "{} `{name}`\n", "#".repeat(level)).unwrap();
    let about = command.get_long_about().or(command.get_about());
    writeln!(
        page,
        "{}\n",
        about.map(ToString::to_string).unwrap_or_default()
    )
    .unwrap();
    let arguments: Vec<_> = command
        .get_arguments()
        .filter(|one| is_told(one, told))
        .collect();
    if !arguments.is_empty() {
        page.push_str("| Option | Meaning | Default | Variable |\n|---|---|---|---|\n");
        for argument in &arguments {
            page.push_str(&row(argument));
        }
        page.push('\n');
    }
    // Options that every subcommand has are told once, and so are its exit codes.
    let mut told = told.clone();
    let global = arguments.iter().filter(|one| one.is_global_set());
    told.extend(global.map(|one| one.get_id().to_string()));
    if level == 2
        && let Some(codes) = command.get_after_help()
    {
        writeln!(page, "```text\n{codes}\n```\n").unwrap();
    }
    for subcommand in subcommands(command) {
        add_command(page, subcommand, &name, level + 1, &told);
    }
}

fn is_told(argument: &Arg, told: &BTreeSet<String>) -> bool {
    let id = argument.get_id().as_str();
    id != "help" && !argument.is_hide_set() && !told.contains(id)
}

fn row(argument: &Arg) -> String {
    let meaning = argument.get_long_help().or(argument.get_help());
    let meaning = meaning.map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    let is_flag = matches!(argument.get_action(), ArgAction::SetTrue);
    let default = if is_flag {
        String::new()
    } else {
        defaults.join(" ")
    };
    let variable = argument
        .get_env()
        .map(|name| format!("`{}`", name.to_string_lossy()));
    let cells = [
        format!("`{}`", usage(argument)),
        meaning.replace('\n', " ") + &values(argument),
        default,
        variable.unwrap_or_default(),
    ];
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// How it is written: `--wait`, `-o`, `--output FILE`, `FILE…`.
fn usage(argument: &Arg) -> String {
    let names = [
        argument.get_short().map(|short| format!("-{short}")),
        argument.get_long().map(|long| format!("--{long}")),
    ];
    let mut parts: Vec<_> = names.into_iter().flatten().collect();
    let takes_value = argument.get_action().takes_values();
    let value = argument.get_value_names().unwrap_or_default().join(" ");
    let repeated = matches!(argument.get_action(), ArgAction::Append);
    let value = if repeated {
        format!("{value}…")
    } else {
        value
    };
    if parts.is_empty() {
        return value;
    }
    let names = parts.join(", ");
    parts.clear();
    if takes_value {
        format!("{names} {value}")
    } else {
        names
    }
}

/// The values to choose from.
fn values(argument: &Arg) -> String {
    let values = argument.get_possible_values();
    if values.is_empty() || !argument.get_action().takes_values() {
        return String::new();
    }
    let values: Vec<_> = values
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    format!(" One of {}.", values.join(", "))
}

#[test]
fn generated_files_are_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let wanted = render();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, wanted,
        "docs/cli.md is stale; run this test again with UPDATE_GENERATED=1"
    );
}

#[test]
fn every_command_and_option_says_what_it_is_for() {
    fn check(command: &Command) {
        for subcommand in subcommands(command) {
            let name = subcommand.get_name();
            assert!(subcommand.get_about().is_some(), "{name}");
            for argument in subcommand.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{name}: {}",
                    argument.get_id()
                );
            }
            check(subcommand);
        }
    }
    let mut command = Arguments::command();
    command.build();
    check(&command);
    Arguments::command().debug_assert();
}
