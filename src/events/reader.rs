//! Reading one window of a feed into the journal without loss (contract 7.6).
//!
//! - A window is read to its last page, with the same two bounds on every page.
//! - A window of several pages is read again until a whole pass brings nothing new, because rows
//!   shift while it is paged.
//! - Events and memories of a batch of pages go to the journal in one transaction. Reading twice does no
//!   harm, ids see to that.
//! - An item that is no text is parked, and the others of its page are told.
//! - Two feeds are read otherwise: a return's items are joined with what `returns/changes` tells of it, and
//!   a fulfiller's shipping notifications are asked for order by order. What FFN refuses of one of them is parked.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::value::RawValue;

use super::Error;
use super::looks::{Failed, Failing, Looks};
use super::normalizer::{self, Item, ReturnChange, Telling};
use super::recorder::Recorder;
use crate::domain::entity::{Fingerprint, Known, id_part, same_instant};
use crate::domain::feed::{FeedName, Window};
use crate::ffn::feeds::{self, Endpoint, Feed, Page};
use crate::ffn::{self, Priority, entities};
use crate::store::{self, Append, KnownEntity, Parked};

/// More pages than this in one window mean that something is wrong, or that it is too long.
const MOST_PAGES: u32 = 10_000;
/// More pages than this in a row that have nothing but what earlier pages had mean that they go round in circles; of
/// items without an id, which may well be alike, it takes more.
const MOST_REPEATS: u32 = 10;
const MOST_ALIKE: u32 = 100;
/// More passes than this over one window are left to the next poll, and a shorter window.
const MOST_PASSES: u32 = 20;
/// Tries to store what other readers store at the same time.
const TRIES: u32 = 5;
/// What is stored together, at the most: items, bytes, and how long the first may wait for the others.
const BATCH_ITEMS: usize = 500;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
const BATCH_AGE: Duration = Duration::from_millis(200);
/// Orders whose shipping notifications are stored together, as each of them takes a call.
const BATCH_ORDERS: usize = 50;

/// What stands with an order that was asked for its shipping notifications, and is to be once more.
const ONCE_MORE: &str = "once more";

/// How the memory of an order begins that was asked for its shipping notifications.
pub(super) const ORDER: &str = "order:";

/// Reads windows of one feed of one account.
#[derive(Clone)]
pub struct Reader {
    /// The feed.
    pub feed: FeedName,
    /// Takes what is read.
    pub recorder: Recorder,
    /// Whose turn its calls are.
    pub priority: Priority,
    /// Whether a window of several pages is read again until nothing new comes. Without it changes are lost
    /// (contract 7.6, rule 12): it is off only where a test shows that they are.
    pub reads_again: bool,
    /// How long FFN may fail to show one order or return, while it shows others, before that is parked and keeps
    /// nobody waiting any more; twice as long if there are no others. `None`: it fails the reading.
    pub patience: Option<Duration>,
    /// Which these are.
    pub failing: Failing,
    /// How late FFN may show what belongs to a change that it shows already, as the next window reaches back that far: an
    /// order is asked for its shipping notifications once more before no window shows that change any more.
    pub overlap: TimeDelta,
}

/// What a window brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Events that entered the journal.
    pub events: usize,
    /// The window's end as the server understood it; the earliest, where its pages tell several.
    pub end: Option<DateTime<Utc>>,
}

/// A window while it is read, over all its passes.
struct Reading {
    window: Window,
    telling: Telling,
    /// How many pages of it are read at the most.
    most_pages: u32,
    /// Items that have been taken, by their bytes.
    seen: HashSet<Fingerprint>,
    /// Those that are no text, which are parked.
    odd: HashSet<Vec<u8>>,
    /// Rows of the window, to know when a pass has brought none that is new.
    rows: HashSet<Fingerprint>,
    /// What `returns/changes` tells, by return, oldest first.
    changes: BTreeMap<String, Vec<ReturnChange>>,
    /// The same as FFN sent it.
    change_rows: HashMap<String, Vec<Vec<u8>>>,
    /// What was asked for by its id.
    looks: Looks,
    /// Orders that FFN failed to show the last time: they are asked for after all others.
    put_off: Vec<Box<RawValue>>,
    read: Read,
}

impl Reading {
    fn new(window: Window, telling: Telling, looks: Looks) -> Self {
        Self {
            window,
            telling,
            most_pages: MOST_PAGES,
            seen: HashSet::new(),
            odd: HashSet::new(),
            rows: HashSet::new(),
            changes: BTreeMap::new(),
            change_rows: HashMap::new(),
            looks,
            put_off: Vec::new(),
            read: Read::default(),
        }
    }
}

/// Items of several pages that are stored together: a commit costs the same for many as for few.
struct Batch {
    items: Vec<Box<RawValue>>,
    bytes: usize,
    begun: Instant,
}

impl Batch {
    fn new() -> Self {
        Self { items: Vec::new(), bytes: 0, begun: Instant::now() }
    }

    fn extend(&mut self, items: Vec<Box<RawValue>>) {
        for item in items {
            self.bytes += item.get().len();
            self.items.push(item);
        }
    }

    /// How long it may wait for more.
    fn patience(&self) -> Duration {
        let is_full = self.items.len() >= BATCH_ITEMS || self.bytes >= BATCH_BYTES;
        if is_full { Duration::ZERO } else { BATCH_AGE.saturating_sub(self.begun.elapsed()) }
    }
}

impl Reader {
    /// One that reads like a poll.
    pub fn new(feed: FeedName, recorder: Recorder) -> Self {
        Self {
            feed,
            recorder,
            priority: Priority::Poll,
            reads_again: true,
            patience: None,
            failing: Failing::default(),
            overlap: TimeDelta::zero(),
        }
    }

