//! Command line.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use clap::{Parser, ValueEnum};

/// What a refused refresh token is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum RefreshAnswer {
    /// 401 `invalid_request`
    InvalidRequest,
    /// 400 `invalid_grant`
    InvalidGrant,
}

/// How the third member of an error is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MetadataSpelling {
    #[value(name = "errorMetaData")]
    Schema,
    #[value(name = "errorMetadata")]
    Examples,
}

impl MetadataSpelling {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            MetadataSpelling::Schema => "errorMetaData",
            MetadataSpelling::Examples => "errorMetadata",
        }
    }
}

const CONTROL_HELP: &str = "\
Control API (JSON, no authorization; {id} is an outboundId or a merchantOutboundNumber):
  GET    /_simulator/state                       clock, seed, counts
  POST   /_simulator/clock                       {\"advance\":\"90s\"} | {\"advance\":90} | {\"set\":\"2026-01-05T08:00:00Z\"}
  GET    /_simulator/outbounds                   every outbound with its history (?prefix= ?number= ?since=)
  POST   /_simulator/outbounds/bulk              {\"count\":10000,\"prefix\":\"B-\",\"statuses\":[\"Pending\",\"Shipped\"]}
  POST   /_simulator/outbounds/{id}/advance      {} | {\"steps\":2} | {\"to\":\"Shipped\",\"partial\":true,\"gap_ms\":50}
  POST   /_simulator/outbounds/{id}/status       {\"status\":\"AnythingEvenUnknown\"}
  POST   /_simulator/outbounds/{id}/raw          {\"member\":<literal, or null to remove>}  (?touch=true stamps a change)
  POST   /_simulator/outbounds/{id}/delete       a tombstone in the feed, 404 elsewhere
  POST   /_simulator/notifications/{id}/raw      the same as above for a shipping notification
  POST   /_simulator/locks                       {\"merchantOutboundNumber\":\"A-1\",\"seconds\":5}  creation answers 423
  POST   /_simulator/stock                       {\"merchantSku\":\"MUG-BLUE\",\"stockLevel\":\"3\",\"warehouseId\":\"...\"}
  POST   /_simulator/faults                      {\"match\":{\"method\":\"POST\",\"path\":\"/outbounds\"},\"times\":1,\"kind\":\"cut_after\"}
  GET    /_simulator/faults   DELETE /_simulator/faults   DELETE /_simulator/faults/{n}
  GET    /_simulator/requests?since=N            every API and OAuth request after number N
  GET    /_simulator/tokens                      counters of the OAuth server
  POST   /_simulator/tokens/revoke               {\"what\":\"access\"|\"refresh\"|\"all\"}
  GET    /_simulator/secrets                     every secret value issued so far
Fault kinds: {\"status\":503,\"body\":..,\"headers\":{..},\"after\":true} {\"delay_ms\":500} {\"delay_after_ms\":500}
             \"cut_before\" \"cut_after\" \"hang\" \"hang_after\"
See docs/simulator.md for all of it with examples.";

/// A local stand-in for the JTL Fulfillment Network (FFN) REST API: OAuth server, merchant and
/// fulfiller API, a warehouse that works by itself, and a control API for tests.
#[derive(Clone, Debug, Parser)]
#[command(name = "ffn-simulator", version, after_help = CONTROL_HELP)]
pub(crate) struct Flags {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Seed of ids, tokens, feed order and warehouse; default: a random one, shown by /_simulator/state
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Warehouse speed: one status step takes about 60 s / SPEED; 0 = only when told to
    #[arg(long, default_value_t = 20.0, value_parser = speed)]
    pub(crate) speed: f64,
    /// Some outbounds are locked for a step or shipped in two parts
    #[arg(long)]
    pub(crate) variety: bool,
    /// Life of an access token in (simulated) seconds
    #[arg(long, default_value_t = 1800, value_parser = clap::value_parser!(u32))]
    pub(crate) access_token_ttl: u32,
    /// Objects per chunk of a change feed
    #[arg(long, default_value_t = 50, value_parser = chunk)]
    pub(crate) chunk_size: usize,
    /// /authorize redirects at once instead of showing a page
    #[arg(long)]
    pub(crate) auto_approve: bool,
    /// OAuth client id
    #[arg(long, default_value = "demo-client")]
    pub(crate) client_id: String,
    /// OAuth client secret
    #[arg(long, default_value = "demo-secret")]
    pub(crate) client_secret: String,
    /// A redirect URI that the client registered; may be repeated; none = every one is taken
    #[arg(long)]
    pub(crate) redirect_uri: Vec<String>,
    /// User id of the merchant
    #[arg(long, default_value = "ACME", value_parser = user_id)]
    pub(crate) user_merchant: String,
    /// User id of the fulfiller
    #[arg(long, default_value = "WARE", value_parser = user_id)]
    pub(crate) user_fulfiller: String,
    /// A refresh token of the merchant (ffn.merchant.read ffn.merchant.write) that is valid at start
    #[arg(long, default_value = "demo-refresh-token")]
    pub(crate) initial_refresh_token: String,
    /// A refresh token of the fulfiller (ffn.fulfiller.read ffn.fulfiller.write) that is valid at start
    #[arg(long, default_value = "demo-fulfiller-refresh-token")]
    pub(crate) initial_fulfiller_refresh_token: String,
    /// Scheme and host that nextChunkUrl names
    #[arg(long, default_value = "https://ffn2.api.jtl-software.com")]
    pub(crate) next_chunk_host: String,
    /// Take a toDate later than the server's clock instead of answering 400
    #[arg(long)]
    pub(crate) accept_future_to_date: bool,
    /// toDate belongs to the window
    #[arg(long)]
    pub(crate) inclusive_bounds: bool,
    /// Changes show up in the feeds so many milliseconds after their time stamp
    #[arg(long, default_value_t = 0)]
    pub(crate) commit_lag_ms: u32,
    /// Write date-times with seven decimals
    #[arg(long)]
    pub(crate) seven_decimals: bool,
    /// A successful refresh ends the life of the earlier access tokens of its chain
    #[arg(long)]
    pub(crate) refresh_ends_access: bool,
    /// Answer to a refresh token that was used or revoked
    #[arg(long, value_enum, default_value = "invalid_request")]
    pub(crate) refresh_reuse_answer: RefreshAnswer,
    /// Spelling of the third member of an error
    #[arg(long, value_enum, default_value = "errorMetaData")]
    pub(crate) error_metadata_spelling: MetadataSpelling,
    /// Simulated time at start; default: the real time
    #[arg(long)]
    pub(crate) clock: Option<DateTime<Utc>>,
}

fn speed(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number is needed".to_owned())?;
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err("0 or more is needed".to_owned()) }
}

fn chunk(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=10_000).contains(n)).ok_or_else(|| "1 to 10000 is needed".to_owned())
}

fn user_id(text: &str) -> Result<String, String> {
    let fits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err("four characters A-Z, 0-9 are needed".to_owned()) }
}

#[cfg(test)]
impl Flags {
    /// The defaults with a fixed seed and an idle warehouse.
    pub(crate) fn for_test() -> Self {
        Self::parse_from(["ffn-simulator", "--seed", "7", "--speed", "0"])
    }
}
