//! What happens to one delivery, from inbox to acknowledgement. Second step of a command's way.
//!
//! 1. validate, and write the inbox row: before any call, durably;
//! 2. execute: see [`super::executor`];
//! 3. record the outcome and the result's messages in one transaction;
//! 4. set a failed command aside in the dead-letter queue, or a postponed one in a waiting queue, confirmed;
//! 5. acknowledge, last.
//!
//! A crash between any two steps leads back to step 1 with what was recorded, and from there to the
//! step that is missing. While the account can't call, there is one step before them all: to its held
//! queue, confirmed, and nothing is begun; see [`super::gate`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::RawValue;
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::decode::{
    COMMAND_ID_HEADER, Command, ERROR_CODE_HEADER, EXPIRES_HEADER, Envelope, LAST_FAILED_HEADER, REDELIVERED_HEADER,
    Refusal,
};
use super::executor::{Asked, Executor, Outcome, can_be_told, own_id, too_late};
use super::gate::{AccountGate, Phase, Taken};
use super::lanes::LaneKey;
use super::pause::Probe;
use super::reply::{Ending, Reply};
use crate::broker::{self, Delivery, Forward, Publisher, RETRY, topology};
use crate::domain::account::AccountName;
use crate::domain::cause::Effects;
use crate::domain::message::{Draft, rfc3339};
use crate::ffn::fields::Fields;
use crate::ffn::operations::{Operation, Settle};
use crate::ffn::{Auth, Client};
use crate::metrics::CommandMetrics;
use crate::schema::CommandValidator;
use crate::schema::result::{CommandError, ErrorCode, FieldError, ResultSucceeded};
use crate::store::{self, Append, Arrival, Begin, CommandKey, Finished, PutBack, Setback, Store, Trial, Wait};
use crate::telemetry::Chain;

/// How long a waiting command holds back others of its key beyond its wait, before it counts as lost. It comes back
/// at the end of the commands queue, behind whatever has gathered there; the bridge may have been stopped meanwhile.
const HOLD_GRACE: TimeDelta = TimeDelta::hours(24);
/// A command that fails for so long while FFN answers the account is not FFN's trouble any more.
const LONGEST_TROUBLE: TimeDelta = TimeDelta::hours(24);
/// FFN may ask for a longer wait: it is asked again after this one.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest text in a header.
const HEADER_LIMIT: usize = 1000;

/// Everything that executing commands takes.
pub struct Worker {
    /// The accounts.
    pub accounts: HashMap<AccountName, Account>,
    /// Inbox and journal.
    pub store: Arc<dyn Store>,
    /// Checks bodies.
    pub validator: CommandValidator,
    /// Makes results.
    pub reply: Reply,
    /// Sends deliveries on to the waiting and dead-letter queues.
    pub publisher: Mutex<Publisher>,
    /// The broker's names.
    pub broker: broker::Config,
    /// Tries and pauses.
    pub config: Config,
    /// Counted.
    pub metrics: CommandMetrics,
    /// Ends waits that would hold up a stop.
    pub abort: CancellationToken,
    /// Held by a command that the process may not survive.
    pub alone: Mutex<()>,
}

/// One account, as its commands see it.
#[derive(Clone)]
pub struct Account {
    /// Its API.
    pub client: Arc<Client>,
    /// Its sign-in.
    pub auth: Arc<Auth>,
    /// Whether its commands are executed or held.
    pub gate: Arc<AccountGate>,
    /// Whether FFN answers it.
    pub probe: Arc<Probe>,
}

impl Account {
    /// An account at start.
    pub fn new(client: Arc<Client>, auth: Arc<Auth>) -> Self {
        Self { client, auth, gate: Arc::new(AccountGate::new()), probe: Arc::default() }
    }

    /// Whether the trouble of a command that was begun at `since` is that FFN does not answer the account.
    async fn is_away(&self, error: &CommandError, since: Instant) -> bool {
        // A code of FFN's own is about the command; only a limit is about the account.
        let may_be = error.ffn_error_code.is_none() || error.http_status == Some(429);
        may_be && (self.gate.phase() == Phase::Paused || self.probe.is_away(&self.client, since).await)
    }
}

