//! Inputs for the decoders, by the thousand: good ones, damaged as bytes are damaged and as JSON is.
//!
//! The decoders' own modules say what an answer is and hold it; this makes the inputs. A failing one is shrunk to the
//! damages that it takes and printed. `FFN_BRIDGE_FUZZ_INPUTS` says how many inputs each test takes ([`INPUTS`] if
//! it is not set); `make soak` asks for millions.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};
use serde::Deserialize;

/// Inputs of a test, unless the environment says otherwise: seconds without optimisation.
const INPUTS: u32 = 4_000;
/// The longest input that is made, in bytes.
const LONGEST: usize = 256 << 10;
/// No input takes that long, not even on a machine that is busy with something else: one that does has found a loop
/// that grows faster than its input.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers of the simulator, a line each: what they are, and their bytes.
const ANSWERS: &str = include_str!("fuzz/answers.jsonl");

/// An answer of the simulator's, as it came.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    /// The feed it is a page of, or `returns.changes`, `list`, `refusal`.
    pub(crate) kind: String,
    /// Its bytes.
    pub(crate) body: String,
}

/// All answers that were kept.
pub(crate) fn answers() -> Vec<Answer> {
    ANSWERS.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An input: a seed with its damages, and dice for whatever else there is to choose.
#[derive(Clone)]
pub(crate) struct Input {
    /// Which of the seeds.
    pub(crate) seed: usize,
    /// The damaged seed.
    pub(crate) bytes: Vec<u8>,
    /// Another seed, damaged in its own way.
    pub(crate) other: Vec<u8>,
    /// Whether anything was damaged.
    pub(crate) is_whole: bool,
    /// Numbers to choose by.
    pub(crate) dice: [u32; 6],
}

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string().chars().take(4000).collect::<String>();
        let Self { seed, dice, .. } = self;
        write!(formatter, "seed {seed}, dice {dice:?}: {} (other: {})", text(&self.bytes), text(&self.other))
    }
}

/// One damage: which, where, with what.
type Damage = (u8, u32, u32);

/// What stands where it should not.
const ODDITIES: &[&[u8]] = &[
    b"null",
    b"true",
    b"0",
    b"-0",
    b"1e400",
    b"-1e-400",
    b"1E+2",
    b"0.1",
    b"12345678901234567890123456789.123456789",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"1e999999999999999999999",
    b"\"\"",
    b"\"x\"",
    b"[]",
    b"{}",
    b"[[[]]]",
    b"[{}]",
    b"[null]",
    b"{\"\":null}",
    b"\"\\ud800\"",
    b"\"\\ud83d\\ude00\"",
    b"\"\\u0000\"",
    b"\"\xff\xfe\"",
    b"\"\xc3\x28\"",
    b"\"\xed\xa0\x80\"",
    b"\"'; \\\\ %2F ../.. ?#\"",
    b"\"2026-01-05T08:00:00Z\"",
    b"\"2026-01-05T08:00:00.1234567+14:00\"",
    b"\"9999-12-31T23:59:59-23:59\"",
    b"\"0000-01-01T00:00:00+23:59\"",
    b"\"+262142-12-31T23:59:59Z\"",
    b"\"2026-12-31T23:59:60Z\"",
    b"\"0001-01-01T00:00:00\"",
    b"\"Deleted\"",
    b"\"Canceled\"",
    b"\xef\xbb\xbf",
    b"\"\xe2\x80\xae\xf0\x9f\x92\xa9\"",
    b",",
    b"\"",
    b"}",
    b"]",
    b"\\",
];

