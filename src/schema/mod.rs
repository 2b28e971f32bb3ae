//! Every message of the bridge as a JSON Schema (2020-12), and the check of commands against theirs.
//!
//! The Rust types in here are the source: [`event`] and [`result`] are what the flows serialize, [`command`] and
//! [`snapshot`] describe what others wrote. [`catalog`] turns them into documents, [`write_all`] into the files under
//! `schemas/` (`UPDATE_SCHEMAS=1 cargo test schemas_are_fresh`), [`CommandValidator`] into readable faults.
//!
//! # What `dataschema` resolves to
//!
//! A message's `dataschema` is always `urn:ffn-bridge:schema:{type}`, and the document with that `$id` is the file
//! `{type}.json`. One case has no file: a status that the bridge has no name for (`FooBar`) still becomes an event,
//! `ffn.outbound.foo-bar.v1`. Its schema is the generic one of its kind of entity ([`unknown_status_type`]), which [`resolve`] answers for every
//! such type.

pub mod command;
mod decimal;
mod document;
mod envelope;
pub mod event;
mod examples;
mod fault;
pub mod result;
mod rules;
pub mod snapshot;
mod text;
mod tidy;
mod validator;

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::resource::Resource;
pub use command::{COMMANDS, CommandSpec, command_table};
pub use decimal::Decimal;
pub use document::{Document, Kind, URN, catalog, unknown_status_type};
pub use envelope::Envelope;
pub use validator::{CommandValidator, MAX_FAULTS};

/// The document with exactly this name: an event's or a result's type, or a command (`outbound.create`), with the role
/// where the roles send different bodies (`return.create.merchant`).
pub fn document(name: &str) -> Option<Document> {
    let command = COMMANDS.iter().find(|spec| spec.document() == name).map(document::command);
    command.or_else(|| document::messages().into_iter().find(|document| document.name == name))
}

/// The document that describes messages of this type: its own, or for a status that the bridge has no name for
/// (`ffn.outbound.foo-bar.v1`) the generic one.
pub fn resolve(message_type: &str) -> Option<Document> {
    document(message_type).or_else(|| {
        let (kind, word) = message_type.strip_prefix("ffn.")?.strip_suffix(".v1")?.split_once('.')?;
        let resource = Resource::all().find(|resource| resource.name == kind)?;
        let is_word =
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        document(&unknown_status_type(resource).filter(|_| is_word)?)
    })
}

/// Writes every document to its file under `dir` (`events/`, `commands/`, `results/`), and tells which.
/// Files that are there for other reasons stay.
///
/// # Errors
/// When a folder or a file cannot be written.
pub fn write_all(dir: &Path) -> io::Result<Vec<PathBuf>> {
    catalog()
        .iter()
        .map(|document| {
            let path = dir.join(document.file());
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&path, document.text())?;
            Ok(path)
        })
        .collect()
}

#[cfg(test)]
mod tests;