/// Why a delivery was not brought to its end; the broker will deliver it again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error("the command log can't be used")]
    Store(#[from] store::Error),
    /// A result that can't be written.
    #[error("the result can't be written")]
    Result(#[from] serde_json::Error),
    /// The bridge stops.
    #[error("the bridge stops before the broker has taken the command back")]
    Aborted,
}

/// A decoded delivery on its way.
pub struct Job {
    /// As it came.
    pub delivery: Delivery,
    /// As it was read.
    pub command: Result<Command, Box<Refusal>>,
    /// When it came.
    pub arrived: Instant,
    /// Set if it came from its account's held queue.
    pub taken: Option<Taken>,
}

/// What became of a delivery.
#[derive(Debug, PartialEq, Eq)]
enum Settled {
    /// It can be acknowledged.
    Done,
    /// It is the broker's, which will deliver it again.
    Left,
}

/// A command of a known account and name, validated.
struct Accepted<'a> {
    command: &'a Command,
    account: &'a Account,
    operation: &'static Operation,
    fields: Fields,
    key: CommandKey,
    ordering_key: String,
}

impl Accepted<'_> {
    /// What it may bring about from now on; at its end what it may have brought about up to now.
    fn effects(&self, ending: Option<&Ending>) -> Effects {
        let CommandKey { account, id } = &self.key;
        let of = |subject| self.operation.effects(&self.fields, |n| own_id(account, id, n), subject);
        let list = match ending {
            None => of(None),
            Some(Ending::Succeeded { subject, .. }) => of(subject.as_deref()),
            // Of a list some may have been done.
            Some(Ending::Failed { .. }) if matches!(self.operation.settle, Settle::EachStatus) => of(None),
            Some(Ending::Failed { result, .. }) if result.error.code == ErrorCode::OutcomeUnknown => of(None),
            Some(Ending::Failed { .. }) => Vec::new(),
        };
        Effects { at: self.account.client.server_now(), list }
    }
}

impl Job {
    /// What keeps it in order, and the id that keeps repetitions apart.
    pub fn lane(&self) -> (LaneKey, String) {
        let envelope = self.envelope();
        let key = match &self.command {
            Ok(command) => ordering_key(command),
            Err(_) => envelope.id.clone(),
        };
        ((envelope.account.clone(), key), format!("{}/{}", envelope.account, envelope.id))
    }

    fn envelope(&self) -> &Envelope {
        match &self.command {
            Ok(command) => &command.envelope,
            Err(refusal) => &refusal.envelope,
        }
    }
}

/// The publisher's ordering key, or the entity that the command names, or else the command itself.
fn ordering_key(command: &Command) -> String {
    let entity = || {
        let operation = Operation::named(&command.envelope.command)?;
        let fields: Fields = serde_json::from_str(command.body.get()).ok()?;
        operation.ordering_key(&fields)
    };
    command.ordering_key.clone().or_else(entity).unwrap_or_else(|| command.envelope.id.clone())
}

impl Worker {
    /// Brings a delivery to its end and acknowledges it; leaves one from the held queue alone whose account
    /// can't call.
    ///
    /// # Errors
    /// It is not acknowledged; the broker will deliver it again.
    pub async fn handle(&self, job: &Job) -> Result<(), Error> {
        let settled = match self.accept(job) {
            Ok(accepted) => self.admit(job, &accepted).await?,
            Err(refusal) => {
                self.refuse(job, *refusal).await?;
                Settled::Done
            }
        };
        if settled == Settled::Left {
            return Ok(());
        }
        match job.delivery.ack().await {
            Ok(true) => {
                if let Some(taken) = &job.taken {
                    taken.settle();
                }
            }
            // It will come again and be answered from the record.
            Ok(false) => tracing::debug!(command.id = job.envelope().id, "the channel of the delivery is gone"),
            Err(error) => tracing::debug!(command.id = job.envelope().id, %error, "acknowledging failed"),
        }
        Ok(())
    }

