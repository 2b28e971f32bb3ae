//! A strict reader of Prometheus' text format: what a server would refuse or a linter complain of panics.

use std::collections::{BTreeMap, BTreeSet};

/// A family of samples.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub help: String,
    /// Name, labels and value of each sample.
    pub samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Family {
    /// The value of the sample whose labels are exactly these.
    pub fn value(&self, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.iter().find(|(_, labels, _)| *labels == wanted).map(|(.., value)| *value)
    }

    /// The names of the labels, `le` aside.
    pub fn labels(&self) -> BTreeSet<String> {
        let names = self.samples.iter().flat_map(|(_, labels, _)| labels.keys());
        names.filter(|name| *name != "le").cloned().collect()
    }
}

/// Reads all families.
pub fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'), "the last line has no end");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
            assert!(!families.contains_key(name), "{name} comes in two places");
            families.insert(name.to_owned(), Family { help: help.to_owned(), ..Family::default() });
            name.clone_into(&mut current);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current, "TYPE follows HELP");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            kind.clone_into(&mut families.get_mut(name).unwrap().kind);
        } else {
            let (name, labels, value) = sample(line);
            let family = families.get_mut(&current).unwrap_or_else(|| panic!("a sample before HELP and TYPE: {line}"));
            let suffix = name.strip_prefix(&current).unwrap_or_else(|| panic!("{name} stands below {current}"));
            match family.kind.as_str() {
                "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
                "counter" => assert!(suffix.is_empty() && name.ends_with("_total") && value >= 0.0, "{line}"),
                _ => assert!(suffix.is_empty(), "{line}"),
            }
            let is_new = family.samples.iter().all(|(other, with, _)| (other, with) != (&name, &labels));
            assert!(is_new, "a sample comes twice: {line}");
            family.samples.push((name, labels, value));
        }
    }
    for (name, family) in &families {
        assert!(!family.help.trim().is_empty() && !family.samples.is_empty(), "{name}: {family:?}");
        if family.kind == "histogram" {
            histogram(name, family);
        }
    }
    families
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("not a sample: {line:?}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("a label without value: {line}"));
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let mut value = String::new();
            let mut letters = after.char_indices();
            let close = loop {
                match letters.next().unwrap_or_else(|| panic!("an open label: {line}")) {
                    (at, '"') => break at,
                    (_, '\\') => match letters.next() {
                        Some((_, 'n')) => value.push('\n'),
                        Some((_, letter @ ('"' | '\\'))) => value.push(letter),
                        other => panic!("{other:?} after a backslash: {line}"),
                    },
                    (_, letter) => value.push(letter),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "a label comes twice: {line}");
            rest = &after[close + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("labels are not closed: {line}"));
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let value = value.replace("+Inf", "inf").parse().unwrap_or_else(|_| panic!("no number: {line}"));
    (name.to_owned(), labels, value)
}

fn is_name(text: &str) -> bool {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    text.chars().all(legal) && text.starts_with(|letter: char| !letter.is_ascii_digit())
}

/// Buckets grow, the last is `+Inf` and equals the count.
fn histogram(name: &str, family: &Family) {
    let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        if sample.ends_with("_bucket") {
            let mut labels = labels.clone();
            let bound = labels.remove("le").unwrap().replace("+Inf", "inf").parse().unwrap();
            series.entry(labels).or_default().push((bound, *value));
        }
    }
    for (labels, buckets) in series {
        assert!(buckets.is_sorted(), "{name}{labels:?}: {buckets:?}");
        let last = buckets.last().unwrap();
        let of = |suffix: &str| {
            let wanted = format!("{name}{suffix}");
            family
                .samples
                .iter()
                .find(|(sample, with, _)| *sample == wanted && *with == labels)
                .map(|(.., value)| *value)
        };
        assert!(last.0.is_infinite() && of("_count") == Some(last.1) && of("_sum").is_some(), "{name}{labels:?}");
    }
}
