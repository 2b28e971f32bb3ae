//! What can be switched on a running simulator: each of these is a flag at start and a member of
//! `/_simulator/settings` later.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::Role;

/// What a refused refresh token is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefreshAnswer {
    /// 401 `invalid_request`
    InvalidRequest,
    /// 400 `invalid_grant`
    InvalidGrant,
}

/// What happens to a scope that is asked for and that the account does not grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum MissingScope {
    /// It is left out without a word
    Drop,
    /// The authorization is refused with `error=invalid_scope`
    InvalidScope,
}

/// How an access token looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenForm {
    /// A JWT that names its scopes
    Jwt,
    /// A JWT without the claim `scopes`
    JwtWithoutScopes,
    /// No JWT
    Opaque,
}

/// The `state` with which a browser comes back to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallbackState {
    /// The one that was sent
    Right,
    /// Another one, as in an attack or a mix-up
    Wrong,
    /// None
    Missing,
}

/// How the third member of an error is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum MetadataSpelling {
    #[value(name = "errorMetaData")]
    #[serde(rename = "errorMetaData")]
    Schema,
    #[value(name = "errorMetadata")]
    #[serde(rename = "errorMetadata")]
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

/// What a list answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum ListShape {
    /// An object with `items`
    Items,
    /// The bare array, without any links
    Array,
    /// An object whose rows are in a member with the name of the kind
    Named,
}

/// What `cancelreasons` answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReasonsShape {
    /// The bare array
    Array,
    /// A page with `items`
    Items,
}

/// What `_page.total` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum PageTotal {
    /// The rows of all pages
    Items,
    /// The pages
    Pages,
    /// It is not there
    Absent,
}

/// How a deleted object looks in a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tombstones {
    /// Complete
    Full,
    /// Its id and `modificationInfo` only
    Bare,
    /// It is not there
    Absent,
}

/// The `Date` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum DateHeader {
    /// The time of the API's clock
    Right,
    /// The real time, whatever the API's clock says
    Real,
    /// None
    Absent,
    /// No date
    Unreadable,
}

/// Which of several outbounds with the same number a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum SameNumber {
    /// The one that is not canceled, else the newest
    Live,
    Oldest,
    Newest,
}

/// What tells that an outbound is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum DuplicateCheck {
    Both,
    /// The number; an id that is in use is only a duplicate key
    Number,
    /// The id; a number may be used again and again
    Id,
}

/// The code for a stale version of an outbound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutdatedAnswer {
    /// `Shared_OutdatedObject`
    Shared,
    /// `Outbounds_OutdatedOutbound`
    Outbound,
}

/// What a change or a deletion is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeAnswer {
    /// 204
    NoContent,
    /// 200 without a body
    Empty,
    /// 200 with the object
    Object,
}

/// What a creation is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum CreateAnswer {
    /// 201 with the object
    Object,
    /// 201 without a body
    Empty,
}