    /// Checks what can be checked without calling anybody.
    fn accept<'a>(&'a self, job: &'a Job) -> Result<Accepted<'a>, Box<Refusal>> {
        let command = match &job.command {
            Ok(command) => command,
            Err(refusal) => {
                let Refusal { envelope, error } = &**refusal;
                return Err(Box::new(Refusal { envelope: envelope.clone(), error: error.clone() }));
            }
        };
        let envelope = &command.envelope;
        let refuse = |code, message: String, fields: Vec<FieldError>| {
            let error =
                CommandError { code, message, retryable: false, http_status: None, ffn_error_code: None, fields };
            Box::new(Refusal { envelope: envelope.clone(), error })
        };
        let account = envelope.account.parse::<AccountName>().ok();
        let Some((name, account)) = account.and_then(|name| self.accounts.get_key_value(&name)) else {
            let known: Vec<&str> = self.accounts.keys().map(AccountName::as_str).collect();
            let message = format!(
                "the routing key {:?} names no account of this bridge; there is {}",
                shorten(&envelope.routing_key),
                known.join(", ")
            );
            return Err(refuse(ErrorCode::UnknownAccount, message, Vec::new()));
        };
        let Some(operation) = Operation::of(&envelope.command, account.client.role()) else {
            let message = format!(
                "a {} account has no command {:?}; there is {}",
                account.client.role(),
                shorten(&envelope.command),
                self.validator.commands(account.client.role()).collect::<Vec<_>>().join(", ")
            );
            return Err(refuse(ErrorCode::UnknownCommand, message, Vec::new()));
        };
        let body = command.body.get().as_bytes();
        if let Some(Err(fields)) = self.validator.validate(operation.name, account.client.role(), body) {
            let faults: Vec<String> = fields.iter().take(3).map(ToString::to_string).collect();
            let more = if fields.len() > 3 { format!(" and {} more", fields.len() - 3) } else { String::new() };
            let message = format!("the command is not valid: {}{more}", faults.join("; "));
            return Err(refuse(ErrorCode::InvalidCommand, message, fields));
        }
        let fields: Fields = serde_json::from_str(command.body.get()).map_err(|error| {
            refuse(ErrorCode::InvalidCommand, format!("the command can't be read: {error}"), Vec::new())
        })?;
        let key = CommandKey { account: name.clone(), id: envelope.id.clone() };
        Ok(Accepted { command, account, operation, fields, key, ordering_key: ordering_key(command) })
    }

    /// Executes a command, or sends it to the held queue if its account can't call or has others there.
    async fn admit(&self, job: &Job, accepted: &Accepted<'_>) -> Result<Settled, Error> {
        let gate = &accepted.account.gate;
        match &job.taken {
            Some(taken) if taken.is_over() || gate.phase() == Phase::Paused => Ok(Settled::Left),
            Some(_) => self.process(job, accepted).await,
            None => match gate.hold() {
                None => self.process(job, accepted).await,
                Some(_holding) => {
                    self.store.hold(&accepted.key).await?;
                    self.hold(job, accepted).await
                }
            },
        }
    }

