//! Dead letters as a person looks at them: what is known of each, and putting it back.
//!
//! A letter is there because the bridge gave its command up, then headers tell why; or because the broker did, when a
//! command expired or was delivered too often, then the broker's own record tells. Any message may be in the queue:
//! of one that is no command, what can be read is told.

use chrono::{DateTime, Utc};

use super::decode::{COMMAND_ID_HEADER, LAST_FAILED_HEADER, decode};
use crate::broker::config::ReplyPattern;
use crate::broker::{self, Browse, Delivery, Forward, Publisher};
use crate::domain::entity::event_id;

/// Longest part of a text that tells of a letter.
const SHORT: usize = 300;

/// What is known of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The command's id; of one without, a name that stays the same.
    pub id: String,
    /// The routing key it was published with.
    pub routing_key: String,
    /// The account it names; it may not exist.
    pub account: String,
    /// The command it names; it may not exist.
    pub command: String,
    /// The error's code; of one that the broker set aside, the broker's reason, such as `delivery-limit`.
    pub code: Option<String>,
    /// The error in words.
    pub message: String,
    /// Attempts that were counted.
    pub attempts: Option<u64>,
    /// When it first failed.
    pub first_failed_at: Option<DateTime<Utc>>,
    /// When it last failed.
    pub last_failed_at: Option<DateTime<Utc>>,
    /// The size of its body.
    pub size: usize,
}

impl DeadLetter {
    /// Reads a letter.
    pub fn read(delivery: &Delivery) -> Self {
        let decoded = decode(delivery, usize::MAX);
        let envelope = match &decoded {
            Ok(command) => &command.envelope,
            Err(refusal) => &refusal.envelope,
        };
        let header = |name: &str| delivery.header(name);
        let time = |name: &str| header(name).and_then(|text| text.parse::<DateTime<Utc>>().ok());
        let id = match envelope.has_own_id || header(COMMAND_ID_HEADER).is_some() {
            true => envelope.id.clone(),
            false => nameless(delivery),
        };
        let mut letter = Self {
            id,
            routing_key: envelope.routing_key.clone(),
            account: envelope.account.clone(),
            command: envelope.command.clone(),
            code: header("ffn-error-code"),
            message: header("ffn-error-message").unwrap_or_default(),
            attempts: header("ffn-attempts").and_then(|text| text.parse().ok()),
            first_failed_at: time("ffn-first-failed-at"),
            last_failed_at: time(LAST_FAILED_HEADER),
            size: delivery.body().len(),
        };
        // Whatever the bridge sends on is without the broker's record. Where there is one the broker came last, and the
        // headers, if any, are of a failure before.
        if let Some(death) = delivery.death() {
            let what = match death.reason.as_str() {
                "delivery_limit" => "the broker gave it up: it was delivered too often without being acknowledged",
                "expired" => "the broker gave it up: its time to live was over",
                _ => "the broker gave it up",
            };
            letter.code = Some(death.reason.replace('_', "-"));
            letter.message = format!("{what} (queue {})", death.queue);
            (letter.attempts, letter.first_failed_at, letter.last_failed_at) = (None, None, death.at);
        } else if let Err(refusal) = &decoded
            && letter.code.is_none()
        {
            letter.message = format!("no command: {}", refusal.error.message);
        }
        letter.message = letter.message.chars().take(SHORT).collect();
        letter
    }
}

/// A name for a message that has none: of the same bytes with the same failure it is the same.
fn nameless(delivery: &Delivery) -> String {
    let failed = delivery.header(LAST_FAILED_HEADER).unwrap_or_default();
    let body = String::from_utf8_lossy(delivery.body());
    let id = event_id(&[delivery.routing_key(), &failed, &body]).simple().to_string();
    format!("no-id-{}", id.get(..12).unwrap_or(&id))
}

