//! `POST /_simulator/reset`: everything back to what it is at start.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::clock;
use crate::control::{Done, LAST_MS, bad, read};
use crate::world::World;

/// A world of more parts than this is taken apart beside the requests.
const LARGE: usize = 2_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told<'a> {
    seed: Option<u64>,
    clock: Option<String>,
    /// Switches that differ from those at start.
    #[serde(borrow)]
    settings: Option<&'a RawValue>,
    #[serde(default)]
    keep_tokens: bool,
}

/// Starts again: with the flags of the start, and what the request says besides.
pub(crate) fn reset(world: &mut World, body: &[u8]) -> Done {
    let told: Told<'_> = read(body)?;
    let mut flags = (*world.start).clone();
    flags.seed = told.seed.or(flags.seed);
    if let Some(text) = told.clock {
        let at = clock::parse(&text).filter(|at| at.timestamp_millis() <= LAST_MS);
        flags.clock = Some(at.ok_or_else(|| bad("clock must be a date-time before the year 10000"))?);
    }
    if let Some(settings) = told.settings {
        flags.switches = flags.switches.with(settings.get().as_bytes()).map_err(bad)?;
    }
    let mut fresh = World::new(flags);
    fresh.start = world.start.clone();
    fresh.epoch = world.epoch.wrapping_add(1);
    if told.keep_tokens {
        std::mem::swap(&mut fresh.oauth, &mut world.oauth);
        let now = fresh.oauth_now();
        fresh.oauth.go_on(&fresh.flags, now);
    }
    let old = std::mem::replace(world, fresh);
    if old.outbounds.len().max(old.ledger.movements.len()).max(old.journal.kept()) > LARGE {
        std::thread::spawn(move || drop(old));
    }
    Ok(json!({"clock": world.clock.text(world.clock.now()), "seed": world.seed}))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::Value;

    use super::*;
    use crate::control::respond;
    use crate::flags::Flags;
    use crate::things::KINDS;

    fn ask(world: &mut World, method: &Method, path: &str, body: &str) -> Value {
        let answer = respond(world, method, &format!("/_simulator/{path}"), "", body.as_bytes());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_str(&answer.text()).unwrap()
    }

    /// Everything that the control API shows.
    fn picture(world: &mut World) -> Vec<String> {
        let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.spec().name).collect();
        names.extend(["requests", "faults", "settings", "tokens", "tokens/refreshes", "secrets"]);
        names.iter().map(|name| format!("{name} {}", ask(world, &Method::GET, name, ""))).collect()
    }

    const START: &str = r#"{"seed":3,"clock":"2026-03-01T00:00:00Z","settings":{"chunk_size":4,"list_shape":"array"}}"#;

    fn mess_up(w: &mut World) {
        for (path, body) in [
            ("outbounds/bulk", r#"{"count":3,"prefix":"B-","statuses":["Pending","Shipped"]}"#),
            ("inbounds", r#"{"merchantInboundNumber":"I"}"#),
            ("inbounds/I/advance", r#"{"to":"Closed"}"#),
            ("returns", "{}"),
            ("products/MUG-RED/delete", "{}"),
            ("products/MUG-BLUE/unshare", "{}"),
            ("warehouses", "{}"),
            ("stock", r#"{"merchantSku":"BOWL-GREEN","stockLevel":"1"}"#),
            ("clock", r#"{"advance":"5d"}"#),
            ("settings", r#"{"top_cap":1,"client_secret":"another-secret"}"#),
            ("faults", r#"{"kind":"hang","times":0}"#),
            ("locks", r#"{"merchantOutboundNumber":"X","seconds":9000}"#),
            ("tokens/revoke", r#"{"what":"all"}"#),
            ("warehouses/WARE04SIDE-00002-0001/raw", r#"{"name":"odd"}"#),
        ] {
            ask(w, &Method::POST, path, body);
        }
    }

    #[test]
    fn nothing_of_the_past_is_left() {
        let mut w = World::new(Flags::for_test());
        ask(&mut w, &Method::POST, "reset", START);
        let first = picture(&mut w);
        mess_up(&mut w);
        let ids = |w: &World| w.outbounds.iter().map(|o| o.id.clone()).collect::<Vec<_>>();
        let made = ids(&w);
        ask(&mut w, &Method::POST, "reset", START);
        // The clock runs on for a moment between two pictures; objects are 30 days older than it.
        let still = |rows: &[String]| {
            let time = without_seconds(&rows.join("\n"));
            time.split('\n').map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(still(&picture(&mut w)), still(&first));
        assert!(w.locks.is_empty() && w.outbounds.is_empty() && !w.overlaid);
        mess_up(&mut w);
        assert_eq!(ids(&w), made, "the same seed, the same ids");
        ask(&mut w, &Method::POST, "reset", "");
        assert_eq!(w.seed, 7, "that of the start");
        assert_eq!(w.flags.switches, Flags::for_test().switches);
        assert!(w.clock.now() - clock::real_now() < 60_000);
    }

    /// The text with the parts of a second of every time taken out.
    fn without_seconds(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("T00:00:0") {
            let (before, after) = rest.split_at(at);
            out.push_str(before);
            rest = &after["T00:00:00.000".len()..];
        }
        out + rest
    }

    #[test]
    fn mistakes_change_nothing() {
        let mut w = World::new(Flags::for_test());
        w.make("A".to_owned(), "Pending").unwrap();
        for wrong in [
            r#"{"sed":1}"#,
            r#"{"seed":-1}"#,
            r#"{"clock":"noon"}"#,
            r#"{"clock":"+12000-01-01T00:00:00Z"}"#,
            r#"{"settings":{"chunk_size":0}}"#,
            r#"{"settings":[]}"#,
        ] {
            let answer = respond(&mut w, &Method::POST, "/_simulator/reset", "", wrong.as_bytes());
            assert_eq!((answer.status, w.outbounds.len()), (400, 1), "{wrong}");
        }
    }
}