    async fn process(&self, job: &Job, accepted: &Accepted<'_>) -> Result<Settled, Error> {
        let Accepted { command, account, operation, key, .. } = accepted;
        let is_late = || command.envelope.deadline.is_some_and(|deadline| deadline <= Utc::now());
        let Some((trial, _alone)) = self.begin(job, accepted, is_late).await? else { return Ok(Settled::Done) };
        // Without an id of its own a redelivery can't be told from a first delivery by the inbox.
        let Trial { attempt, crashes, first_failed_at, failing_since, arrived_at, .. } = trial;
        let Envelope { redelivered, has_own_id, has_lasting_id, .. } = command.envelope;
        // One that has brought its id with it is on record, however often it was delivered.
        let is_repetition = redelivered && !has_lasting_id;
        let in_doubt = trial.in_doubt || is_repetition;
        let is_poisonous = crashes >= self.config.max_crashes;
        if is_poisonous || (is_late() && !in_doubt) {
            let error = if is_poisonous { poisonous(crashes) } else { too_late() };
            self.fail(job, accepted, attempt.saturating_sub(1), first_failed_at, error).await?;
            return Ok(Settled::Done);
        }
        if attempt > 1 {
            self.metrics.retries.with_label_values(&[key.account.as_str(), operation.name]).inc();
        }
        let executor = Executor {
            client: &account.client,
            config: &self.config,
            traceparent: command.envelope.traceparent.as_deref(),
            deadline: command.envelope.deadline,
        };
        let asked = Asked {
            operation,
            fields: &accepted.fields,
            id: &key.id,
            has_own_id,
            arrived_at: (!is_repetition).then_some(arrived_at),
            in_doubt,
            knows_its_id: has_lasting_id || !(redelivered || command.envelope.put_back.is_some()),
        };
        let begun = Instant::now();
        match executor.execute(&asked).await {
            Outcome::Done { response, .. } if operation.is_read() && self.is_too_large(&response) => {
                let error = too_large(response.get().len(), self.config.max_body);
                self.fail(job, accepted, attempt, first_failed_at, error).await?;
            }
            Outcome::Done { subject, reconciled, response } => {
                // It is done, and can be read at FFN.
                let response = if self.is_too_large(&response) { RawValue::NULL.to_owned() } else { response };
                let result = ResultSucceeded {
                    command_id: key.id.clone(),
                    command: operation.name.to_owned(),
                    attempts: attempt,
                    reconciled,
                    response,
                };
                self.finish(job, accepted, attempt, first_failed_at, Ending::Succeeded { subject, result }).await?;
            }
            Outcome::Failed { error, reconciled } => {
                let ending = Ending::failed(&command.envelope, attempt, reconciled, error);
                self.finish(job, accepted, attempt, first_failed_at, ending).await?;
            }
            Outcome::Later { setback, .. } | Outcome::Unable { setback, .. } if is_late() && !setback.is_in_doubt() => {
                self.fail(job, accepted, attempt, first_failed_at, too_late()).await?;
            }
            Outcome::Unable { setback, error } => {
                tracing::info!(account = %key.account, command = operation.name, command.id = key.id, attempt, error = error.message, "the command waits until its account can call");
                return self.unable(job, accepted, setback).await;
            }
            Outcome::Later { setback, error, .. } if account.is_away(&error, begun).await => {
                tracing::info!(account = %key.account, command = operation.name, command.id = key.id, attempt, error = error.message, "the command waits until FFN answers");
                return self.unable(job, accepted, setback.uncounted()).await;
            }
            Outcome::Later { setback, error, .. }
                if is_late()
                    || (setback.counts() && attempt >= self.config.max_attempts)
                    || failing_since.is_some_and(|since| Utc::now() - since > LONGEST_TROUBLE) =>
            {
                self.fail(job, accepted, attempt, first_failed_at, exhausted(setback, attempt, error)).await?;
            }
            Outcome::Later { setback, after, error } => {
                tracing::info!(account = %key.account, command = operation.name, command.id = key.id, attempt, error = error.message, "the command waits for its next attempt");
                self.postpone(job, accepted, setback, after, failing_since).await?;
            }
        }
        Ok(Settled::Done)
    }

    /// Whether an answer would make a message that brokers don't take.
    fn is_too_large(&self, response: &RawValue) -> bool {
        response.get().len() > self.config.max_body
    }

