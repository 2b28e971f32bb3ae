//! `ffn-bridge schema [TYPE]`

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::schema::{COMMANDS, CommandSpec, URN, catalog, resolve, write_all};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// An event's or result's type (`ffn.outbound.shipped.v1`), as it is or as `dataschema` has it, or a command
    /// (`outbound.create`, or `return.create.merchant` where the roles send different bodies); without it, all are listed
    #[arg(value_name = "TYPE")]
    name: Option<String>,
    /// Writes every schema to its file below this folder
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    write: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut output = io::stdout().lock();
    if let Some(folder) = &arguments.write {
        for path in write_all(folder)? {
            writeln!(output, "{}", path.display())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(name) = &arguments.name else {
        for document in catalog() {
            writeln!(output, "{}", document.name)?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let name = name.strip_prefix(URN).unwrap_or(name);
    let Some(document) = resolve(name) else {
        let variants: Vec<String> =
            COMMANDS.iter().filter(|spec| spec.name == name).map(CommandSpec::document).collect();
        let hint = if variants.is_empty() {
            "`ffn-bridge schema` lists all".to_owned()
        } else {
            format!("each role has its own: {}", variants.join(", "))
        };
        super::complain(&format!("ffn-bridge: there is no schema {name:?}; {hint}"));
        return Ok(ExitCode::from(2));
    };
    write!(output, "{}", document.text())?;
    Ok(ExitCode::SUCCESS)
}