#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[command(next_help_heading = "Switches (also at run time, see /_simulator/settings)")]
#[serde(deny_unknown_fields)]
pub(crate) struct Switches {
    /// Life of an access token in (simulated) seconds; a change is for tokens issued from then on
    #[arg(long, default_value_t = 1800)]
    pub(crate) access_token_ttl: u32,
    /// Life of an unused refresh token in (simulated) seconds, also of those issued already; default: no end
    #[arg(long)]
    pub(crate) refresh_token_ttl: Option<u32>,
    /// Answer to a refresh token that is no good
    #[arg(long, value_enum, default_value = "invalid_request")]
    pub(crate) refresh_reuse_answer: RefreshAnswer,
    /// Reuse detection: the second use of a spent refresh token also revokes every token of its chain
    #[arg(long)]
    pub(crate) refresh_reuse_ends_chain: bool,
    /// A successful refresh ends the life of the earlier access tokens of its chain
    #[arg(long)]
    pub(crate) refresh_ends_access: bool,
    /// How access tokens look
    #[arg(long, value_enum, default_value = "jwt")]
    pub(crate) access_token_form: TokenForm,
    /// OAuth client secret
    #[arg(long, default_value = "demo-secret")]
    pub(crate) client_secret: String,
    /// A redirect URI that the client registered; may be repeated; none = every one is taken
    #[arg(long)]
    pub(crate) redirect_uri: Vec<String>,
    /// /authorize redirects at once instead of showing a page
    #[arg(long)]
    pub(crate) auto_approve: bool,
    /// The account that signs in at /authorize; default: the one whose scopes are asked for first
    #[arg(long, value_enum)]
    pub(crate) sign_in_as: Option<Role>,
    /// A scope that an account grants, whatever its role; may be repeated; default: read and write of its role
    #[arg(long)]
    pub(crate) granted_scope: Option<Vec<String>>,
    /// What happens to a scope that the account does not grant
    #[arg(long, value_enum, default_value = "drop")]
    pub(crate) missing_scope_answer: MissingScope,
    /// The state that the callback brings back
    #[arg(long, value_enum, default_value = "right")]
    pub(crate) callback_state: CallbackState,
    /// An account without an FFN user: every API call is a 404 without a body; may be repeated
    #[arg(long, value_enum)]
    pub(crate) portal_never_visited: Vec<Role>,
    /// users/current does not tell the roles
    #[arg(long)]
    pub(crate) leave_out_roles: bool,
    /// What cancelreasons answers with
    #[arg(long, value_enum, default_value = "array")]
    pub(crate) cancel_reasons_shape: ReasonsShape,
    /// A feed needs fromDate and toDate, otherwise 400
    #[arg(long)]
    pub(crate) require_dates: bool,
    /// The longest window of a feed in seconds, a longer one is a 400; default: none
    #[arg(long)]
    pub(crate) largest_window_s: Option<u32>,
    /// Feeds do not have changes that are older than so many seconds; default: all
    #[arg(long)]
    pub(crate) retention_s: Option<u32>,
    /// Objects per chunk of a change feed
    #[arg(long, default_value = "50", value_parser = chunk)]
    #[serde(deserialize_with = "read_chunk")]
    pub(crate) chunk_size: usize,
    /// Take a toDate later than the server's clock instead of answering 400
    #[arg(long)]
    pub(crate) accept_future_to_date: bool,
    /// toDate belongs to the window
    #[arg(long)]
    pub(crate) inclusive_bounds: bool,
    /// fromDate does not belong to the window
    #[arg(long)]
    pub(crate) exclusive_from: bool,
    /// An object that changes after a window stays in it, so that its rows do not shift while it is paged
    #[arg(long)]
    pub(crate) freeze_windows: bool,
    /// Objects in a chunk come by the time of their change instead of in random order
    #[arg(long)]
    pub(crate) ordered_chunks: bool,
    /// Changes show up in the feeds so many milliseconds after their time stamp
    #[arg(long, default_value_t = 0)]
    pub(crate) commit_lag_ms: u32,
    /// How deleted objects look in the feeds
    #[arg(long, value_enum, default_value = "full")]
    pub(crate) tombstones: Tombstones,
    /// No nextChunkUrl, moreDataAvailable alone tells
    #[arg(long)]
    pub(crate) leave_out_next_chunk_url: bool,
    /// The API's clock is ahead of the real time by so many seconds; negative: behind
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) clock_skew_s: i64,
    /// The Date header
    #[arg(long, value_enum, default_value = "right")]
    pub(crate) date_header: DateHeader,
    /// The Date header is ahead of what it should be by so many seconds; negative: behind
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) date_skew_s: i64,
    /// Write date-times with seven decimals
    #[arg(long)]
    pub(crate) seven_decimals: bool,
    /// Members without a value are null instead of absent
    #[arg(long)]
    pub(crate) keep_nulls: bool,
    /// Spelling of the third member of an error
    #[arg(long, value_enum, default_value = "errorMetaData")]
    pub(crate) error_metadata_spelling: MetadataSpelling,
    /// What a list answers with
    #[arg(long, value_enum, default_value = "items")]
    pub(crate) list_shape: ListShape,
    /// The most rows of a page, whatever $top says
    #[arg(long, default_value_t = 500)]
    pub(crate) top_cap: u32,
    /// Lists without $orderBy come in another order each time
    #[arg(long)]
    pub(crate) shifting_lists: bool,
    /// What _page.total of a list counts
    #[arg(long, value_enum, default_value = "items")]
    pub(crate) page_total: PageTotal,
    /// Lists have no _page
    #[arg(long)]
    pub(crate) leave_out_page: bool,
    /// Lists have neither _links nor nextPageLink
    #[arg(long)]
    pub(crate) leave_out_links: bool,
    /// Which of several outbounds with the same number a path means
    #[arg(long, value_enum, default_value = "live")]
    pub(crate) same_number_get: SameNumber,
    /// The number of a canceled outbound is not free again
    #[arg(long)]
    pub(crate) keep_canceled_numbers: bool,
    /// What tells that an outbound is there already
    #[arg(long, value_enum, default_value = "both")]
    pub(crate) duplicate_check: DuplicateCheck,
    /// Canceling what is canceled is a success without effect
    #[arg(long)]
    pub(crate) accept_cancel_twice: bool,
    /// A fulfillerShippingNotificationNumber may be repeated on an outbound
    #[arg(long)]
    pub(crate) accept_duplicate_shipping_numbers: bool,
    /// What a change or a deletion is answered with
    #[arg(long, value_enum, default_value = "no_content")]
    pub(crate) change_answer: ChangeAnswer,
    /// What a creation is answered with
    #[arg(long, value_enum, default_value = "object")]
    pub(crate) create_answer: CreateAnswer,
    /// The code for a stale version of an outbound
    #[arg(long, value_enum, default_value = "shared")]
    pub(crate) outdated_answer: OutdatedAnswer,
    /// The fulfiller's change of many statuses does not tell of those that failed
    #[arg(long)]
    pub(crate) leave_out_failed_statuses: bool,
    /// Documents of outbounds can be had for so many seconds, those uploaded from then on
    #[arg(long, default_value_t = 63_072_000)]
    pub(crate) attachment_life_s: u32,
    /// The id of a deleted document is free again
    #[arg(long)]
    pub(crate) reuse_deleted_documents: bool,
    /// Returned goods are booked only once their condition is known
    #[arg(long)]
    pub(crate) booking_needs_condition: bool,
    /// Requests of the API that an account may make in a window, more are a 429; default: all
    #[arg(long)]
    pub(crate) rate_limit: Option<u32>,
    /// Length of that window in (simulated) seconds
    #[arg(long, default_value_t = 60)]
    pub(crate) rate_limit_window_s: u32,
}