    /// Writes down that a command is begun; `None` if it is not to be executed, which is then done with. One
    /// in whose middle the process may die once more is begun alone among its like: what it dies of is then
    /// told from what was merely at work beside it.
    async fn begin(
        &self,
        job: &Job,
        accepted: &Accepted<'_>,
        is_late: impl Fn() -> bool,
    ) -> Result<Option<(Trial, Option<MutexGuard<'_, ()>>)>, Error> {
        let Accepted { command, key, .. } = accepted;
        let arrival = Arrival {
            key: key.clone(),
            routing_key: command.envelope.routing_key.clone(),
            digest: command.digest.clone(),
            ordering_key: accepted.ordering_key.clone(),
            put_back: command.envelope.put_back.map(|failed_at| PutBack { failed_at, in_doubt: is_doubtful(accepted) }),
            effects: accepted.effects(None),
        };
        let mut alone = None;
        loop {
            let trial = match self.store.begin(arrival.clone()).await? {
                Begin::Execute(trial) => trial,
                Begin::Finished(finished) => {
                    self.answer_again(job, accepted, *finished).await?;
                    return Ok(None);
                }
                Begin::Conflict => {
                    self.refuse(job, conflict(&command.envelope)).await?;
                    return Ok(None);
                }
                Begin::Behind(trial) if is_late() && !trial.in_doubt => {
                    self.fail(job, accepted, trial.attempt, trial.first_failed_at, too_late()).await?;
                    return Ok(None);
                }
                Begin::Behind(_) => {
                    self.postpone(job, accepted, Setback::Behind, None, None).await?;
                    return Ok(None);
                }
                Begin::Early { due, .. } => {
                    let left = (due - Utc::now()).to_std().unwrap_or_default();
                    self.postpone(job, accepted, Setback::Behind, Some(left), None).await?;
                    return Ok(None);
                }
            };
            if alone.is_some() || trial.crashes.saturating_add(1) < self.config.max_crashes {
                return Ok(Some((trial, alone)));
            }
            self.store.wait(key, Setback::Suspected, waiting(Utc::now(), Duration::ZERO)).await?;
            alone = Some(self.alone.lock().await);
        }
    }

    /// Records that a command has failed for good.
    async fn fail(
        &self,
        job: &Job,
        accepted: &Accepted<'_>,
        attempts: u32,
        first_failed_at: Option<DateTime<Utc>>,
        error: CommandError,
    ) -> Result<(), Error> {
        let ending = Ending::failed(&accepted.command.envelope, attempts, false, error);
        self.finish(job, accepted, attempts, first_failed_at, ending).await
    }

    /// Stops the account's commands, and has this one wait in the held queue: at its place, if it came
    /// from there.
    async fn unable(&self, job: &Job, accepted: &Accepted<'_>, setback: Setback) -> Result<Settled, Error> {
        let gate = &accepted.account.gate;
        if job.taken.is_some() {
            gate.pause();
            self.store.wait(&accepted.key, setback, Wait::HELD).await?;
            return Ok(Settled::Left);
        }
        let _holding = gate.pause_and_hold();
        self.store.wait(&accepted.key, setback, Wait::HELD).await?;
        self.hold(job, accepted).await
    }

    /// Sends a command to the held queue of its account.
    async fn hold(&self, job: &Job, accepted: &Accepted<'_>) -> Result<Settled, Error> {
        // Its copy will be delivered: two of one that has no id could not be told apart.
        if !job.delivery.is_live() {
            return Ok(Settled::Left);
        }
        let envelope = &accepted.command.envelope;
        let mut headers = carried(envelope);
        if !envelope.has_own_id && envelope.redelivered {
            headers.push((REDELIVERED_HEADER, "true".to_owned()));
        }
        let exchange = topology::held_queue(&self.broker, &accepted.key.account);
        self.forward(job, &exchange, headers).await?;
        self.count(job, accepted.operation.name, "held");
        Ok(Settled::Done)
    }

