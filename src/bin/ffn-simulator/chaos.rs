//! Faults by chance, from a seed: `POST /_simulator/chaos`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::Fail;
use crate::faults::{Kind, Match, Seen};
use crate::switches::MetadataSpelling;

/// What may happen to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
enum Hit {
    #[serde(rename = "cut_before")]
    CutBefore,
    #[serde(rename = "cut_after")]
    CutAfter,
    #[serde(rename = "hang")]
    Hang,
    #[serde(rename = "hang_after")]
    HangAfter,
    #[serde(rename = "503")]
    Unavailable,
    #[serde(rename = "503_after")]
    UnavailableAfter,
    #[serde(rename = "429")]
    TooMany,
    /// Only for requests that create an outbound.
    #[serde(rename = "423")]
    Locked,
    #[serde(rename = "slow")]
    Slow,
}

const HITS: [Hit; 9] = [
    Hit::CutBefore,
    Hit::CutAfter,
    Hit::Hang,
    Hit::HangAfter,
    Hit::Unavailable,
    Hit::UnavailableAfter,
    Hit::TooMany,
    Hit::Locked,
    Hit::Slow,
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    seed: u64,
    rate: f64,
    kinds: Option<Vec<Hit>>,
    #[serde(rename = "match", default)]
    aim: Match,
    /// How long a connection hangs before it closes.
    #[serde(default = "hang_ms")]
    delay_ms: u64,
    /// How late a slow answer is.
    #[serde(default = "slow_ms")]
    delay_after_ms: u64,
    #[serde(default = "retry_after_s")]
    retry_after_s: u64,
}

const fn hang_ms() -> u64 {
    1_000
}

const fn slow_ms() -> u64 {
    300
}

const fn retry_after_s() -> u64 {
    1
}

/// Faults by chance, and how often they came.
#[derive(Debug)]
pub(crate) struct Chaos {
    told: Told,
    kinds: Vec<Hit>,
    dice: fastrand::Rng,
    matched: u64,
    hits: Vec<(Hit, u64)>,
}

impl Chaos {
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let told: Told = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        if !(0.0..=1.0).contains(&told.rate) {
            return Err("rate must be 0 to 1".to_owned());
        }
        if !told.aim.is_plain() {
            return Err("match: nth and skip are for faults only".to_owned());
        }
        let kinds = told.kinds.clone().unwrap_or_else(|| HITS.to_vec());
        if kinds.is_empty() {
            return Err("kinds must name one at least".to_owned());
        }
        let dice = fastrand::Rng::with_seed(told.seed);
        let hits = kinds.iter().map(|kind| (*kind, 0)).collect();
        Ok(Chaos { told, kinds, dice, matched: 0, hits })
    }

    /// The fault that hits a request of the API, if any. `number`: that of the outbound that it creates.
    pub(crate) fn take(&mut self, seen: Seen<'_>, number: Option<&str>) -> Option<Kind> {
        if !seen.path.to_ascii_lowercase().starts_with("/api/") || !self.told.aim.hits(seen) {
            return None;
        }
        self.matched += 1;
        // Every request takes two numbers, so that what hits one does not depend on the others.
        let (chance, which) = (self.dice.f64(), self.dice.f64());
        if chance >= self.told.rate {
            return None;
        }
        let fitting: Vec<Hit> =
            self.kinds.iter().copied().filter(|hit| *hit != Hit::Locked || number.is_some()).collect();
        let mut place = fastrand::Rng::with_seed(which.to_bits());
        let hit = place.choice(&fitting).copied()?;
        if let Some((_, count)) = self.hits.iter_mut().find(|(known, _)| *known == hit) {
            *count += 1;
        }
        let refuse = |status: u16, body: String, headers: Vec<(String, String)>, after: bool| Kind::Status {
            status,
            json: !body.is_empty(),
            body,
            headers,
            after,
        };
        Some(match hit {
            Hit::CutBefore => Kind::CutBefore,
            Hit::CutAfter => Kind::CutAfter,
            Hit::Hang => Kind::Hang(Some(self.told.delay_ms)),
            Hit::HangAfter => Kind::HangAfter(Some(self.told.delay_ms)),
            Hit::Unavailable => refuse(503, String::new(), Vec::new(), false),
            Hit::UnavailableAfter => refuse(503, String::new(), Vec::new(), true),
            Hit::TooMany => {
                let wait = ("Retry-After".to_owned(), self.told.retry_after_s.to_string());
                refuse(429, String::new(), vec![wait], false)
            }
            Hit::Locked => {
                let fail = Fail::new(423, "Outbounds_OutboundCreationIsLocked", "This outbound is being created.");
                let fail = fail.with("MerchantOutboundNumber", number.unwrap_or_default());
                let body = fail.into_answer(MetadataSpelling::Schema).text().into_owned();
                refuse(423, body, Vec::new(), false)
            }
            Hit::Slow => Kind::DelayAfter(self.told.delay_after_ms),
        })
    }

    pub(crate) fn json(&self) -> Value {
        let hits: serde_json::Map<String, Value> = self
            .hits
            .iter()
            .map(|(hit, count)| (json!(hit).as_str().unwrap_or_default().to_owned(), json!(count)))
            .collect();
        json!({
            "seed": self.told.seed, "rate": self.told.rate, "kinds": self.kinds, "match": self.told.aim.json(),
            "delay_ms": self.told.delay_ms, "delay_after_ms": self.told.delay_after_ms,
            "retry_after_s": self.told.retry_after_s, "matched": self.matched, "hits": hits,
        })
    }
}