/// Which letters. What is empty lets all pass; of several of one kind one has to fit, and all kinds together.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Ids.
    pub ids: Vec<String>,
    /// Names of accounts.
    pub accounts: Vec<String>,
    /// Names of commands; `*` is any run of characters.
    pub commands: Vec<String>,
    /// Codes.
    pub codes: Vec<String>,
    /// Last failed then or later.
    pub since: Option<DateTime<Utc>>,
    /// Last failed before.
    pub before: Option<DateTime<Utc>>,
}

impl Filter {
    /// Whether it lets all pass.
    pub fn is_empty(&self) -> bool {
        let Self { ids, accounts, commands, codes, since, before } = self;
        ids.is_empty()
            && accounts.is_empty()
            && commands.is_empty()
            && codes.is_empty()
            && since.is_none()
            && before.is_none()
    }

    /// Whether a letter is one of those. One of which nobody knows when it failed is of no time.
    pub fn fits(&self, letter: &DeadLetter) -> bool {
        let among = |wanted: &[String], has: &str| wanted.is_empty() || wanted.iter().any(|it| it == has);
        let command = self.commands.is_empty()
            || self.commands.iter().any(|pattern| ReplyPattern(pattern.clone()).matches(&letter.command));
        let failed = letter.last_failed_at;
        among(&self.ids, &letter.id)
            && among(&self.accounts, &letter.account)
            && among(&self.codes, letter.code.as_deref().unwrap_or_default())
            && command
            && self.since.is_none_or(|since| failed.is_some_and(|failed| failed >= since))
            && self.before.is_none_or(|before| failed.is_some_and(|failed| failed < before))
    }
}

/// Puts the letter that `browse` gave last back among the commands, as it is: published and confirmed first, and only
/// then taken out of the dead letters. A failure in between leaves both. By its headers the bridge knows the copies as
/// one failure of one command, and executes it once.
///
/// # Errors
/// It is still a dead letter; a copy may have been put back.
pub async fn put_back(
    browse: &mut Browse,
    publisher: &mut Publisher,
    config: &broker::Config,
    delivery: &Delivery,
) -> Result<(), broker::Error> {
    let to = Forward { exchange: &config.commands_exchange, headers: Vec::new() };
    publisher.forward(delivery, to).await?;
    browse.settle(delivery).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            id: "c-1".into(),
            routing_key: "acme.outbound.create".into(),
            account: "acme".into(),
            command: "outbound.create".into(),
            code: Some("rejected".into()),
            message: String::new(),
            attempts: Some(1),
            first_failed_at: None,
            last_failed_at: DateTime::from_timestamp(1_000, 0),
            size: 2,
        }
    }

    #[test]
    fn a_letter_has_to_fit_every_kind_of_filter() {
        let letter = letter();
        assert!(Filter::default().is_empty() && Filter::default().fits(&letter));
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (fits, filter) in [
            (true, Filter { ids: words(&["c-0", "c-1"]), ..Filter::default() }),
            (false, Filter { ids: words(&["c-0"]), ..Filter::default() }),
            (true, Filter { commands: words(&["outbound.*"]), codes: words(&["rejected"]), ..Filter::default() }),
            (false, Filter { commands: words(&["outbound.*"]), codes: words(&["conflict"]), ..Filter::default() }),
            (false, Filter { commands: words(&["outbound"]), ..Filter::default() }),
            (false, Filter { accounts: words(&["shop"]), ..Filter::default() }),
            (true, Filter { since: at(1_000), before: at(1_001), ..Filter::default() }),
            (false, Filter { since: at(1_001), ..Filter::default() }),
            (false, Filter { before: at(1_000), ..Filter::default() }),
        ] {
            assert!(!filter.is_empty());
            assert_eq!(filter.fits(&letter), fits, "{filter:?}");
        }
        let timeless = DeadLetter { last_failed_at: None, ..letter };
        assert!(!Filter { before: at(1_001), ..Filter::default() }.fits(&timeless));
    }
}