    /// Records how a command ended, with its result, and sets it aside if it failed.
    async fn finish(
        &self,
        job: &Job,
        accepted: &Accepted<'_>,
        attempts: u32,
        first_failed_at: Option<DateTime<Utc>>,
        ending: Ending,
    ) -> Result<(), Error> {
        let envelope = &accepted.command.envelope;
        // A command that was put back has a result of its own beside the one it had before.
        let distinct = envelope.put_back.map(rfc3339).unwrap_or_default();
        let event = self.reply.event(envelope, Some(accepted.account.client.role()), &ending, &distinct)?;
        let drafts = self.reply.drafts(envelope, &event);
        let error = ending.error().map(|error| (error.code.as_str().to_owned(), error.message.clone()));
        let finished = Finished { event, error, attempts, first_failed_at, set_aside: false };
        self.store.finish(&accepted.key, finished.clone(), drafts, accepted.effects(Some(&ending))).await?;
        let outcome = if finished.error.is_none() { "succeeded" } else { "failed" };
        self.count(job, accepted.operation.name, outcome);
        tracing::info!(
            account = %accepted.key.account,
            command = accepted.operation.name,
            command.id = accepted.key.id,
            attempts,
            error = ending.error().map(|error| error.code.as_str()),
            "the command {outcome}"
        );
        self.set_aside(job, &accepted.key, &finished).await
    }

    /// Answers a repetition from the record, and makes up for what a crash left undone.
    async fn answer_again(&self, job: &Job, accepted: &Accepted<'_>, finished: Finished) -> Result<(), Error> {
        tracing::info!(account = %accepted.key.account, command.id = accepted.key.id, "the command was finished before; it is answered from the record");
        self.publish(self.reply.drafts(&accepted.command.envelope, &finished.event)).await?;
        self.count(job, accepted.operation.name, "duplicate");
        self.set_aside(job, &accepted.key, &finished).await
    }

    /// Sends a failed command to the dead-letter queue, once.
    async fn set_aside(&self, job: &Job, key: &CommandKey, finished: &Finished) -> Result<(), Error> {
        let Some((code, message)) = &finished.error else { return Ok(()) };
        if finished.set_aside {
            return Ok(());
        }
        let failed_at = finished.event.time;
        self.dead_letter(job, code, message, finished.attempts, finished.first_failed_at, failed_at).await?;
        self.store.set_aside(key).await?;
        Ok(())
    }

    /// Answers what is no command of this bridge and sets it aside.
    async fn refuse(&self, job: &Job, refusal: Refusal) -> Result<(), Error> {
        let Refusal { envelope, error } = refusal;
        tracing::warn!(key = shorten(&envelope.routing_key), command.id = envelope.id, code = %error.code, error = error.message, "a command is refused");
        let ending = Ending::failed(&envelope, 0, false, error.clone());
        let role = envelope
            .account
            .parse()
            .ok()
            .and_then(|name| self.accounts.get(&name))
            .map(|account| account.client.role());
        let distinct = format!("{}{}", error.code, job.command.as_ref().map_or("", |command| &command.digest));
        let event = self.reply.event(&envelope, role, &ending, &distinct)?;
        self.publish(self.reply.drafts(&envelope, &event)).await?;
        let name = Operation::named(&envelope.command).map_or("unknown", |operation| operation.name);
        self.count(job, name, "failed");
        self.dead_letter(job, error.code.as_str(), &error.message, 0, None, event.time).await
    }

    async fn publish(&self, drafts: Vec<Draft>) -> Result<(), Error> {
        self.store.append(Append { drafts, ..Append::default() }).await?;
        Ok(())
    }

    async fn dead_letter(
        &self,
        job: &Job,
        code: &str,
        message: &str,
        attempts: u32,
        first_failed_at: Option<DateTime<Utc>>,
        failed_at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let envelope = job.envelope();
        let mut headers = vec![
            (ERROR_CODE_HEADER, code.to_owned()),
            ("ffn-error-message", message.chars().take(HEADER_LIMIT).collect()),
            ("ffn-attempts", attempts.to_string()),
            ("ffn-first-failed-at", rfc3339(first_failed_at.unwrap_or(failed_at))),
            (LAST_FAILED_HEADER, rfc3339(failed_at)),
        ];
        // Put back, it is the same command.
        if !envelope.has_own_id {
            headers.push((COMMAND_ID_HEADER, envelope.id.clone()));
        }
        self.forward(job, topology::dead_letter_exchange(&self.broker), headers).await?;
        let account = self.account_label(envelope);
        self.metrics.dead_letters.with_label_values(&[account, code]).inc();
        Ok(())
    }

