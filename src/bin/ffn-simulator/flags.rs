//! Command line.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use clap::Parser;

use crate::faults::Plan;
use crate::switches::Switches;

const CONTROL_HELP: &str = "\
Control API (JSON, no authorization; {id} is an outboundId or a merchantOutboundNumber):
  GET    /_simulator/state                       clock, seed, counts
  POST   /_simulator/clock                       {\"advance\":\"90s\"} | {\"advance\":90} | {\"set\":\"2026-01-05T08:00:00Z\"}
  POST   /_simulator/reset                       {} | {\"seed\":5,\"clock\":\"2026-01-05T08:00:00Z\",\"settings\":{..},\"keep_tokens\":true}
  POST   /_simulator/script                      {\"steps\":[{\"post\":\"clock\",\"body\":{..}},{\"get\":\"state\"}],\"stop_on_error\":true}
  GET    /_simulator/transitions                 every change of every object (?since= ?kind=)
  GET    /_simulator/outbounds                   every outbound with its history (?prefix= ?number= ?since=)
  POST   /_simulator/outbounds/bulk              {\"count\":10000,\"prefix\":\"B-\",\"statuses\":[\"Pending\",\"Shipped\"]}
  POST   /_simulator/outbounds/{id}/advance      {} | {\"steps\":2} | {\"to\":\"Shipped\",\"partial\":true,\"gap_ms\":50}
  POST   /_simulator/outbounds/{id}/status       {\"status\":\"AnythingEvenUnknown\"}
  POST   /_simulator/outbounds/{id}/change       {\"member\":value, or null to remove}, as the merchant's PATCH
  POST   /_simulator/outbounds/{id}/delete       a tombstone in the feed, 404 elsewhere
{kind}: outbounds notifications inbounds inbound-notifications returns return-changes products stock-changes
        warehouses shippingmethods fulfillers merchants authorizations attachments pictures credentials
        shipping-labels; {id}: id, number, or warehouse:jfsku:version
  GET    /_simulator/{kind}                      all of them with history and log (?id= ?number= ?prefix= ?since=;
                                                 stock-changes: ?warehouse= ?jfsku=)
  POST   /_simulator/{kind}/{id}/raw             {\"member\":<literal, or null to remove>}  (?touch=true stamps a change)
  POST   /_simulator/{kind}/{id}/instead         a text in the place of the whole object, empty to end it (?feeds=true)
  POST   /_simulator/{kind}/{id}/hide            {\"reads\":1} | {\"seconds\":5} | {\"always\":true,\"lists\":true} | {} to show it
  POST   /_simulator/{kind}/{id}/touch           a change in which nothing changes
  for kinds but outbounds (above), notifications, return-changes and stock-changes (below):
  POST   /_simulator/{kind}                      makes one; members as the API has them, defaults for the rest
                                                 (also bulk; not attachments pictures credentials shipping-labels)
  POST   /_simulator/{kind}/bulk                 {\"count\":1000,\"prefix\":\"B-\",\"statuses\":[..],\"members\":{..}}
  POST   /_simulator/{kind}/{id}/change          {\"member\":value, or null to remove}
  POST   /_simulator/{kind}/{id}/delete          a tombstone in the feed, 404 elsewhere
  POST   /_simulator/inbounds/{id}/...           advance status receive close notify
  POST   /_simulator/returns/{id}/...            advance status arrive complete book lock unlock split add remove item
  POST   /_simulator/products/{id}/...           share unshare
  POST   /_simulator/authorizations/{id}/...     grant revoke {\"warehouseId\":\"...\",\"shippingMethodIds\":[..]}
  POST   /_simulator/stock                       {\"merchantSku\":\"MUG-BLUE\",\"stockLevel\":\"3\",\"warehouseId\":\"...\"}
  POST   /_simulator/stock-changes               {\"merchantSku\":\"MUG-BLUE\",\"changeType\":\"Adjustment\",\"quantity\":\"2\",\"count\":1}
  POST   /_simulator/locks                       {\"merchantOutboundNumber\":\"A-1\",\"seconds\":5}  creation answers 423
  POST   /_simulator/faults                      {\"match\":{\"method\":\"POST\",\"path\":\"/outbounds\"},\"times\":1,\"kind\":\"cut_after\"}
  GET    /_simulator/faults   DELETE /_simulator/faults   DELETE /_simulator/faults/{number}
  POST   /_simulator/chaos                       {\"seed\":7,\"rate\":0.2,\"kinds\":[\"cut_after\",\"503\"],\"match\":{..}}  GET, DELETE
  GET    /_simulator/effects?since=N             what the API's requests after number N changed, with its key (?key=)
  GET    /_simulator/requests?since=N            every API and OAuth request after number N
  GET    /_simulator/settings                    the flags under \"Switches\", named with _ for -
  POST   /_simulator/settings                    {\"access_token_ttl\":5,\"portal_never_visited\":[\"merchant\"]} changes these
  DELETE /_simulator/settings                    all of them as they were at start
  GET    /_simulator/tokens                      counters of the OAuth server
  GET    /_simulator/tokens/refreshes?since=N    every refresh asked for after request N: token, outcome, delivered
  POST   /_simulator/tokens/revoke               {\"what\":\"access\"|\"refresh\"|\"all\",\"role\":\"merchant\"}  role may be left out
  GET    /_simulator/secrets                     every secret value so far
Fault kinds: {\"status\":503,\"body\":..,\"headers\":{..},\"after\":true} {\"delay_ms\":500} {\"delay_after_ms\":500}
             {\"truncate\":40} {\"truncate\":40,\"cut\":true} \"cut_before\" \"cut_after\" \"hang\" \"hang_after\"
             {\"hang_ms\":500} {\"hang_after_ms\":500}
Chaos kinds: cut_before cut_after hang hang_after 503 503_after 429 423 slow
Fault match: method path query body role grant_type skip nth
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
    /// So many inbounds and returns are there at start, and each that ends is followed by a new one
    #[arg(long, default_value_t = 0)]
    pub(crate) own_objects: usize,
    /// OAuth client id
    #[arg(long, default_value = "demo-client")]
    pub(crate) client_id: String,
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
    /// Simulated time at start; default: the real time
    #[arg(long)]
    pub(crate) clock: Option<DateTime<Utc>>,
    /// A fault that is planned at start, as /_simulator/faults takes it; may be repeated
    #[arg(long, value_name = "JSON", value_parser = Plan::read)]
    pub(crate) fault: Vec<Plan>,
    #[command(flatten)]
    pub(crate) switches: Switches,
}

fn speed(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number is needed".to_owned())?;
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err("0 or more is needed".to_owned()) }
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