/// Where the values of a JSON text begin and end, members with where their name begins; of what is no JSON, as far as
/// it looks like it.
fn values(text: &[u8]) -> Vec<(usize, usize, Option<usize>)> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, Option<usize>)> = Vec::new();
    let (mut at, mut name) = (0, None);
    while let Some(byte) = text.get(at) {
        let start = at;
        match byte {
            b'{' | b'[' => open.push((at, name.take())),
            b'}' | b']' => {
                if let Some((start, name)) = open.pop() {
                    found.push((start, at + 1, name));
                }
            }
            b'"' => {
                at += 1;
                while text.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                let end = (at + 1).min(text.len());
                if text.get(end) == Some(&b':') {
                    name = Some(start);
                    at = end;
                } else {
                    found.push((start, end, name.take()));
                }
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                while text.get(at).is_some_and(|byte| !b",]} \n".contains(byte)) {
                    at += 1;
                }
                found.push((start, at, name.take()));
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Puts `with` in the place of `from..to`.
fn put(bytes: &mut Vec<u8>, from: usize, to: usize, with: impl IntoIterator<Item = u8>) {
    let (from, to) = (from.min(bytes.len()), to.min(bytes.len()));
    bytes.splice(from..to.max(from), with).for_each(drop);
}

fn damage(bytes: &mut Vec<u8>, other: &[u8], (kind, at, with): Damage) {
    let place = |length: usize| at as usize % length.max(1);
    let pick = with as usize;
    let (from, length) = (place(bytes.len()), pick % 40);
    let within = |text: &[u8], start: usize, length: usize| {
        let start = start.min(text.len());
        text[start..(start + length).min(text.len())].to_vec()
    };
    let oddity = || ODDITIES[pick % ODDITIES.len()].to_vec();
    let spans = if kind % 24 < 9 { Vec::new() } else { values(bytes) };
    let span = spans.get(place(spans.len())).copied();
    match (kind % 24, span) {
        (0, _) => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << (pick % 8);
            }
        }
        (1, _) => put(bytes, from, from + length, []),
        (2, _) => put(bytes, from, from, within(bytes, from, length)),
        (3, _) => put(bytes, from, from + length, within(other, pick % other.len().max(1), length * 4)),
        (4, _) => put(bytes, from, from, oddity()),
        (5, _) => put(bytes, from, from + 1, [pick.to_le_bytes()[0]]),
        (6, _) => bytes.truncate(from),
        (7, _) => bytes.extend(oddity()),
        (8, _) => put(bytes, from, from, (0..length).map(|n| (pick >> (n % 24)).to_le_bytes()[0])),
        // From here on JSON stays JSON, mostly.
        (9..=13, Some((from, to, _))) => put(bytes, from, to, oddity()),
        (14 | 15, Some((from, to, _))) => {
            let theirs = values(other);
            if let Some((start, end, _)) = theirs.get(pick % theirs.len().max(1)) {
                put(bytes, from, to, within(other, *start, end - start));
            }
        }
        (16, Some((from, to, _))) => {
            let (start, end, _) = spans[pick % spans.len()];
            put(bytes, from, to, within(bytes, start, end - start));
        }
        // Without a member or entry; with it twice; with one that is nobody's.
        (17, Some((from, to, name))) => {
            let from = name.unwrap_or(from);
            put(bytes, from, to + usize::from(bytes.get(to) == Some(&b',')), []);
        }
        (18, Some((from, to, name))) => {
            let from = name.unwrap_or(from);
            let copy = within(bytes, from, to - from);
            let times = if pick.is_multiple_of(64) { LONGEST / (copy.len() + 1) } else { 1 + pick % 3 };
            put(bytes, from, from, [copy, b",".to_vec()].concat().repeat(times));
        }
        (19, Some((from, _, Some(name)))) => {
            let theirs: Vec<usize> = values(other).iter().filter_map(|(_, _, name)| *name).collect();
            let name_of = theirs
                .get(pick % theirs.len().max(1))
                .map(|name| other[*name..].iter().copied().take_while(|byte| *byte != b':').collect::<Vec<_>>());
            put(bytes, name, from, [name_of.unwrap_or_else(|| b"\"\"".to_vec()), b":".to_vec()].concat());
        }
        (20, Some((_, _, Some(name)))) => {
            put(bytes, name, name, [b"\"x\":".to_vec(), oddity(), b",".to_vec()].concat())
        }
        (21, Some((from, to, _))) => {
            let depth = [3, 127, 128, 1_000, 50_000][if pick.is_multiple_of(32) { 4 } else { pick % 4 }];
            put(bytes, to, to, b"]".repeat(depth));
            put(bytes, from, from, b"[".repeat(depth));
        }
        (22, Some((from, to, _))) => {
            let length = if pick.is_multiple_of(32) { 100_000 } else { pick % 600 };
            put(bytes, from, to, [b"\"".to_vec(), "ä".repeat(length).into_bytes(), b"\"".to_vec()].concat());
        }
        (23, Some((from, to, _))) => {
            let length = if pick.is_multiple_of(32) { 20_000 } else { pick % 400 };
            put(bytes, from, to, [b"1".to_vec(), b"0".repeat(length), b".".to_vec(), b"9".repeat(length + 1)].concat());
        }
        _ => {}
    }
    bytes.truncate(LONGEST);
}

/// Hands damaged seeds to `check`, which panics where an answer is none and says what the answer was: `true` for
/// what was taken, `false` for what was refused. Both come, else the test is none.
pub(crate) fn run(what: &str, seeds: &[Vec<u8>], check: impl Fn(&Input) -> bool) {
    let cases = std::env::var("FFN_BRIDGE_FUZZ_INPUTS").map_or(INPUTS, |text| text.parse().unwrap());
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 300, ..ProptestConfig::default() };
    let damages = || prop::collection::vec(any::<Damage>(), 0..4);
    let inputs = (any::<u32>(), any::<u32>(), damages(), damages(), any::<[u32; 6]>());
    let inputs = inputs.prop_map(|(seed, second, damages, others, dice)| {
        let seed = seed as usize % seeds.len();
        // A third of the time the second is the first, so that what is compared is nearly alike.
        let second = if second % 3 == 0 { seed } else { second as usize % seeds.len() };
        let (mut bytes, mut other) = (seeds[seed].clone(), seeds[second].clone());
        let is_whole = damages.is_empty();
        damages.into_iter().for_each(|it| damage(&mut bytes, &seeds[second], it));
        others.into_iter().for_each(|it| damage(&mut other, &seeds[seed], it));
        Input { seed, bytes, other, is_whole, dice }
    });
    let (taken, refused, slowest) = (Cell::new(0_u32), Cell::new(0_u32), Cell::new(Duration::ZERO));
    let begun = Instant::now();
    let result = TestRunner::new(config).run(&inputs, |input| {
        let begun = Instant::now();
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&input)));
        let took = begun.elapsed();
        slowest.set(slowest.get().max(took));
        let Ok(is_taken) = answer else { return Err(TestCaseError::fail("no answer; see the panic above")) };
        let counter = if is_taken { &taken } else { &refused };
        counter.set(counter.get() + 1);
        if took > PATIENCE { Err(TestCaseError::fail(format!("it took {took:?}"))) } else { Ok(()) }
    });
    let (taken, refused) = (taken.get(), refused.get());
    eprintln!(
        "{what}: {cases} inputs in {:.0?}, {taken} taken, {refused} refused, the slowest took {:.1?}",
        begun.elapsed(),
        slowest.get()
    );
    match result {
        Ok(()) => assert!(taken > cases / 50 && refused > cases / 50, "{what}: {taken} taken, {refused} refused"),
        Err(TestError::Fail(reason, input)) => panic!("{what}: {reason}: {input:?}"),
        Err(TestError::Abort(reason)) => panic!("{what}: {reason}"),
    }
}

#[test]
fn damages_find_the_values_of_a_text() {
    let text = br#"{"a":1.5,"b":["x\"]",{"c":null}]}"#;
    let found: Vec<&str> =
        values(text).iter().map(|(from, to, _)| std::str::from_utf8(&text[*from..*to]).unwrap()).collect();
    assert_eq!(
        found,
        ["1.5", r#""x\"]""#, "null", r#"{"c":null}"#, r#"["x\"]",{"c":null}]"#, std::str::from_utf8(text).unwrap()]
    );
    let named = values(text).iter().filter(|(_, _, name)| name.is_some()).count();
    assert_eq!(named, 3);
}
