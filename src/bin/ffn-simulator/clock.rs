//! The simulated clock.

use chrono::{DateTime, SecondsFormat, Utc};

/// Real time plus an offset, in milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct Clock {
    offset: i64,
    newest: i64,
    seven: bool,
}

fn real() -> i64 {
    Utc::now().timestamp_millis()
}

impl Clock {
    pub(crate) fn new(start: Option<DateTime<Utc>>, seven: bool) -> Self {
        let offset = start.map_or(0, |at| at.timestamp_millis().saturating_sub(real()));
        Clock { offset, newest: i64::MIN, seven }
    }

    /// The current simulated time.
    pub(crate) fn now(&self) -> i64 {
        real().saturating_add(self.offset).max(self.newest)
    }

    /// The time of a write: later than every write before it, and never later than the clock.
    pub(crate) fn stamp(&mut self) -> i64 {
        let now = self.now();
        let at = if now > self.newest { now } else { self.newest.saturating_add(1) };
        self.push_to(at);
        self.newest = at;
        at
    }

    /// Lets the clock be at least `at`.
    fn push_to(&mut self, at: i64) {
        let now = real().saturating_add(self.offset);
        if at > now {
            self.offset = self.offset.saturating_add(at - now);
        }
    }

    /// Moves the clock forward.
    pub(crate) fn advance(&mut self, ms: i64) {
        self.offset = self.offset.saturating_add(ms);
    }

    /// Sets the clock. A time before the newest write is refused: stamps only ever rise.
    pub(crate) fn set(&mut self, at: DateTime<Utc>) -> Result<(), String> {
        let at = at.timestamp_millis();
        if at <= self.newest {
            return Err(format!("there was a write at {}; the clock can not go behind it", self.text(self.newest)));
        }
        self.offset = at.saturating_sub(real());
        Ok(())
    }

    /// Moves the clock by so many milliseconds, also back. It never shows a time before the newest write.
    pub(crate) fn shift(&mut self, ms: i64) {
        self.offset = self.offset.saturating_add(ms);
    }

    /// Whether the clock could be moved by so much without going behind the newest write.
    pub(crate) fn may_shift(&self, ms: i64) -> bool {
        ms >= 0 || self.now().saturating_add(ms) > self.newest
    }

    /// The time of the newest write.
    pub(crate) fn newest(&self) -> i64 {
        self.newest
    }

    pub(crate) fn write_seven(&mut self, seven: bool) {
        self.seven = seven;
    }

    pub(crate) fn offset(&self) -> i64 {
        self.offset
    }

    /// A time as the API writes it.
    pub(crate) fn text(&self, ms: i64) -> String {
        format_ms(ms, self.seven)
    }
}

/// A time with three or seven decimals.
pub(crate) fn format_ms(ms: i64, seven: bool) -> String {
    let at = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    if seven {
        at.format("%Y-%m-%dT%H:%M:%S%.3f0000+00:00").to_string()
    } else {
        at.to_rfc3339_opts(SecondsFormat::Millis, false)
    }
}

/// A time of a query: as precise as it was given, at most seven decimals.
pub(crate) fn format_ns(ns: i64, seven: bool) -> String {
    if ns % 1_000_000 == 0 {
        return format_ms(ns / 1_000_000, seven);
    }
    let at = DateTime::from_timestamp_nanos(ns);
    format!("{}.{:07}+00:00", at.format("%Y-%m-%dT%H:%M:%S"), at.timestamp_subsec_nanos() / 100)
}

/// The real time.
pub(crate) fn real_now() -> i64 {
    real()
}

/// Reads a date-time with 0 to 9 decimals and `Z` or an offset; without either it counts as UTC.
pub(crate) fn parse(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|at| at.and_utc())
}

/// The text of a `Date` header.
pub(crate) fn http_date(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_rise_and_never_pass_the_clock() {
        let mut clock = Clock::new(parse("2026-01-05T08:00:00Z"), false);
        let mut last = i64::MIN;
        for _ in 0..2_000 {
            let at = clock.stamp();
            assert!(at > last);
            assert!(at <= clock.now());
            last = at;
        }
    }

    #[test]
    fn the_clock_does_not_go_behind_a_write() {
        let mut clock = Clock::new(parse("2026-01-05T08:00:00Z"), false);
        clock.stamp();
        assert!(clock.set(parse("2026-01-05T07:00:00Z").unwrap()).is_err());
        clock.set(parse("2027-01-05T07:00:00Z").unwrap()).unwrap();
        assert!(clock.text(clock.now()).starts_with("2027-01-05T07:00:0"));
    }

    #[test]
    fn texts() {
        let ms = parse("2024-10-28T14:13:28.374+00:00").unwrap().timestamp_millis();
        assert_eq!(format_ms(ms, false), "2024-10-28T14:13:28.374+00:00");
        assert_eq!(format_ms(ms, true), "2024-10-28T14:13:28.3740000+00:00");
        let ns = parse("2024-10-28T14:13:28.3740015Z").unwrap().timestamp_nanos_opt().unwrap();
        assert_eq!(format_ns(ns, false), "2024-10-28T14:13:28.3740015+00:00");
        assert_eq!(http_date(ms), "Mon, 28 Oct 2024 14:13:28 GMT");
        assert_eq!(parse("2024-10-28T14:13:28+02:00").unwrap().to_rfc3339(), "2024-10-28T12:13:28+00:00");
        assert!(parse("2024-10-28T14:13:28.374 00:00").is_none());
    }
}
