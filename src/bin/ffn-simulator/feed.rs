//! Change feeds: everything that changed in a window of time, in chunks.

use crate::answer::{Answer, Fail, Outcome};
use crate::catalog::Role;
use crate::clock;
use crate::json::write_text;
use crate::record::{Window, all_own};
use crate::switches::Tombstones;
use crate::things::Kind;
use crate::world::World;

/// What a feed was asked for.
#[derive(Debug)]
struct Ask {
    window: Window,
    page: usize,
    own_application: bool,
    own_user: bool,
}

fn get<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

fn read(world: &World, query: &[(String, String)]) -> Outcome<Ask> {
    let time = |name| match get(query, name) {
        None => Ok(None),
        Some(text) => match clock::parse(text).and_then(|at| at.timestamp_nanos_opt()) {
            Some(ns) => Ok(Some(ns)),
            None => Err(Fail::model(name, format!("{text} is no date-time"))),
        },
    };
    let flag = |name| match get(query, name).map(str::to_ascii_lowercase).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Fail::model(name, "true or false is needed")),
    };
    let page = match get(query, "page") {
        None => 1,
        Some(text) => match text.parse::<u32>() {
            Ok(page) if page > 0 => page as usize,
            _ => return Err(Fail::model("page", "a number from 1 is needed")),
        },
    };
    if let Some(name) = ["fromDate", "toDate"].into_iter().find(|name| get(query, name).is_none())
        && world.flags.switches.require_dates
    {
        return Err(Fail::model(name, "a date-time is required"));
    }
    let now = world.clock.now();
    let now_ns = now.saturating_mul(1_000_000);
    let to = time("toDate")?.unwrap_or(now_ns);
    if to.div_euclid(1_000_000) > now && !world.flags.switches.accept_future_to_date {
        return Err(Fail::model("toDate", "toDate lies in the future"));
    }
    let from = time("fromDate")?.unwrap_or_else(|| now_ns.saturating_sub(86_400_000_000_000));
    if from > to {
        return Err(Fail::model("fromDate", "fromDate lies after toDate"));
    }
    let switches = &world.flags.switches;
    let longest = switches.largest_window_s.map(|seconds| i64::from(seconds).saturating_mul(1_000_000_000));
    if longest.is_some_and(|longest| to.saturating_sub(from) > longest) {
        return Err(Fail::model("fromDate", "the window is too long"));
    }
    Ok(Ask {
        window: Window { from, to, inclusive: switches.inclusive_bounds, after_from: switches.exclusive_from },
        page,
        own_application: flag("ignoreOwnApplicationId")?,
        own_user: flag("ignoreOwnUserId")?,
    })
}

/// Lower-case percent escapes, as the real server writes them.
pub(crate) fn escape(time: &str) -> String {
    time.replace(':', "%3a").replace('+', "%2b")
}

/// The address of a chunk: on the host that the flags name.
pub(crate) fn chunk_url(world: &World, path: &str, query: &str) -> String {
    format!("{}{path}?{query}", world.flags.next_chunk_host.trim_end_matches('/'))
}

/// The part of the window that is already visible, and still there.
fn visible(world: &World, window: &Window) -> std::ops::Range<i64> {
    let Some(range) = window.range() else { return 0..0 };
    let (switches, now) = (&world.flags.switches, world.clock.now());
    let (mut start, mut end) = (range.start, range.end);
    if switches.commit_lag_ms > 0 {
        end = end.min(now.saturating_sub(i64::from(switches.commit_lag_ms)).saturating_add(1));
    }
    if let Some(seconds) = switches.retention_s {
        start = start.max(now.saturating_sub(i64::from(seconds).saturating_mul(1_000)));
    }
    if start < end { start..end } else { 0..0 }
}

