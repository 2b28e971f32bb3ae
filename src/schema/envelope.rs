//! The CloudEvents envelope of a structured message, as `domain::message` writes it (interface, "Events").

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use uuid::Uuid;

use crate::domain::account::Role;

/// The attributes around `data`. Exists for its schema; a test holds it against what `domain::message` writes.
#[derive(Debug, JsonSchema)]
pub struct Envelope {
    /// Version of CloudEvents.
    #[schemars(extend("const" = "1.0"))]
    pub specversion: String,
    /// The same change has the same id, always: a UUIDv5 of FFN's own data.
    pub id: Uuid,
    /// `/ffn/{account}`.
    #[schemars(regex(pattern = "^/ffn/"))]
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: String,
    /// FFN's id of the entity, where known; of events about the bridge itself the account's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub subject: Option<String>,
    /// When it happened at FFN.
    pub time: DateTime<Utc>,
    /// What `data` is.
    #[schemars(extend("const" = "application/json"))]
    pub datacontenttype: String,
    /// `urn:ffn-bridge:schema:{type}`.
    pub dataschema: String,
    /// The configured account.
    pub account: String,
    /// The account's role at FFN.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RoleWord")]
    pub role: Option<Role>,
    /// The entity's id, for partitioning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub partitionkey: Option<String>,
    /// The journal position, ascending per account, with leading zeros.
    #[schemars(regex(pattern = "^[0-9]{20}$"))]
    pub sequence: String,
    /// When the bridge saw it.
    pub recordedtime: DateTime<Utc>,
    /// The command that caused it, where it was one of this bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub causationid: Option<String>,
    /// True where it was told from a first look at what was there, not when it happened; otherwise left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("const" = true))]
    pub snapshot: bool,
}

/// `domain::account::Role` as it stands in messages.
#[derive(Debug, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum RoleWord {
    Merchant,
    Fulfiller,
}