fn chunk(text: &str) -> Result<usize, String> {
    let fits = |n: &usize| (1..=MOST_IN_CHUNK).contains(n);
    text.parse().ok().filter(fits).ok_or_else(|| format!("1 to {MOST_IN_CHUNK} is needed"))
}

const MOST_IN_CHUNK: usize = 1_000_000;

fn read_chunk<'de, D: serde::Deserializer<'de>>(source: D) -> Result<usize, D::Error> {
    let number = u64::deserialize(source)?;
    chunk(&number.to_string()).map_err(serde::de::Error::custom)
}

impl Switches {
    pub(crate) fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The same, with the members of a JSON object put in.
    pub(crate) fn with(&self, change: &[u8]) -> Result<Self, String> {
        let change: serde_json::Map<String, Value> = serde_json::from_slice(change).map_err(|e| e.to_string())?;
        let mut all = self.json();
        if let Value::Object(members) = &mut all {
            members.extend(change);
        }
        serde_path_to_error::deserialize(all).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::flags::Flags;

    #[test]
    fn members_change_alone() {
        let start = Flags::for_test().switches;
        let changed = start.with(br#"{"refresh_token_ttl":60,"portal_never_visited":["merchant"]}"#).unwrap();
        let wanted =
            Switches { refresh_token_ttl: Some(60), portal_never_visited: vec![Role::Merchant], ..start.clone() };
        assert_eq!(changed, wanted);
        assert_eq!(changed.with(br#"{"refresh_token_ttl":null,"portal_never_visited":[]}"#), Ok(start.clone()));
        assert_eq!(start.with(b"{}"), Ok(start));
    }

    #[test]
    fn mistakes_are_named() {
        let start = Flags::for_test().switches;
        for (wrong, named) in [
            (r#"{"acess_token_ttl":1}"#, "acess_token_ttl"),
            (r#"{"access_token_ttl":-1}"#, "access_token_ttl"),
            (r#"{"access_token_ttl":null}"#, "access_token_ttl"),
            (r#"{"sign_in_as":"Boss"}"#, "sign_in_as"),
            (r#"{"callback_state":"odd"}"#, "right"),
            (r#"{"chunk_size":0}"#, "chunk_size"),
            (r#"{"clock_skew_s":"x"}"#, "clock_skew_s"),
            (r#"[]"#, "map"),
        ] {
            let problem = start.with(wrong.as_bytes()).unwrap_err();
            assert!(problem.contains(named), "{wrong}: {problem}");
        }
    }

    #[test]
    fn every_switch_is_a_flag_of_the_same_name() {
        let line = "ffn-simulator --access-token-ttl 5 --refresh-token-ttl 6 --refresh-reuse-answer invalid_grant \
                    --refresh-reuse-ends-chain --refresh-ends-access --access-token-form opaque --client-secret s \
                    --redirect-uri http://a/ --redirect-uri http://b/ --auto-approve --sign-in-as fulfiller \
                    --granted-scope ffn.merchant.read --granted-scope email --missing-scope-answer invalid_scope \
                    --callback-state wrong --portal-never-visited merchant --leave-out-roles \
                    --chunk-size 3 --accept-future-to-date --inclusive-bounds --exclusive-from --freeze-windows \
                    --ordered-chunks --commit-lag-ms 7 --tombstones bare --leave-out-next-chunk-url \
                    --clock-skew-s -90 --date-header absent --date-skew-s -5 --seven-decimals --keep-nulls \
                    --error-metadata-spelling errorMetadata --list-shape array --top-cap 9 --leave-out-page \
                    --leave-out-links --shifting-lists --page-total pages \
                    --cancel-reasons-shape items --require-dates --largest-window-s 11 --retention-s 12 \
                    --same-number-get oldest --keep-canceled-numbers --duplicate-check id --accept-cancel-twice \
                    --accept-duplicate-shipping-numbers --change-answer object --create-answer empty \
                    --outdated-answer outbound --leave-out-failed-statuses --attachment-life-s 13 --reuse-deleted-documents \
                    --booking-needs-condition --rate-limit 14 --rate-limit-window-s 15";
        let told = Flags::try_parse_from(line.split_whitespace()).unwrap().switches;
        let members = r#"{"access_token_ttl":5,"refresh_token_ttl":6,"refresh_reuse_answer":"invalid_grant",
            "refresh_reuse_ends_chain":true,"refresh_ends_access":true,"access_token_form":"opaque",
            "client_secret":"s","redirect_uri":["http://a/","http://b/"],"auto_approve":true,
            "sign_in_as":"fulfiller","granted_scope":["ffn.merchant.read","email"],
            "missing_scope_answer":"invalid_scope","callback_state":"wrong",
            "portal_never_visited":["merchant"],"leave_out_roles":true,
            "chunk_size":3,"accept_future_to_date":true,"inclusive_bounds":true,"exclusive_from":true,
            "freeze_windows":true,"ordered_chunks":true,"commit_lag_ms":7,"tombstones":"bare",
            "leave_out_next_chunk_url":true,"clock_skew_s":-90,"date_header":"absent","date_skew_s":-5,
            "seven_decimals":true,"keep_nulls":true,"error_metadata_spelling":"errorMetadata",
            "list_shape":"array","top_cap":9,"leave_out_page":true,"leave_out_links":true,
            "shifting_lists":true,"page_total":"pages","cancel_reasons_shape":"items","require_dates":true,
            "largest_window_s":11,"retention_s":12,"same_number_get":"oldest","keep_canceled_numbers":true,
            "duplicate_check":"id","accept_cancel_twice":true,"accept_duplicate_shipping_numbers":true,
            "change_answer":"object","create_answer":"empty","outdated_answer":"outbound","leave_out_failed_statuses":true,"attachment_life_s":13,
            "reuse_deleted_documents":true,"booking_needs_condition":true,"rate_limit":14,
            "rate_limit_window_s":15}"#;
        assert_eq!(Flags::for_test().switches.with(members.as_bytes()), Ok(told.clone()));
        for name in told.json().as_object().unwrap().keys() {
            assert!(line.contains(&format!("--{}", name.replace('_', "-"))), "{name}");
        }
    }
}
