//! `ffn-bridge topology`: what the broker has against what the bridge needs.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{complain, explained, link};
use crate::broker::topology::{self, Finding, Item, Problem, State};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Declares what is missing, also with broker.declare = false; changes and deletes nothing
    #[arg(long)]
    apply: bool,
    /// Prints the plan as definitions for `rabbitmqctl import_definitions`, and asks no broker
    #[arg(long, conflicts_with_all = ["apply", "json"])]
    export: bool,
    /// Prints a line of JSON for each exchange, queue and binding
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut broker = config.broker.clone();
    if arguments.export {
        writeln!(io::stdout(), "{:#}", topology::definitions(&broker)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    broker.declare |= arguments.apply;
    let link = link(config, "topology");
    let left_over = topology::left_over(&link, &broker).await.map_err(explained)?;
    let plan = topology::plan(&broker);
    let mut lines: Vec<Line> = left_over.into_iter().map(Line::left_over).collect();
    let stays_away = !lines.is_empty();
    let findings = topology::survey(&link, &plan, broker.declare).await.map_err(explained)?;
    let applies = arguments.apply && !stays_away;
    for Finding { item, state } in findings {
        let declared = matches!(state, State::Missing(_) | State::Unseen) && applies;
        let line = Line::new(&item, state);
        lines.push(if declared { apply(&link, item, line).await? } else { line });
    }
    link.close().await;
    let mut output = io::stdout().lock();
    for line in &lines {
        if arguments.json {
            writeln!(output, "{}", line.json())?;
        } else {
            line.write(&mut output)?;
        }
    }
    output.flush()?;
    drop(output);
    if arguments.apply && stays_away {
        complain("nothing was declared: queues of another broker.command_queues are in the way");
    }
    Ok(summarize(&lines, broker.declare))
}

/// Declares one item that is missing or can't be seen.
async fn apply(link: &crate::broker::Link, item: Item, line: Line) -> anyhow::Result<Line> {
    let problems = topology::declare(link, std::slice::from_ref(&item)).await.map_err(explained)?;
    Ok(match problems.into_iter().next() {
        Some(problem) => Line { word: "refused", problem: Some(problem), ..line },
        None if line.word == "missing" => Line { word: "made", problem: None, ..line },
        None => Line { word: "ok", problem: None, ..line },
    })
}

/// Says how it stands and what was not looked at; gives the exit code.
fn summarize(lines: &[Line], compared: bool) -> ExitCode {
    let count = |words: &[&str]| lines.iter().filter(|line| words.contains(&line.word)).count();
    let unseen = count(&["unseen"]);
    if unseen > 0 {
        complain(&format!(
            "AMQP shows no bindings: whether those {unseen} are there is not known. --apply makes those that are \
             missing, and on the broker `rabbitmqctl list_bindings` shows them"
        ));
    }
    if !compared {
        complain(
            "with broker.declare = false only names are looked at: whether properties are as they should be is seen by \
             a user who may configure them (FFN_BRIDGE__BROKER__DECLARE=true, changes nothing)",
        );
    }
    complain("policies are not seen either: one of the broker's can add a length, a time to live or a delivery limit");
    let wrong = count(&["missing", "differs", "refused", "left over"]);
    if wrong == 0 {
        return ExitCode::SUCCESS;
    }
    let of = lines.len();
    complain(&format!("ffn-bridge: {wrong} of {of} are not as they should be"));
    ExitCode::FAILURE
}

/// What is told of one item.
struct Line {
    word: &'static str,
    what: String,
    item: Option<Item>,
    problem: Option<Problem>,
}

impl Line {
    fn new(item: &Item, state: State) -> Self {
        let (word, problem) = match state {
            State::Fits => ("ok", None),
            State::There => ("there", None),
            State::Unseen => ("unseen", None),
            State::Missing(problem) => ("missing", Some(problem)),
            State::Differs(problem) => ("differs", Some(problem)),
            State::Refused(problem) => ("refused", Some(problem)),
        };
        Self { word, what: item.to_string(), item: Some(item.clone()), problem }
    }

    fn left_over(problem: Problem) -> Self {
        Self { word: "left over", what: problem.what.clone(), item: None, problem: Some(problem) }
    }

    fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let details = match &self.item {
            Some(Item::Exchange { kind, .. }) => kind.as_str().to_owned(),
            Some(Item::Queue { arguments, .. }) => {
                let arguments = arguments.iter().map(|(name, value)| format!("{name} {value}"));
                std::iter::once("quorum".to_owned()).chain(arguments).collect::<Vec<_>>().join(", ")
            }
            Some(Item::Binding { key, .. }) => format!("key {key}"),
            None => String::new(),
        };
        let details = if details.is_empty() { details } else { format!("  ({details})") };
        writeln!(output, "{:<10}{}{details}", self.word, self.what)?;
        if let Some(Problem { reason, remedy, .. }) = &self.problem {
            // Of what is missing the broker's word says no more.
            if self.word != "missing" {
                writeln!(output, "          {reason}")?;
            }
            writeln!(output, "          → {remedy}")?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let kind = match &self.item {
            Some(Item::Exchange { .. }) => "exchange",
            Some(Item::Binding { .. }) => "binding",
            Some(Item::Queue { .. }) | None => "queue",
        };
        let mut json = json!({"state": self.word, "kind": kind, "what": self.what});
        if let (Some(json), Some(Problem { reason, remedy, .. })) = (json.as_object_mut(), &self.problem) {
            json.insert("reason".to_owned(), reason.as_str().into());
            json.insert("remedy".to_owned(), remedy.as_str().into());
        }
        json
    }
}
