//! What is wrong with a configuration: all of it, each with its place.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value stands. The order is the order in which problems are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file. Both count from 1; columns count characters.
    File {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// In an environment variable, by its name.
    Variable(String),
    /// In no place: it is the default, or it is missing altogether.
    Nowhere,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Which key, for example `accounts[0].client_id`; empty where it is about the file as a whole.
    pub key: String,
    /// What was given and what would be right. Never holds a secret.
    pub message: String,
}

/// Everything that is wrong with a configuration, in the order of the places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    file: PathBuf,
    problems: Vec<Problem>,
}

impl Errors {
    /// Puts the problems of the configuration in `file` in order.
    pub(super) fn new(file: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { file: file.to_owned(), problems }
    }

    /// The problems, at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for Errors {}

/// One line a problem, and a last line with their number.
impl fmt::Display for Errors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for Problem { place, key, message } in &self.problems {
            match (place, key.is_empty()) {
                (Place::File { line, column }, true) => writeln!(formatter, "{file}:{line}:{column}: {message}")?,
                (Place::File { line, column }, false) => {
                    writeln!(formatter, "{file}:{line}:{column}: {key}: {message}")?;
                }
                (Place::Variable(name), true) => writeln!(formatter, "environment variable {name}: {message}")?,
                (Place::Variable(name), false) => {
                    writeln!(formatter, "environment variable {name} ({key}): {message}")?;
                }
                (Place::Nowhere, true) => writeln!(formatter, "{file}: {message}")?,
                (Place::Nowhere, false) => writeln!(formatter, "{file}: {key}: {message}")?,
            }
        }
        match self.problems.len() {
            1 => formatter.write_str("1 problem in the configuration"),
            many => write!(formatter, "{many} problems in the configuration"),
        }
    }
}