    /// Sends a command to the waiting queue that fits how long it has been failing.
    async fn postpone(
        &self,
        job: &Job,
        accepted: &Accepted<'_>,
        setback: Setback,
        after: Option<Duration>,
        failing_since: Option<DateTime<Utc>>,
    ) -> Result<(), Error> {
        let (deadline, now) = (accepted.command.envelope.deadline, Utc::now());
        let step = wait_step(&self.broker.retry_steps, after, failing_since, deadline, now);
        // No queue may be as slow as FFN asks for: what comes from it too early goes there again.
        let left = deadline.map_or(LONGEST_WAIT, |deadline| (deadline - now).to_std().unwrap_or_default());
        let wait = after.unwrap_or(step).min(LONGEST_WAIT).min(left).max(step);
        self.store.wait(&accepted.key, setback, waiting(now, wait)).await?;
        let headers = carried(&accepted.command.envelope);
        self.forward(job, &topology::wait_exchange(&self.broker, step), headers).await?;
        self.count(job, accepted.operation.name, "retried");
        Ok(())
    }

    /// Sends a delivery on, again and again until the broker has it. If the delivery's own channel is
    /// gone there is no need: the broker has kept it.
    async fn forward(&self, job: &Job, exchange: &str, headers: Vec<(&'static str, String)>) -> Result<(), Error> {
        let mut backoff = RETRY.build();
        loop {
            let forward = Forward { exchange, headers: headers.clone() };
            let Err(error) = self.publisher.lock().await.forward(&job.delivery, forward).await else { return Ok(()) };
            tracing::warn!(command.id = job.envelope().id, exchange, error = %Chain(&error), "the command can't be sent on; trying again");
            if !job.delivery.is_live() {
                return Err(Error::Aborted);
            }
            tokio::select! {
                () = self.abort.cancelled() => return Err(Error::Aborted),
                () = tokio::time::sleep(backoff.next().unwrap_or(Duration::from_secs(15))) => {}
            }
        }
    }

    /// Labels come from closed sets: an account that is not configured is `unknown`.
    fn account_label<'a>(&self, envelope: &'a Envelope) -> &'a str {
        let known = envelope.account.parse().is_ok_and(|name: AccountName| self.accounts.contains_key(&name));
        if known { &envelope.account } else { "unknown" }
    }

    fn count(&self, job: &Job, command: &str, outcome: &str) {
        let account = self.account_label(job.envelope());
        self.metrics.finished.with_label_values(&[account, command, outcome]).inc();
        if !matches!(outcome, "retried" | "held") {
            self.metrics.duration.with_label_values(&[command]).observe(job.arrived.elapsed().as_secs_f64());
        }
    }
}

/// Whether FFN has to be asked before a command is sent that was put back: it failed because nobody knew whether it
/// was done. Where FFN shows nothing that would tell, putting it back is the word of a person who has looked.
fn is_doubtful(accepted: &Accepted<'_>) -> bool {
    let code = accepted.command.envelope.put_back_code.as_deref();
    let was_unknown = code.is_none_or(|code| code == ErrorCode::OutcomeUnknown.as_str());
    was_unknown && can_be_told(accepted.operation, &accepted.fields)
}

fn conflict(envelope: &Envelope) -> Refusal {
    let error = CommandError {
        code: ErrorCode::Conflict,
        message: "another command was sent with the same message_id; a new command needs a new one".to_owned(),
        retryable: false,
        http_status: None,
        ffn_error_code: None,
        fields: Vec::new(),
    };
    Refusal { envelope: envelope.clone(), error }
}

/// The end of a command that takes the process down with it, as far as the record can tell.
fn poisonous(crashes: u32) -> CommandError {
    CommandError {
        code: ErrorCode::OutcomeUnknown,
        message: format!(
            "the bridge was ended in the middle of it {crashes} times in a row, so it is not tried again; whether FFN has \
             carried it out is not known. Put back, it is looked up first"
        ),
        retryable: true,
        http_status: None,
        ffn_error_code: None,
        fields: Vec::new(),
    }
}