    /// Reads a window until nothing new comes. Afterwards everything that FFN told of it is in the journal.
    ///
    /// # Errors
    /// See [`Error`]. What was read before is stored; the window has to be read again.
    pub async fn read(&self, window: Window, telling: Telling) -> Result<Read, Error> {
        let looks = Looks::new(self.failing.clone(), self.patience);
        let mut reading = Reading::new(window, telling, looks);
        for pass in 1..=MOST_PASSES {
            let before = reading.rows.len();
            let mut pages = 0;
            for endpoint in self.endpoints() {
                pages = self.pass(endpoint, &mut reading).await?.max(pages);
            }
            if pages <= 1 || !self.reads_again || (pass > 1 && reading.rows.len() == before) {
                let put_off = std::mem::take(&mut reading.put_off);
                self.tell_shipments(&put_off, &mut reading).await?;
                self.tell_of_moved_returns(&mut reading).await?;
                self.set_aside(reading.looks).await?;
                return Ok(reading.read);
            }
            tracing::debug!(account = %self.recorder.account(), feed = %self.feed, pass, pages, "a window of several pages is read again");
        }
        Err(Error::Endless(format!("{MOST_PASSES} passes over one window each brought something new")))
    }

    /// What has to be read; last the one whose items become events.
    fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        let feed = Feed::of(self.feed);
        feed.changes.into_iter().chain([feed.endpoint(self.recorder.client.role())])
    }

    /// Reads a window once, page after page, and stores what it brings. Gives the number of pages.
    async fn pass(&self, endpoint: Endpoint, reading: &mut Reading) -> Result<u32, Error> {
        let (from, to) = (feeds::bound(reading.window.from), feeds::bound(reading.window.to));
        let fetch = |number| self.fetch(endpoint, &from, &to, number);
        let mut page = fetch(1).await?;
        let mut last_page = Vec::new();
        let (mut shown, mut repeats) = (HashSet::<Fingerprint>::new(), 0);
        let mut batch = Batch::new();
        for number in 1..=reading.most_pages {
            reading.read.end = reading.read.end.into_iter().chain(page.to).min();
            let prints: Vec<Fingerprint> = page.items.iter().map(|item| Fingerprint::of(item.get())).collect();
            let before = shown.len();
            shown.extend(prints.iter().copied());
            let has_new = shown.len() > before;
            // Items without an id may well be alike (`null`): that they come again says little.
            let is_repeat = !has_new && page.items.iter().any(|item| self.has_id(endpoint, item));
            if is_repeat && last_page == prints {
                return Err(Error::Nonsense(format!("pages {} and {number} of one window are the same", number - 1)));
            }
            repeats += if is_repeat { MOST_ALIKE / MOST_REPEATS } else { u32::from(!prints.is_empty()) };
            if has_new {
                repeats = 0;
            }
            if repeats > MOST_ALIKE {
                return Err(Error::Nonsense(format!("pages up to {number} of one window go round in circles")));
            }
            // The same bytes in an earlier pass have been stored already.
            let mut items = page.items;
            let mut print = prints.iter();
            items.retain(|_| print.next().is_some_and(|print| reading.seen.insert(*print)));
            for item in &items {
                let row = self.row(endpoint, item, reading.window);
                reading.rows.insert(row);
            }
            batch.extend(items);
            page.odd.retain(|item| reading.odd.insert(item.clone()));
            self.recorder.park_all(self.feed, page.odd, &"its bytes are no UTF-8").await?;
            last_page = prints;
            if !page.more {
                self.take(endpoint, batch.items, reading).await?;
                return Ok(number);
            }
            let mut next = std::pin::pin!(fetch(number + 1));
            page = match tokio::time::timeout(batch.patience(), &mut next).await {
                Ok(page) => page?,
                // The batch is full, or the next page takes its time: it is awaited while these are stored.
                Err(_) => {
                    let items = std::mem::replace(&mut batch, Batch::new()).items;
                    let (stored, page) = tokio::join!(self.take(endpoint, items, reading), next);
                    stored?;
                    page?
                }
            };
        }
        Err(Error::Endless(format!("more than {} pages", reading.most_pages)))
    }

    /// Whose entities an endpoint shows; `None`: changes of them.
    fn shows(&self, endpoint: Endpoint) -> Option<FeedName> {
        match Feed::of(self.feed) {
            feed if feed.changes == Some(endpoint) => None,
            feed if feed.lists_orders_of_shipments(self.recorder.client.role()) => Some(FeedName::Outbounds),
            feed => Some(feed.name),
        }
    }

    fn has_id(&self, endpoint: Endpoint, item: &RawValue) -> bool {
        match self.shows(endpoint) {
            Some(feed) => normalizer::entity_id(feed, item).is_ok(),
            None => normalizer::read_return_change(item).is_ok(),
        }
    }

    /// What counts as one row. An entity that has changed since the window's end may be shown in it all the same, and
    /// otherwise each time while it goes on to change: it counts once, as what is shown of later is for the next window.
    fn row(&self, endpoint: Endpoint, item: &RawValue, window: Window) -> Fingerprint {
        // Entries of stocks never change.
        let feed = self.shows(endpoint).filter(|feed| *feed != FeedName::Stocks);
        let is_ahead = |feed: &FeedName| normalizer::changed_at(*feed, item).is_some_and(|at| at >= window.to);
        let id = feed.filter(is_ahead).and_then(|feed| normalizer::entity_id(feed, item).ok());
        Fingerprint::of(id.as_deref().unwrap_or(item.get()))
    }

    async fn fetch(&self, endpoint: Endpoint, from: &str, to: &str, number: u32) -> Result<Page, Error> {
        match feeds::read_page(&self.recorder.client, endpoint, self.priority, from, to, number).await {
            // How many items a page has is FFN's word: a window that has fewer is what is left.
            Err(error @ ffn::Error::TooLarge { .. }) => Err(Error::Endless(format!("page {number}: {error}"))),
            page => Ok(page?),
        }
    }

    /// Stores items, or keeps them for those that come later.
    async fn take(&self, endpoint: Endpoint, items: Vec<Box<RawValue>>, reading: &mut Reading) -> Result<(), Error> {
        if Feed::of(self.feed).changes == Some(endpoint) {
            return self.take_changes(items, reading).await;
        }
        if Feed::of(self.feed).lists_orders_of_shipments(self.recorder.client.role()) {
            let (mut put_off, others) = items.into_iter().partition(|order| self.is_failing(order));
            reading.put_off.append(&mut put_off);
            return self.tell_shipments(&others, reading).await;
        }
        if let Some(changes) = Feed::of(self.feed).changes
            && items.iter().any(|item| self.lacks_a_change(item, reading))
        {
            // It has become visible after the changes were read.
            Box::pin(self.pass(changes, reading)).await?;
        }
        let items: Vec<Item> = items.into_iter().map(|json| self.join(json, reading)).collect();
        self.record(&items, reading, Append::default()).await
    }

    /// Appends what items tell to the journal.
    async fn record(&self, items: &[Item], reading: &mut Reading, with: Append) -> Result<(), Error> {
        self.record_until(reading.telling.until, items, reading, with).await
    }

    /// The same, of what was before an instant.
    async fn record_until(
        &self,
        until: DateTime<Utc>,
        items: &[Item],
        reading: &mut Reading,
        with: Append,
    ) -> Result<(), Error> {
        let telling = Telling { until, ..reading.telling };
        let recorded = self.recorder.record(self.feed, items, telling, with).await;
        if matches!(&recorded, Err(Error::Ffn(error)) if error.may_be_about_this_one()) {
            self.failing.lacks_a_carrier();
        }
        reading.read.events += recorded?.events;
        Ok(())
    }

    async fn take_changes(&self, items: Vec<Box<RawValue>>, reading: &mut Reading) -> Result<(), Error> {
        let mut odd = Vec::new();
        for json in items {
            match normalizer::read_return_change(&json) {
                Ok(change) => {
                    let rows = reading.change_rows.entry(change.return_id.clone()).or_default();
                    rows.push(json.get().as_bytes().to_vec());
                    let changes = reading.changes.entry(change.return_id.clone()).or_default();
                    changes.push(change);
                    changes.sort_by_key(|change| change.at);
                }
                Err(_) => odd.push(Item::from(json)),
            }
        }
        // What is no change is no return either: it is parked, with the reason.
        self.record(&odd, reading, Append::default()).await
    }

    /// Whether an item shows a change in the window that has not been listed.
    fn lacks_a_change(&self, item: &RawValue, reading: &Reading) -> bool {
        let Window { from, to } = reading.window;
        let changes = normalizer::entity_id(self.feed, item).ok().and_then(|id| reading.changes.get(&id));
        let is_listed = |at: DateTime<Utc>| changes.into_iter().flatten().any(|change| same_instant(change.at, at));
        normalizer::changes_of(self.feed, item).into_iter().any(|at| from <= at && at < to && !is_listed(at))
    }

    fn join(&self, json: Box<RawValue>, reading: &Reading) -> Item {
        if reading.changes.is_empty() {
            return Item::from(json);
        }
        let id = normalizer::entity_id(self.feed, &json).unwrap_or_default();
        let changes = reading.changes.get(&id).cloned().unwrap_or_default();
        Item { json, changes }
    }

    /// A return that changed in the window and again after it is not among its items: what happened to it is
    /// told from a look at it. If FFN refuses that, or has it no more, its changes are parked.
    async fn tell_of_moved_returns(&self, reading: &mut Reading) -> Result<(), Error> {
        if reading.changes.is_empty() {
            return Ok(());
        }
        let ids = reading.changes.keys().cloned().collect();
        let known: HashMap<String, Known> =
            self.recorder.journal.known(self.recorder.account(), self.feed, ids).await?;
        let is_told = |id: &str, change: &ReturnChange| {
            change.at < reading.telling.since || known.get(id).is_some_and(|known| known.has_told(&id_part(change.at)))
        };
        let mut changed: Vec<(String, Vec<ReturnChange>)> = std::mem::take(&mut reading.changes).into_iter().collect();
        changed.retain(|(id, changes)| !changes.iter().all(|change| is_told(id, change)));
        self.failing.sort(&mut changed, |(id, _)| id);
        for (id, changes) in changed {
            let found = entities::get(&self.recorder.client, "return.get", "returns", &id, self.priority).await;
            let json = match found {
                Ok(found) => found,
                Err(error) => {
                    let rows = reading.change_rows.remove(&id).unwrap_or_default();
                    let reason = cant_be_asked("the return", &error);
                    if error.is_about_this_one() {
                        reading.looks.shown();
                        self.recorder.park_all(self.feed, rows, &reason).await?;
                    } else {
                        let parked = rows.iter().map(|row| self.recorder.park(self.feed, row, &reason)).collect();
                        reading.looks.failed(Failed { id, error, parked, known: None })?;
                    }
                    continue;
                }
            };
            reading.looks.shown();
            match json {
                Some(json) => {
                    // It may have gone on by changes that become visible only later: the feed is yet to show them.
                    let listed = changes.iter().map(|change| change.at.trunc_subsecs(3) + TimeDelta::milliseconds(1));
                    let until = listed.max().unwrap_or(reading.telling.until).min(reading.telling.until);
                    self.record_until(until, &[Item { json, changes }], reading, Append::default()).await?;
                }
                // The next window has them too, and may have its end with them.
                None if changes.iter().all(|change| change.at >= reading.window.to - self.overlap) => {}
                None => {
                    let rows = reading.change_rows.remove(&id).unwrap_or_default();
                    self.recorder.park_all(self.feed, rows, &GONE).await?;
                }
            }
        }
        Ok(())
    }

    /// Parks what FFN has failed to show for long.
    async fn set_aside(&self, looks: Looks) -> Result<(), Error> {
        let (failed, ended) = looks.end();
        for Failed { parked, known, .. } in failed {
            let append = Append { parked, known: known.into_iter().collect(), ..Append::default() };
            self.recorder.append(self.feed, append).await?;
        }
        Ok(ended?)
    }

    fn is_failing(&self, order: &RawValue) -> bool {
        normalizer::shipped_order(order).is_some_and(|(id, _)| self.failing.has(&id))
    }

    /// Stores the shipping notifications of orders that have changed since they were last asked for. An order of which
    /// FFN refuses them is parked.
    async fn tell_shipments(&self, orders: &[Box<RawValue>], reading: &mut Reading) -> Result<(), Error> {
        for orders in orders.chunks(BATCH_ORDERS) {
            self.tell_shipments_of(orders, reading).await?;
        }
        Ok(())
    }

    async fn tell_shipments_of(&self, orders: &[Box<RawValue>], reading: &mut Reading) -> Result<(), Error> {
        for _ in 0..TRIES {
            let (mut shipments, mut with) = (Vec::new(), Append::default());
            // What came before an error stays: with few calls at a time the window could never be read else.
            let asked = self.shipments(orders, reading, &mut shipments, &mut with).await;
            let items: Vec<Item> = shipments.into_iter().map(Item::from).collect();
            match self.record(&items, reading, with).await {
                // Another reader has asked for one of them.
                Err(Error::Store(store::Error::Outdated)) => {}
                recorded => return asked.and(recorded),
            }
        }
        Err(store::Error::Outdated.into())
    }

    async fn shipments(
        &self,
        orders: &[Box<RawValue>],
        reading: &mut Reading,
        shipments: &mut Vec<Box<RawValue>>,
        with: &mut Append,
    ) -> Result<(), Error> {
        let shipped = orders.iter().filter_map(|order| Some((order, normalizer::shipped_order(order)?)));
        let orders: Vec<(&Box<RawValue>, (String, Known))> = shipped.collect();
        let memory = |id: &str| format!("{ORDER}{id}");
        let ids = orders.iter().map(|(_, (id, _))| memory(id)).collect();
        let account = self.recorder.account();
        let known = self.recorder.journal.known(account, self.feed, ids).await?;
        for (order, (id, now)) in orders {
            let before = known.get(&memory(&id)).cloned();
            let is_last = now.changed_at.is_none_or(|at| at < reading.window.to - self.overlap);
            let asked = Known { status: Some(ONCE_MORE.to_owned()), ..now.clone() };
            let is_known = before.as_ref() == Some(&now) || (before.as_ref() == Some(&asked) && !is_last);
            if is_known || reading.looks.has_failed(&id) {
                continue;
            }
            let now = if is_last { now } else { asked };
            // Of an order that has changed since, not all is told yet: it is asked for again.
            let is_done = now.changed_at.is_none_or(|at| at < reading.window.to);
            let entity = KnownEntity { account: account.clone(), feed: self.feed, id: memory(&id), before, known: now };
            let park = |reason: &dyn Display| {
                is_done.then(|| self.recorder.park(self.feed, order.get().as_bytes(), reason)).into_iter().collect()
            };
            match entities::shipments_of(&self.recorder.client, &id, self.priority).await {
                Ok(found) => {
                    reading.looks.shown();
                    // A notification may become visible after its order.
                    let is_all = normalizer::shows_shipping(order, &found);
                    shipments.extend(found);
                    with.known.extend((is_done && is_all).then_some(entity));
                }
                Err(error) if error.is_about_this_one() => {
                    reading.looks.shown();
                    let parked: Vec<Parked> = park(&cant_be_asked("its shipping notifications", &error));
                    with.parked.extend(parked);
                    with.known.extend(is_done.then_some(entity));
                }
                Err(error) => {
                    let parked = park(&cant_be_asked("its shipping notifications", &error));
                    let known = is_done.then_some(entity);
                    reading.looks.failed(Failed { id, error, parked, known })?;
                }
            }
        }
        Ok(())
    }
}