/// The feed of a kind. `tail` is its path below the role; `of` limits it to objects with that number.
pub(crate) fn of(
    world: &mut World,
    role: Role,
    kind: Kind,
    tail: &str,
    of: Option<&str>,
    query: &[(String, String)],
) -> Outcome {
    let ask = read(world, query)?;
    let shelf = world.shelf(kind);
    let absent = world.flags.switches.tombstones == Tombstones::Absent;
    let only = of.map(|number| shelf.with_number(number));
    // Nothing can be left out, so that the rows before the chunk need not be looked at.
    let every = only.is_none()
        && !(absent || ask.own_application || ask.own_user)
        && !matches!(kind, Kind::Products | Kind::Warehouses | Kind::Methods);
    let fits = |n: &usize| {
        every
            || only.as_ref().is_none_or(|only| only.binary_search(n).is_ok())
                && world.is_shown(kind, *n, role)
                && shelf.record(*n).is_some_and(|record| {
                    let own = all_own(&record.changes, &ask.window, role, ask.own_application, ask.own_user);
                    let gone = absent && record.deleted;
                    !own && !gone
                })
    };
    let changed = shelf.changed(visible(world, &ask.window), world.flags.switches.freeze_windows);
    let size = world.flags.switches.chunk_size;
    let mut keys = changed.filter(fits).skip((ask.page - 1).saturating_mul(size));
    let mut picked: Vec<usize> = keys.by_ref().take(size).collect();
    let more = keys.next().is_some();
    drop(keys);
    let now = world.clock.now();
    picked.retain(|n| !world.shelf_mut(kind).record_mut(*n).is_some_and(|record| record.hides(now)));
    if !world.flags.switches.ordered_chunks {
        world.shuffle.shuffle(&mut picked);
    }
    let seven = world.flags.switches.seven_decimals;
    let (from, to) = (clock::format_ns(ask.window.from, seven), clock::format_ns(ask.window.to, seven));
    let mut out = String::from("{\"from\":");
    write_text(&from, &mut out);
    out.push_str(",\"to\":");
    write_text(&to, &mut out);
    out.push_str(",\"data\":[");
    for (i, n) in picked.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        world.show(kind, n, role, Some(&ask.window)).write(&mut out);
    }
    out.push_str(if more { "],\"moreDataAvailable\":true" } else { "],\"moreDataAvailable\":false" });
    if more && !world.flags.switches.leave_out_next_chunk_url {
        let query = format!(
            "fromDate={}&toDate={}&page={}&ignoreOwnApplicationId={}&ignoreOwnUserId={}",
            escape(&from),
            escape(&to),
            ask.page + 1,
            ask.own_application,
            ask.own_user
        );
        out.push_str(",\"nextChunkUrl\":");
        write_text(&chunk_url(world, &format!("/api/v1/{}/{tail}", role.name()), &query), &mut out);
    }
    out.push('}');
    Ok(Answer::json(200, out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;
    use serde_json::Value;

    fn world(change: impl Fn(&mut Flags)) -> World {
        let mut flags = Flags::for_test();
        flags.switches.chunk_size = 3;
        flags.clock = clock::parse("2026-01-05T08:00:00Z");
        change(&mut flags);
        World::new(flags)
    }

    fn ask(world: &mut World, query: &str) -> Result<Value, u16> {
        let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        of(world, Role::Merchant, Kind::Outbounds, "outbounds/updates", None, &query)
            .map(|a| serde_json::from_str(&a.text()).unwrap())
            .map_err(|f| f.status)
    }

    fn numbers(page: &Value) -> Vec<String> {
        let mut all: Vec<String> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|o| o["merchantOutboundNumber"].as_str().unwrap().to_owned())
            .collect();
        all.sort();
        all
    }

    const SPAN: &str = "fromDate=2026-01-05T07:00:00Z&toDate=2026-01-05T09:00:00Z";

    #[test]
    fn pages_and_the_url_of_the_next() {
        let mut w = world(|_| ());
        for n in 0..7 {
            w.make(format!("N{n}"), "Pending");
        }
        w.clock.advance(7_200_000);
        let first = ask(&mut w, SPAN).unwrap();
        assert_eq!(numbers(&first), ["N0", "N1", "N2"]);
        assert_eq!(
            first["nextChunkUrl"],
            "https://ffn2.api.jtl-software.com/api/v1/merchant/outbounds/updates?fromDate=2026-01-05T07%3a00%3a00.000%2b00%3a00&toDate=2026-01-05T09%3a00%3a00.000%2b00%3a00&page=2&ignoreOwnApplicationId=false&ignoreOwnUserId=false"
        );
        assert_eq!(numbers(&ask(&mut w, &format!("{SPAN}&page=2")).unwrap()), ["N3", "N4", "N5"]);
        let last = ask(&mut w, &format!("{SPAN}&page=3")).unwrap();
        assert_eq!(numbers(&last), ["N6"]);
        assert_eq!(last["moreDataAvailable"], false);
        assert!(last.get("nextChunkUrl").is_none());
        assert!(numbers(&ask(&mut w, &format!("{SPAN}&page=99")).unwrap()).is_empty());
    }

    #[test]
    fn rows_shift_when_one_leaves_the_window() {
        let mut w = world(|_| ());
        for n in 0..5 {
            w.make(format!("N{n}"), "Pending");
        }
        w.clock.advance(7_200_000);
        assert_eq!(numbers(&ask(&mut w, SPAN).unwrap()), ["N0", "N1", "N2"]);
        w.set_status(0, "Acknowledged", crate::record::Actor::House);
        assert_eq!(numbers(&ask(&mut w, &format!("{SPAN}&page=2")).unwrap()), ["N4"], "N3 moved to page 1");
    }

    #[test]
    fn changes_in_range_are_those_of_the_window() {
        let mut w = world(|_| ());
        w.make("N".to_owned(), "Pending");
        w.clock.advance(3_600_000);
        w.set_status(0, "Acknowledged", crate::record::Actor::House);
        assert!(
            numbers(&ask(&mut w, "toDate=2026-01-05T09:00:00.000Z").unwrap()).is_empty(),
            "it left the older window"
        );
        w.clock.advance(1_000);
        let states = |w: &mut World, query: &str| {
            let page = ask(w, query).unwrap();
            let changes = page["data"][0]["modificationInfo"]["changesInRange"].as_array().unwrap().clone();
            changes.iter().map(|c| c["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(states(&mut w, ""), ["New", "Modified"]);
        assert_eq!(states(&mut w, "fromDate=2026-01-05T08:30:00Z"), ["Modified"]);
    }

    #[test]
    fn the_future_and_bad_dates() {
        let mut w = world(|_| ());
        let future = "toDate=2026-01-05T08:30:00Z";
        assert_eq!(ask(&mut w, future).unwrap_err(), 400);
        assert!(ask(&mut world(|f| f.switches.accept_future_to_date = true), future).is_ok());
        assert_eq!(ask(&mut w, "toDate=2026-01-05T07:30:00+00:00").unwrap_err(), 400, "a plus that was not escaped");
        assert_eq!(ask(&mut w, "page=0").unwrap_err(), 400);
        assert_eq!(ask(&mut w, "fromDate=2026-01-05T07:30:00Z&toDate=2026-01-05T07:00:00Z").unwrap_err(), 400);
    }

    #[test]
    fn late_commits() {
        let mut w = world(|f| f.switches.commit_lag_ms = 5_000);
        w.make("N".to_owned(), "Pending");
        w.clock.advance(1_000);
        assert!(numbers(&ask(&mut w, "").unwrap()).is_empty());
        w.clock.advance(5_000);
        assert_eq!(numbers(&ask(&mut w, "").unwrap()), ["N"]);
    }

    #[test]
    fn frozen_windows_do_not_shift() {
        let mut w = world(|f| f.switches.freeze_windows = true);
        for n in 0..5 {
            w.make(format!("N{n}"), "Pending");
        }
        w.clock.advance(7_200_000);
        w.set_status(0, "Acknowledged", crate::record::Actor::House);
        assert_eq!(numbers(&ask(&mut w, SPAN).unwrap()), ["N0", "N1", "N2"]);
        let second = ask(&mut w, &format!("{SPAN}&page=2")).unwrap();
        assert_eq!(numbers(&second), ["N3", "N4"]);
        w.flags.switches.freeze_windows = false;
        assert_eq!(numbers(&ask(&mut w, SPAN).unwrap()), ["N1", "N2", "N3"]);
    }

    #[test]
    fn bounds_order_and_what_is_left_out() {
        let mut w = world(|f| f.switches.ordered_chunks = true);
        for n in 0..4 {
            w.make(format!("N{n}"), "Pending");
        }
        let time = |w: &World, n: usize| w.clock.text(w.outbounds[n].record.updated()).replace('+', "%2B");
        let span = format!("fromDate={}&toDate={}", time(&w, 0), time(&w, 2));
        let in_order = |page: &Value| -> Vec<String> {
            let rows = page["data"].as_array().unwrap();
            rows.iter().map(|o| o["merchantOutboundNumber"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(in_order(&ask(&mut w, &span).unwrap()), ["N0", "N1"]);
        w.flags.switches.exclusive_from = true;
        assert_eq!(in_order(&ask(&mut w, &span).unwrap()), ["N1"]);
        w.flags.switches.inclusive_bounds = true;
        assert_eq!(in_order(&ask(&mut w, &span).unwrap()), ["N1", "N2"]);
        w.outbounds[2].record.hidden = Some(crate::record::Hidden::Reads(1));
        assert_eq!(in_order(&ask(&mut w, &span).unwrap()), ["N1"], "hidden once");
        assert_eq!(in_order(&ask(&mut w, &span).unwrap()), ["N1", "N2"]);
        w.clock.advance(60_000);
        w.delete(1);
        assert_eq!(ask(&mut w, "").unwrap()["data"].as_array().unwrap().len(), 3);
        w.flags.switches.tombstones = Tombstones::Absent;
        w.flags.switches.chunk_size = 2;
        w.flags.switches.leave_out_next_chunk_url = true;
        let page = ask(&mut w, "").unwrap();
        assert_eq!(in_order(&page), ["N0", "N2"]);
        assert!(page["moreDataAvailable"] == true && page.get("nextChunkUrl").is_none());
        assert_eq!(in_order(&ask(&mut w, "page=2").unwrap()), ["N3"]);
    }

    #[test]
    fn windows_that_are_refused_and_changes_that_are_gone() {
        let mut w = world(|f| f.switches.largest_window_s = Some(7_200));
        w.make("A".to_owned(), "Pending");
        w.clock.advance(7_200_000);
        w.make("B".to_owned(), "Pending");
        w.clock.advance(1_000);
        assert_eq!(numbers(&ask(&mut w, SPAN).unwrap()), ["A"]);
        assert_eq!(ask(&mut w, &SPAN.replace("07:00:00Z", "06:59:59Z")).unwrap_err(), 400);
        assert_eq!(ask(&mut w, "").unwrap_err(), 400, "a day is too long");
        w.flags.switches.largest_window_s = None;
        assert_eq!(numbers(&ask(&mut w, "").unwrap()), ["A", "B"]);
        w.flags.switches.retention_s = Some(3_600);
        assert_eq!(numbers(&ask(&mut w, "").unwrap()), ["B"]);
        assert!(numbers(&ask(&mut w, SPAN).unwrap()).is_empty());
        w.flags.switches.require_dates = true;
        for missing in ["", "fromDate=2026-01-05T07:00:00Z", "toDate=2026-01-05T09:00:00Z"] {
            assert_eq!(ask(&mut w, missing).unwrap_err(), 400, "{missing}");
        }
        assert!(ask(&mut w, SPAN).is_ok());
    }
}
