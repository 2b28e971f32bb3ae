//! The query parameters, each group as the members it adds to a command's body (contract 6, 8, 10, 14).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;

use super::values::{Jfsku, Query, Text};

/// Which rows of a list are wanted (contract 8).
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct List {
    /// How many rows at most; FFN's default is 50.
    #[schemars(rename = "$top", range(min = 1, max = 500))]
    pub top: Option<i32>,
    /// How many rows are passed over.
    #[schemars(rename = "$skip", range(min = 0, max = i32::MAX))]
    pub skip: Option<i32>,
    /// An OData filter like `status eq 'Pending'`; FFN ignores one that it does not understand, so look at what comes.
    #[schemars(rename = "$filter")]
    pub filter: Option<Query>,
    /// The members that are wanted, with commas between them.
    #[schemars(rename = "$select")]
    pub select: Option<Query>,
    /// What to sort by, like `modificationInfo/createdAt`.
    #[schemars(rename = "$orderBy")]
    pub order_by: Option<Query>,
}

/// Whether an order may go beyond the stock.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Oversale {
    /// `true` accepts the order although stock is short.
    pub oversale: Option<bool>,
}

/// Whether FFN completes bundles.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Completion {
    /// `true` lets FFN add the component lines of bundles.
    pub auto_complete_bill_of_materials: Option<bool>,
}

/// Which state of an object a change is meant for (contract 6).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Version {
    /// The object's last modification as you know it, as FFN sent it: FFN refuses the change if there was another
    /// since. Left out, the last writer wins.
    pub object_version: Option<DateTime<Utc>>,
}

/// The time that stock is asked for (contract 14).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct At {
    /// A time in the past; left out, now.
    pub date: Option<DateTime<Utc>>,
}

/// Which part of the complete stock is wanted (contract 8).
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompleteStock {
    /// The page, from 1.
    #[schemars(range(min = 1, max = i32::MAX))]
    pub page: Option<i32>,
    /// The time that is asked for. For later pages: the `date` of the first one's answer.
    pub date: Option<DateTime<Utc>>,
    /// `true` adds bundles, whose stock is that of their components.
    pub include_bill_of_materials: Option<bool>,
}

/// Products that a warehouse has to do with.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfWarehouse {
    /// Only what this warehouse has to do with.
    pub referenced_warehouse: Option<Text>,
}

/// Products that a fulfiller has to do with.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfFulfiller {
    /// Only what this fulfiller has to do with.
    pub referenced_fulfiller: Option<Text>,
}

/// A product that another one is a variant of.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Related {
    /// FFN's id of the product that this one is a variant of.
    pub related_jfsku: Option<Jfsku>,
}