/// Why a change of a return is parked that can't be told with what the return was.
pub(super) const GONE: &str = "the return is not there any more";

/// Why something is parked of which FFN refuses what belongs to it.
pub(super) fn cant_be_asked(what: &str, refused: &ffn::Error) -> String {
    format!("{what} can't be asked for: {refused}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::super::Config;
    use super::super::backfill::{Backfill, Period};
    use super::super::config::Start;
    use super::super::parked::{self, Retried};
    use super::super::testing::{Bench, query};
    use super::*;
    use crate::domain::account::Role;
    use crate::ffn::shipping_methods::ShippingMethods;
    use crate::ffn::testing::{Call, Reply};
    use crate::store::{ParkedFilter, Parking};

    #[tokio::test]
    async fn an_item_that_is_no_text_is_parked_once_and_the_others_are_told() {
        let pages: [&[u8]; 2] = [
            b"{\"data\":[{\"jfsku\":\"P1\",\"name\":\"Gr\xfcn\"},{\"jfsku\":\"P2\"}],\"moreDataAvailable\":true}",
            b"{\"data\":[{\"jfsku\":\"P3\"}]}",
        ];
        let bench = Bench::new(move |call| Reply::bytes(pages[usize::from(call.uri.contains("page=2"))])).await;
        let (recorder, now) = (bench.recorder.clone(), Utc::now());
        let reader = Reader::new(FeedName::Products, recorder);
        let window = Window { from: now - TimeDelta::hours(1), to: now };
        reader.read(window, Telling::since(window.from)).await.unwrap();
        assert_eq!(bench.told().await, ["acme.product.created"; 2]);
        let parked = bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap();
        let [entry] = parked.as_slice() else { panic!("{parked:?}") };
        let parked = bench.store.parked_item(entry.id).await.unwrap().unwrap();
        assert_eq!(parked.item, b"{\"jfsku\":\"P1\",\"name\":\"Gr\xfcn\"}");
        let counted = bench.recorder.metrics.items_parked.with_label_values(&["acme", "products"]).get();
        assert_eq!(counted, 1, "though it was read twice");
    }

    /// Reads the pages of a window once, so many of them at the most. Each has what is told for its number: a product,
    /// and whether there are more.
    async fn pass(most_pages: u32, page: impl Fn(u32) -> (u32, bool) + Send + Sync + 'static) -> Result<u32, Error> {
        let item = move |number| {
            let (id, more) = page(number);
            (format!(r#"{{"jfsku":"P{id}"}}"#), more)
        };
        pass_of(Role::Merchant, FeedName::Products, 1, most_pages, item).await.1
    }

    /// The same of a feed's endpoint, the last one or one before it, with the items themselves; how many were parked.
    async fn pass_of(
        role: Role,
        feed: FeedName,
        last: usize,
        most_pages: u32,
        item: impl Fn(u32) -> (String, bool) + Send + Sync + 'static,
    ) -> (usize, Result<u32, Error>) {
        let bench = Bench::of(role, move |call| match query(call, "page") {
            Some(number) => {
                let (item, more) = item(number);
                Reply::json(200, &format!(r#"{{"data":[{item}],"moreDataAvailable":{more}}}"#))
            }
            None => Reply::json(200, "[]"),
        })
        .await;
        let (recorder, now) = (bench.recorder.clone(), Utc::now());
        let reader = Reader::new(feed, recorder);
        let window = Window { from: now - TimeDelta::hours(1), to: now };
        let mut reading = Reading {
            most_pages,
            ..Reading::new(window, Telling::since(window.from), Looks::new(Failing::default(), None))
        };
        let endpoints: Vec<Endpoint> = reader.endpoints().collect();
        let read = reader.pass(endpoints[endpoints.len() - last], &mut reading).await;
        (bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap().len(), read)
    }

    #[tokio::test]
    async fn items_without_an_id_may_come_again() {
        let order = r#"{"outboundId":"O1","status":"Pending"}"#;
        let change = r#"{"id":"R1","updatedAt":"2026-01-05T08:00:01Z"}"#;
        for (role, feed, last, odd, fine, parks) in [
            (Role::Merchant, FeedName::Products, 1, "null", r#"{"jfsku":"P1"}"#, 1),
            (Role::Merchant, FeedName::Returns, 2, r#"{"id":"R1"}"#, change, 1),
            (Role::Fulfiller, FeedName::OutboundShipments, 1, "null", order, 0),
        ] {
            let read = |item: String| pass_of(role, feed, last, 20, move |number| (item.clone(), number < 20));
            let (parked, pages) = read(odd.to_owned()).await;
            assert_eq!((parked, pages.unwrap()), (parks, 20), "{feed}");
            for again in [fine.to_owned(), format!("{odd},{fine}")] {
                let error = read(again).await.1.unwrap_err();
                assert!(matches!(error, Error::Nonsense(_)), "{feed} {error:?}");
            }
            // Among others they hide no circle, and make none.
            let (odd, fine) = (odd.to_owned(), fine.to_owned());
            let circle = move |number: u32| (if number.is_multiple_of(2) { &odd } else { &fine }.clone(), number < 50);
            let error = pass_of(role, feed, last, 100, circle).await.1.unwrap_err();
            assert!(error.to_string().contains("in circles"), "{feed} {error}");
        }
    }

    #[tokio::test]
    async fn a_window_of_more_pages_than_can_be_read_is_an_error() {
        assert_eq!(pass(3, |number| (number, number < 3)).await.unwrap(), 3);
        let error = pass(3, |number| (number, number < 30)).await.unwrap_err();
        assert!(matches!(error, Error::Endless(_)), "{error:?}");
    }

    #[tokio::test]
    async fn a_page_that_comes_again_is_an_error() {
        let error = pass(3, |number| (number.min(2), number < 30)).await.unwrap_err();
        assert!(matches!(error, Error::Nonsense(_)), "{error:?}");
    }

    #[tokio::test]
    async fn pages_that_go_round_in_circles_are_an_error() {
        let error = pass(100, |number| (number % 3, true)).await.unwrap_err();
        assert!(matches!(error, Error::Nonsense(_)), "{error:?}");
        // Rows move on while they are paged: some come again.
        assert_eq!(pass(100, |number| (number - number / 5 * 3, number < 50)).await.unwrap(), 50);
    }

    /// A fulfiller's two shipped orders, or the changes of two returns that are in no window; the first of either is
    /// refused like this.
    fn refusing(call: &Call, refusal: &Reply) -> Reply {
        let path = call.uri.split('?').next().unwrap();
        let order = |id: &str| {
            format!(
                r#"{{"outboundId":"{id}","status":"Shipped","modificationInfo":{{"createdAt":"2026-01-05T08:00:00Z"}}}}"#
            )
        };
        let change = |id: &str| format!(r#"{{"id":"{id}","updatedAt":"2026-01-05T08:00:01Z","changes":{{}}}}"#);
        let page = |items: [String; 2]| Reply::json(200, &format!(r#"{{"data":[{}]}}"#, items.join(",")));
        match path.rsplit_once("/v1/").unwrap().1.split_once('/').unwrap().1 {
            "outbounds/updates" => page(["O1", "O2"].map(order)),
            "returns/changes" => page(["R1", "R2"].map(change)),
            "outbounds/O1/shipping-notifications" | "returns/R1" => refusal.clone(),
            "outbounds/O2/shipping-notifications" => {
                Reply::json(200, r#"[{"outboundShippingNotificationId":"S2","outboundId":"O2"}]"#)
            }
            "returns/R2" => Reply::json(
                200,
                r#"{"returnId":"R2","state":"Announced","modificationInfo":{"createdAt":"2026-01-05T08:00:00Z","updatedAt":"2026-01-05T08:00:01Z"}}"#,
            ),
            _ => Reply::json(200, r#"{"data":[]}"#),
        }
    }

    /// Reads such a feed; what is told and what is parked.
    async fn read_refused(
        feed: FeedName,
        refusal: Reply,
        patience: Option<Duration>,
    ) -> (Bench, Result<Read, Error>, Vec<crate::store::ParkedEntry>) {
        let answer = move |call: &Call| refusing(call, &refusal);
        let bench = Bench::of(Role::Fulfiller, answer).await;
        let reader = Reader { patience, ..Reader::new(feed, bench.recorder.clone()) };
        let at = |second: u32| format!("2026-01-05T08:00:{second:02}Z").parse().unwrap();
        let window = Window { from: at(0), to: at(30) };
        let read = reader.read(window, Telling::since(window.from)).await;
        let parked = bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap();
        (bench, read, parked)
    }

    const REFUSED: &str = r#"{"errorCode":{"code":"Outbounds_Brandnew"}}"#;

    #[tokio::test]
    async fn one_order_or_return_that_is_refused_is_parked_and_the_others_are_told() {
        for (feed, event) in [(FeedName::OutboundShipments, "dispatched"), (FeedName::Returns, "announced")] {
            for refusal in [Reply::json(403, REFUSED), Reply::json(404, ""), Reply::json(400, "")] {
                let (bench, read, parked) = read_refused(feed, refusal, None).await;
                read.unwrap();
                assert!(bench.told().await[0].ends_with(event), "{feed}");
                let [entry] = parked.as_slice() else { panic!("{feed}: {parked:?}") };
                assert!(entry.reason.contains("can't be asked for: FFN answered"), "{}", entry.reason);
                let counted = bench.recorder.metrics.items_parked.with_label_values(&["acme", feed.as_str()]).get();
                assert_eq!(counted, 1);
            }
        }
    }

    #[tokio::test]
    async fn the_changes_of_a_return_that_is_gone_are_parked() {
        let gone = r#"{"errorCode":{"code":"Returns_ReturnNotFound"}}"#;
        let bench = Bench::of(Role::Fulfiller, move |call| refusing(call, &Reply::json(404, gone))).await;
        let at = |second: u32| format!("2026-01-05T08:00:{second:02}Z").parse().unwrap();
        let window = Window { from: at(0), to: at(30) };
        // The next window shows them again, or it does not.
        for (overlap, is_parked) in [(TimeDelta::minutes(1), false), (TimeDelta::seconds(20), true)] {
            let reader = Reader { overlap, ..Reader::new(FeedName::Returns, bench.recorder.clone()) };
            reader.read(window, Telling::since(window.from)).await.unwrap();
            assert_eq!(bench.told().await, ["acme.return.announced", "acme.return.updated"], "of the other one");
            let parked = bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap();
            assert_eq!(parked.len(), usize::from(is_parked), "{parked:?}");
            assert!(parked.iter().all(|entry| entry.reason.contains("not there any more")), "{parked:?}");
        }
        // It stays.
        let parked = bench.store.parked_item(1).await.unwrap().unwrap();
        let again = parked::retry(&bench.recorder, &parked, Duration::from_secs(1_000_000_000)).await.unwrap();
        assert_eq!(again, Retried::Odd { reason: GONE.to_owned() });
        assert_eq!(bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn changes_of_a_return_that_become_visible_late_are_told_in_order() {
        // The first reading sees its first change, the next one two, and the last one all, and the return with them.
        let visible = Arc::new(AtomicUsize::new(1));
        let seen = visible.clone();
        let at = |second: usize| format!("2026-01-05T08:00:{second:02}Z");
        let bench = Bench::new(move |call| {
            let path = call.uri.split('?').next().unwrap();
            let item = format!(
                r#"{{"returnId":"R1","state":"Completed","modificationInfo":{{"createdAt":"{}","updatedAt":"{}"}}}}"#,
                at(1),
                at(3)
            );
            let change = |nth: usize, state: &str| {
                format!(r#"{{"id":"R1","updatedAt":"{}","changes":{{"state":{{"value":"{state}"}}}}}}"#, at(nth))
            };
            let changes = [change(1, "Announced"), change(2, "Arrived"), change(3, "Completed")];
            let visible = seen.load(Ordering::Relaxed);
            match path.rsplit('/').next().unwrap() {
                "changes" => Reply::json(200, &format!(r#"{{"data":[{}]}}"#, changes[..visible].join(","))),
                "updates" if visible == 3 => Reply::json(200, &format!(r#"{{"data":[{item}]}}"#)),
                "updates" => Reply::json(200, r#"{"data":[]}"#),
                _ => Reply::json(200, &item),
            }
        })
        .await;
        let reader = Reader::new(FeedName::Returns, bench.recorder.clone());
        let bound = |second: u32| format!("2026-01-05T08:00:{second:02}Z").parse().unwrap();
        let window = Window { from: bound(0), to: bound(30) };
        for states in [&["announced"][..], &["announced", "arrived"], &["announced", "arrived", "completed"]] {
            visible.store(states.len(), Ordering::Relaxed);
            reader.read(window, Telling::since(window.from)).await.unwrap();
            let told = bench.told().await;
            assert_eq!(told, states.iter().map(|state| format!("acme.return.{state}")).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn what_may_pass_or_is_the_accounts_matter_fails_the_reading() {
        for feed in [FeedName::OutboundShipments, FeedName::Returns] {
            for status in [401, 403, 409, 429, 500] {
                let (_, read, parked) = read_refused(feed, Reply::json(status, ""), None).await;
                assert!(read.is_err() && parked.is_empty(), "{feed} {status}");
            }
        }
    }

    #[tokio::test]
    async fn what_ffn_fails_to_show_for_long_is_parked_if_it_shows_others() {
        for (feed, event) in [(FeedName::OutboundShipments, "dispatched"), (FeedName::Returns, "announced")] {
            for failure in [Reply::json(500, ""), Reply::json(200, "{")] {
                let (bench, read, parked) = read_refused(feed, failure, Some(Duration::ZERO)).await;
                read.unwrap();
                assert!(bench.told().await[0].ends_with(event), "{feed}");
                assert!(parked.len() == 1 && parked[0].reason.contains("can't be asked for"), "{feed} {parked:?}");
            }
            // What is the account's matter is no matter of one.
            for status in [401, 429] {
                let (_, read, parked) = read_refused(feed, Reply::json(status, ""), Some(Duration::ZERO)).await;
                assert!(read.is_err() && parked.is_empty(), "{feed} {status}");
            }
        }
    }

    /// A fulfiller's order that was shipped at the fifth second, and a notification that is visible when asked for the
    /// second time; counts how often that is.
    async fn late() -> (Bench, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let bench = Bench::of(Role::Fulfiller, move |call| {
            let stamp = r#""modificationInfo":{"createdAt":"2026-01-05T08:00:05Z"}"#;
            if !call.uri.contains("shipping-notifications") {
                let order =
                    r#"{"outboundId":"O1","status":"Shipped","statusTimestamp":{"shipped":"2026-01-05T08:00:05Z"}"#;
                return Reply::json(200, &format!(r#"{{"data":[{order},{stamp}}}]}}"#));
            }
            match counted.fetch_add(1, Ordering::Relaxed) {
                0 => Reply::json(200, "[]"),
                _ => Reply::json(
                    200,
                    &format!(r#"[{{"outboundShippingNotificationId":"S1","outboundId":"O1",{stamp}}}]"#),
                ),
            }
        })
        .await;
        (bench, asked)
    }

    #[tokio::test]
    async fn a_notification_that_becomes_visible_after_its_order_is_told() {
        let (bench, asked) = late().await;
        let reader = Reader::new(FeedName::OutboundShipments, bench.recorder.clone());
        let at = |second: u32| format!("2026-01-05T08:00:{second:02}Z").parse().unwrap();
        let window = Window { from: at(0), to: at(30) };
        let mut told = Vec::new();
        for _ in 0..4 {
            told.push(reader.read(window, Telling::since(window.from)).await.unwrap().events);
        }
        assert_eq!((told, asked.load(Ordering::Relaxed)), (vec![0, 1, 0, 0], 2));
    }

    #[tokio::test]
    async fn an_order_that_has_changed_since_its_window_is_asked_again() {
        let (bench, asked) = late().await;
        let reader = Reader::new(FeedName::OutboundShipments, bench.recorder.clone());
        let at = |second: u32| format!("2026-01-05T08:00:{second:02}Z").parse().unwrap();
        let window = Window { from: at(0), to: at(3) };
        for _ in 0..4 {
            reader.read(window, Telling::since(window.from)).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn a_second_notification_that_becomes_visible_after_its_order_is_told() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let bench = Bench::of(Role::Fulfiller, move |call| {
            let stamp = |second| format!(r#""modificationInfo":{{"createdAt":"2026-01-05T08:00:{second}Z"}}"#);
            if !call.uri.contains("shipping-notifications") {
                let order = r#"{"outboundId":"O1","status":"PartiallyShipped""#;
                let stamps = r#""statusTimestamp":{"partiallyShipped":"2026-01-05T08:00:05Z"}"#;
                return Reply::json(200, &format!(r#"{{"data":[{order},{stamps},{}}}]}}"#, stamp("10")));
            }
            let parcel = |n, second| {
                format!(r#"{{"outboundShippingNotificationId":"S{n}","outboundId":"O1",{}}}"#, stamp(second))
            };
            let late = if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                String::new()
            } else {
                format!(",{}", parcel(2, "10"))
            };
            Reply::json(200, &format!("[{}{late}]", parcel(1, "05")))
        })
        .await;
        let overlap = TimeDelta::seconds(20);
        let reader = Reader { overlap, ..Reader::new(FeedName::OutboundShipments, bench.recorder.clone()) };
        let at = |second: u32| format!("2026-01-05T08:00:{second:02}Z").parse().unwrap();
        let mut told = Vec::new();
        for to in [12, 14, 30, 31, 33] {
            let window = Window { from: at(0), to: at(to) };
            told.push((
                reader.read(window, Telling::since(window.from)).await.unwrap().events,
                asked.load(Ordering::Relaxed),
            ));
        }
        assert_eq!(told, [(1, 1), (0, 1), (0, 1), (1, 2), (0, 2)]);
    }

    #[tokio::test]
    async fn orders_that_ffn_fails_to_show_keep_none_on_a_later_page() {
        let order = |id: &str, status: &str| {
            let stamp = r#""modificationInfo":{"createdAt":"2026-01-05T08:00:05Z"}"#;
            format!(r#"{{"outboundId":"{id}","status":"{status}",{stamp}}}"#)
        };
        let failing: Vec<String> = (0..10).map(|n| format!("F{n}")).collect();
        let first = failing.iter().map(|id| order(id, "Shipped"));
        // What is stored together ends with the first page.
        let first: Vec<String> = first.chain((0..BATCH_ITEMS).map(|n| order(&format!("O{n}"), "Pending"))).collect();
        let bench = Bench::of(Role::Fulfiller, move |call| {
            if let Some((_, of)) = call.uri.split_once("outbounds/A/") {
                assert!(of.starts_with("shipping-notifications"));
                let stamp = r#""modificationInfo":{"createdAt":"2026-01-05T08:00:05Z"}"#;
                return Reply::json(
                    200,
                    &format!(r#"[{{"outboundShippingNotificationId":"S1","outboundId":"A",{stamp}}}]"#),
                );
            }
            match query::<u32>(call, "page") {
                Some(1) => Reply::json(200, &format!(r#"{{"data":[{}],"moreDataAvailable":true}}"#, first.join(","))),
                Some(_) => Reply::json(200, &format!(r#"{{"data":[{}]}}"#, order("A", "Shipped"))),
                None => Reply::json(500, ""),
            }
        })
        .await;
        let reader = Reader {
            patience: Some(Duration::ZERO),
            ..Reader::new(FeedName::OutboundShipments, bench.recorder.clone())
        };
        let at = |second: u32| format!("2026-01-05T08:00:{second:02}Z").parse().unwrap();
        let window = Window { from: at(0), to: at(30) };
        let mut tries = 0;
        while reader.read(window, Telling::since(window.from)).await.is_err() {
            tries += 1;
            assert!(tries < 10);
        }
        assert_eq!(bench.told().await, ["acme.shipment.dispatched"]);
        assert_eq!(bench.store.parked(ParkedFilter::default(), 0, 20).await.unwrap().len(), failing.len());
    }

    #[tokio::test]
    async fn what_was_refused_is_asked_for_again_when_it_is_retried() {
        for feed in [FeedName::OutboundShipments, FeedName::Returns] {
            let is_open = Arc::new(AtomicBool::new(false));
            let look = is_open.clone();
            let bench = Bench::of(Role::Fulfiller, move |call| match look.load(Ordering::Relaxed) {
                false => Reply::json(404, ""),
                true if call.uri.contains("shipping-notifications") => {
                    Reply::json(200, r#"[{"outboundShippingNotificationId":"S1","outboundId":"O1"}]"#)
                }
                true => Reply::json(200, r#"{"returnId":"R1","state":"Announced"}"#),
            });
            let bench = bench.await;
            let item = match feed {
                FeedName::Returns => r#"{"id":"R1","updatedAt":"2026-01-05T08:00:01Z","changes":{}}"#,
                _ => r#"{"outboundId":"O1","status":"Shipped"}"#,
            };
            bench.recorder.park_all(feed, vec![item.as_bytes().to_vec()], &"it was refused").await.unwrap();
            let id = bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap()[0].id;
            let parked = bench.store.parked_item(id).await.unwrap().unwrap();
            let refused = parked::retry(&bench.recorder, &parked, Duration::from_secs(1_000_000_000)).await.unwrap();
            assert!(matches!(&refused, Retried::Odd { reason } if reason.contains("404")), "{refused:?}");
            is_open.store(true, Ordering::Relaxed);
            let told = parked::retry(&bench.recorder, &parked, Duration::from_secs(1_000_000_000)).await.unwrap();
            assert!(matches!(told, Retried::Told { events: 1.. }), "{told:?}");
            assert!(bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap().is_empty());
        }
    }
    /// What shows a parcel of then with two shipping methods, and fails to show those, which are waited for that long.
    async fn without_carriers(at: DateTime<Utc>, patience: Duration) -> (Bench, Recorder) {
        let bench = Bench::new(move |call| {
            if call.uri.contains("shippingmethods/") {
                return Reply::json(500, "");
            }
            let package = |method| format!(r#"{{"shippingMethodId":"{method}"}}"#);
            let packages = ["M1", "M2"].map(package).join(",");
            let stamp = format!(r#""modificationInfo":{{"createdAt":"{}"}}"#, at.to_rfc3339());
            let id = r#""outboundShippingNotificationId":"S1","outboundId":"O1""#;
            Reply::json(200, &format!(r#"{{"userId":"ACME","data":[{{{id},"packages":[{packages}],{stamp}}}]}}"#))
        })
        .await;
        let methods = ShippingMethods::new(bench.recorder.client.clone()).with_patience(patience);
        let recorder = Recorder { shipping_methods: Arc::new(methods), ..bench.recorder.clone() };
        (bench, recorder)
    }

    #[tokio::test]
    async fn a_parcel_is_told_without_the_carrier_that_ffn_fails_to_show_for_long() {
        let at = |second: u32| format!("2026-01-05T08:00:{second:02}Z").parse().unwrap();
        let (bench, recorder) = without_carriers(at(5), Duration::ZERO).await;
        let reader = Reader::new(FeedName::OutboundShipments, recorder);
        let window = Window { from: at(0), to: at(30) };
        for _ in 0..2 {
            assert!(reader.read(window, Telling::since(window.from)).await.is_err());
        }
        assert_eq!(reader.read(window, Telling::since(window.from)).await.unwrap().events, 1, "both waited together");
        assert_eq!(bench.told().await, ["acme.shipment.dispatched"]);
        assert!(bench.last().await.contains(r#""shippingMethodId":"M1""#));
    }

    #[tokio::test]
    async fn a_backfill_waits_for_carriers_and_tells_without_them() {
        let (now, stalled_after) = (Utc::now(), Duration::from_millis(300));
        let (bench, recorder) = without_carriers(now - TimeDelta::minutes(30), stalled_after).await;
        let feed = FeedName::OutboundShipments;
        let period = Period { feed, from: now - TimeDelta::hours(1), to: now };
        let config = Config {
            feeds: vec![feed],
            poll_interval: Duration::from_secs(30),
            overlap: Duration::ZERO,
            safety_lag: Duration::ZERO,
            stalled_after,
            sweep_interval: Duration::from_secs(86_400),
            start: Start::Now,
        };
        assert_eq!(Backfill::new(&recorder, period, &config, false).run(|_| {}).await.unwrap(), 1);
        assert_eq!(bench.told().await, ["acme.shipment.dispatched"]);
    }

    #[tokio::test]
    async fn the_only_order_of_a_window_is_parked_as_well_if_ffn_goes_on_failing_to_show_it() {
        let calls = AtomicUsize::new(0);
        let bench = Bench::of(Role::Fulfiller, move |call| {
            let order =
                r#"{"outboundId":"O1","status":"Shipped","modificationInfo":{"createdAt":"2026-01-05T08:00:05Z"}}"#;
            match call.uri.contains("shipping-notifications") {
                true => Reply::json(500, ""),
                // The second page that is asked for is not shown.
                false if calls.fetch_add(1, Ordering::Relaxed) == 1 => Reply::json(500, ""),
                false => Reply::json(200, &format!(r#"{{"data":[{order}]}}"#)),
            }
        })
        .await;
        let patience = Some(Duration::ZERO);
        let reader = Reader { patience, ..Reader::new(FeedName::OutboundShipments, bench.recorder.clone()) };
        let at = |second: u32| format!("2026-01-05T08:00:{second:02}Z").parse().unwrap();
        let window = Window { from: at(0), to: at(30) };
        for wanted in [false, false, false, true, true] {
            assert_eq!(reader.read(window, Telling::since(window.from)).await.is_ok(), wanted);
            let parked = bench.store.parked(ParkedFilter::default(), 0, 10).await.unwrap();
            assert_eq!(parked.len(), usize::from(wanted));
        }
    }
    #[tokio::test]
    async fn orders_are_asked_for_though_ffn_allows_only_a_few_calls_at_a_time() {
        const ORDERS: usize = 7;
        let calls = AtomicUsize::new(0);
        let bench = Bench::of(Role::Fulfiller, move |call| {
            let stamp = r#""modificationInfo":{"createdAt":"2026-01-05T08:00:05Z"}"#;
            let order = |n| format!(r#"{{"outboundId":"O{n}","status":"Shipped",{stamp}}}"#);
            // The page, two orders, and no more.
            match (calls.fetch_add(1, Ordering::Relaxed) % 4, call.uri.split_once("outbounds/O")) {
                (3, _) => Reply::json(429, ""),
                (_, Some((_, of))) => {
                    let n = of.split('/').next().unwrap();
                    let shipment =
                        format!(r#"{{"outboundShippingNotificationId":"S{n}","outboundId":"O{n}",{stamp}}}"#);
                    Reply::json(200, &format!("[{shipment}]"))
                }
                _ => Reply::json(
                    200,
                    &format!(r#"{{"data":[{}]}}"#, (0..ORDERS).map(order).collect::<Vec<_>>().join(",")),
                ),
            }
        })
        .await;
        let reader = Reader::new(FeedName::OutboundShipments, bench.recorder.clone());
        let at = |second: u32| format!("2026-01-05T08:00:{second:02}Z").parse().unwrap();
        let window = Window { from: at(0), to: at(30) };
        for told in [2, 4, 6] {
            assert!(reader.read(window, Telling::since(window.from)).await.is_err());
            assert_eq!(bench.told().await.len(), told);
        }
        reader.read(window, Telling::since(window.from)).await.unwrap();
        assert_eq!(bench.told().await.len(), ORDERS);
    }
}
