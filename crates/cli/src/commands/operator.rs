//! `bridgehead operator …`: who may use the operator API.

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use bridgehead_admin_api::{NewOperator, OperatorList, Role};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{
    appservice::{Caller, Common, write_private_answer},
    print,
};
use crate::{
    exit,
    output::{self, Cell, Look, Table, Tone, clean, time},
};

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List all operators.
    #[command(after_help = exit::HELP)]
    List,
    /// Make an operator. The token is shown once.
    #[command(after_help = exit::HELP)]
    Add(Add),
    /// End an operator's token and sessions.
    #[command(after_help = exit::HELP)]
    Remove {
        /// The operator's name.
        name: String,
    },
}

#[derive(Args)]
struct Add {
    /// 1 to 64 letters, digits, `.`, `_`, `-`; the audit log has it.
    name: String,
    /// What they may do.
    #[arg(long, value_enum)]
    role: RoleName,
    /// Write the token to a new file that only its owner may read, instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    /// Look at everything.
    Read,
    /// Change things, too.
    Act,
}

/// Runs the command.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let caller = Caller::new(&arguments.common)?;
    match arguments.verb {
        Verb::List => {
            let operators = caller.client.list_operators().await?;
            caller.answer(&operators, |list, look| render(list, look, time::now_ms()))
        }
        Verb::Add(add) => self::add(&caller, add).await,
        Verb::Remove { name } => {
            caller.client.remove_operator(&name).await?;
            caller.answer(&json!({}), |_, _| {
                format!("{} is no operator any more.\n", clean(&name))
            })
        }
    }
}

async fn add(caller: &Caller, add: Add) -> anyhow::Result<ExitCode> {
    if let Some(path) = &add.output
        && path.exists()
    {
        bail!("{} is there already; name another file", path.display());
    }
    let request = NewOperator {
        name: add.name,
        role: match add.role {
            RoleName::Read => Role::Read,
            RoleName::Act => Role::Act,
        },
    };
    let made = caller.client.add_operator(&request).await?;
    let text = if caller.json {
        output::json(&made)?
    } else {
        format!("{}\n", made.token)
    };
    match &add.output {
        None => print(&text)?,
        Some(path) => write_private_answer(path, &text)?,
    }
    if !caller.json {
        eprintln!(
            "This is the token of {}, shown only now. A file with it is named by --token-file.",
            clean(&made.operator.name)
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn render(list: &OperatorList, look: Look, now_ms: i64) -> String {
    let mut table = Table::new(look, &["NAME", "ROLE", "MADE", "LAST USED"]);
    for operator in &list.operators {
        let used = operator.last_used_at_ms.map(|at| time::ago(at, now_ms));
        table.row(vec![
            Cell::toned(Tone::Strong, &operator.name),
            Cell::new(match operator.role {
                Role::Read => "read",
                Role::Act => "act",
            }),
            Cell::new(time::ago(operator.created_at_ms, now_ms)),
            Cell::new(used.unwrap_or_else(|| "never".to_owned())),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use bridgehead_admin_api::Operator;

    use super::*;

    #[test]
    fn operators_stand_in_a_table() {
        let operator = |name: &str, role, last_used_at_ms| Operator {
            name: name.to_owned(),
            role,
            created_at_ms: 0,
            last_used_at_ms,
        };
        let list = OperatorList {
            operators: vec![
                operator("local", Role::Act, Some(60_000)),
                operator("wall\u{1b}", Role::Read, None),
            ],
        };
        let wanted = "\
NAME        ROLE  MADE       LAST USED
local       act   2 min ago  1 min ago
wall\\u{1b}  read  2 min ago  never
";
        assert_eq!(render(&list, Look::plain(), 120_000), wanted);
    }
}