/// The end of a read whose answer does not fit into a result.
fn too_large(size: usize, limit: usize) -> CommandError {
    CommandError {
        code: ErrorCode::Rejected,
        message: format!("FFN's answer has {size} bytes, and commands.max_body lets a result hold {limit}"),
        retryable: false,
        http_status: None,
        ffn_error_code: None,
        fields: Vec::new(),
    }
}

/// What a command needs to be known by on its way through a waiting or held queue.
fn carried(envelope: &Envelope) -> Vec<(&'static str, String)> {
    let id = (!envelope.has_own_id).then(|| (COMMAND_ID_HEADER, envelope.id.clone()));
    let expires = envelope.deadline.map(|deadline| (EXPIRES_HEADER, rfc3339(deadline)));
    id.into_iter().chain(expires).collect()
}

/// The end of a command that has used up its attempts or its time.
fn exhausted(setback: Setback, attempts: u32, last: CommandError) -> CommandError {
    let (code, what) = if setback.is_in_doubt() {
        (ErrorCode::OutcomeUnknown, "whether FFN carried it out could not be found out")
    } else {
        (ErrorCode::RetriesExhausted, "it did not succeed")
    };
    CommandError { code, message: format!("{what} in {attempts} attempts; the last: {}", last.message), ..last }
}

/// The step of the ladder to wait on: what FFN asked for, or else the longest step that is not longer
/// than the command has been failing already, so that waits grow with the trouble. A deadline shortens it, and
/// is overslept by no more than the first step.
fn wait_step(
    steps: &[Duration],
    after: Option<Duration>,
    failing_since: Option<DateTime<Utc>>,
    deadline: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Duration {
    let first = steps.first().copied().unwrap_or_default();
    let failing = failing_since.and_then(|since| (now - since).to_std().ok()).unwrap_or_default();
    let wanted = match after {
        Some(after) => steps.iter().copied().find(|step| *step >= after).or(steps.last().copied()),
        None => steps.iter().copied().rfind(|step| *step <= failing),
    }
    .unwrap_or(first);
    let left = deadline.map(|deadline| (deadline - now).to_std().unwrap_or_default());
    let is_in_time = |step: &Duration| *step <= wanted && left.is_none_or(|left| *step <= left);
    steps.iter().copied().rfind(is_in_time).unwrap_or(first)
}

/// A wait from now on, with what a broker that is down may add to it.
fn waiting(now: DateTime<Utc>, wait: Duration) -> Wait {
    let due = now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::zero());
    Wait { due, hold_until: due + HOLD_GRACE }
}

/// A publisher's text, short enough for a log or a message.
fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_the_trouble_and_respect_what_ffn_asks_for() {
        let steps = [10, 60, 600].map(Duration::from_secs);
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let failing = |seconds| Some(now - TimeDelta::seconds(seconds));
        assert_eq!(wait_step(&steps, None, None, None, now), steps[0]);
        assert_eq!(wait_step(&steps, None, failing(59), None, now), steps[0]);
        assert_eq!(wait_step(&steps, None, failing(60), None, now), steps[1]);
        assert_eq!(wait_step(&steps, None, failing(100_000), None, now), steps[2]);
        assert_eq!(wait_step(&steps, Some(Duration::from_secs(30)), failing(1), None, now), steps[1]);
        assert_eq!(wait_step(&steps, Some(Duration::from_secs(7200)), None, None, now), steps[2]);
        let in_time =
            |seconds, after| wait_step(&steps, after, failing(100_000), Some(now + TimeDelta::seconds(seconds)), now);
        assert_eq!([in_time(601, None), in_time(599, None), in_time(59, None)], [steps[2], steps[1], steps[0]]);
        assert_eq!([in_time(1, None), in_time(-1, None)], [steps[0]; 2]);
        assert_eq!(in_time(70, Some(Duration::from_secs(7200))), steps[1]);
    }
}
