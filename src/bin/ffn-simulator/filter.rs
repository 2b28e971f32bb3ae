//! `$filter` and `$orderBy`: the part of OData that the API understands.

use std::cmp::Ordering;

use crate::clock;
use crate::decimal::Decimal;
use crate::json::Json;

/// A filter expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare {
        field: String,
        by: Comparison,
        with: Literal,
    },
    Text {
        field: String,
        test: TextTest,
        with: String,
    },
    /// True if any member of the list fulfils the inner expression.
    Any {
        list: String,
        inner: Box<Filter>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Comparison {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TextTest {
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Number(String),
    /// A bare word: a date-time or an enum member.
    Word(String),
    Bool(bool),
    Null,
}

/// The fields of a resource that may be named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// Those that both roles may name.
    pub(crate) plain: &'static [&'static str],
    /// Those that only the role that asks may name.
    pub(crate) also: &'static [&'static str],
    /// Lists, whose members are named in the others as `list/member`.
    pub(crate) lists: &'static [&'static str],
}

impl Fields {
    fn has(&self, name: &str) -> bool {
        self.plain.contains(&name) || self.also.contains(&name)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    Comma,
    Colon,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => (),
            '(' => out.push(Token::Open),
            ')' => out.push(Token::Close),
            ',' => out.push(Token::Comma),
            '\'' => {
                let mut value = String::new();
                loop {
                    match rest.next() {
                        Some('\'') if rest.peek() == Some(&'\'') => {
                            rest.next();
                            value.push('\'');
                        }
                        Some('\'') => break,
                        Some(c) => value.push(c),
                        None => return Err("a quoted text does not end".to_owned()),
                    }
                }
                out.push(Token::Text(value));
            }
            c => {
                let mut word = String::from(c);
                // A colon ends a name (as in `any(i:`) but is part of a date-time.
                while let Some(c) = rest.peek() {
                    let in_date = word.starts_with(|c: char| c.is_ascii_digit());
                    if c.is_whitespace() || matches!(c, '(' | ')' | ',' | '\'') || (*c == ':' && !in_date) {
                        break;
                    }
                    word.push(*c);
                    rest.next();
                }
                out.push(if word == ":" { Token::Colon } else { Token::Word(word) });
                if rest.peek() == Some(&':') {
                    rest.next();
                    out.push(Token::Colon);
                }
            }
        }
    }
    Ok(out)
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    fields: Fields,
    depth: usize,
}

/// Reads a filter; the error says what is wrong with it.
pub(crate) fn parse(text: &str, fields: Fields) -> Result<Filter, String> {
    let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), fields, depth: 0 };
    let filter = parser.either(None)?;
    match parser.tokens.next() {
        None => Ok(filter),
        Some(token) => Err(format!("unexpected {token:?}")),
    }
}

/// The variable of an `any` and the list it stands for.
type Scope<'a> = Option<(&'a str, &'a str)>;

impl Parser {
    fn word_is(&mut self, word: &str) -> bool {
        let hit = matches!(self.tokens.peek(), Some(Token::Word(w)) if w == word);
        if hit {
            self.tokens.next();
        }
        hit
    }

    fn expect(&mut self, token: &Token) -> Result<(), String> {
        match self.tokens.next() {
            Some(found) if found == *token => Ok(()),
            found => Err(format!("expected {token:?}, found {found:?}")),
        }
    }

    fn either(&mut self, scope: Scope<'_>) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > 40 {
            return Err("the filter is nested too deeply".to_owned());
        }
        let mut left = self.both(scope)?;
        while self.word_is("or") {
            left = Filter::Or(Box::new(left), Box::new(self.both(scope)?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn both(&mut self, scope: Scope<'_>) -> Result<Filter, String> {
        let mut left = self.single(scope)?;
        while self.word_is("and") {
            left = Filter::And(Box::new(left), Box::new(self.single(scope)?));
        }
        Ok(left)
    }

    fn single(&mut self, scope: Scope<'_>) -> Result<Filter, String> {
        if self.word_is("not") {
            self.depth += 1;
            if self.depth > 40 {
                return Err("the filter is nested too deeply".to_owned());
            }
            let inner = self.single(scope)?;
            self.depth -= 1;
            return Ok(Filter::Not(Box::new(inner)));
        }
        let word = match self.tokens.next() {
            Some(Token::Open) => {
                let inner = self.either(scope)?;
                self.expect(&Token::Close)?;
                return Ok(inner);
            }
            Some(Token::Word(word)) => word,
            found => return Err(format!("expected a field, found {found:?}")),
        };
        if self.tokens.peek() == Some(&Token::Open) {
            self.tokens.next();
            return self.call(&word, scope);
        }
        let field = self.field(&word, scope)?;
        let by = match self.tokens.next() {
            Some(Token::Word(op)) => match op.as_str() {
                "eq" => Comparison::Eq,
                "ne" => Comparison::Ne,
                "gt" => Comparison::Gt,
                "ge" => Comparison::Ge,
                "lt" => Comparison::Lt,
                "le" => Comparison::Le,
                other => return Err(format!("unknown operator {other}")),
            },
            found => return Err(format!("expected an operator, found {found:?}")),
        };
        let with = match self.tokens.next() {
            Some(Token::Text(text)) => Literal::Text(text),
            Some(Token::Word(word)) => match word.as_str() {
                "null" => Literal::Null,
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                word if Decimal::parse(word).is_some() => Literal::Number(word.to_owned()),
                word if clock::parse(word).is_some() => Literal::Word(word.to_owned()),
                other => return Err(format!("{other} is no value")),
            },
            found => return Err(format!("expected a value, found {found:?}")),
        };
        Ok(Filter::Compare { field, by, with })
    }

    fn call(&mut self, name: &str, scope: Scope<'_>) -> Result<Filter, String> {
        if let Some(list) = name.strip_suffix("/any") {
            if scope.is_some() || !self.fields.lists.contains(&list) {
                return Err(format!("{list} is no list that can be filtered"));
            }
            let Some(Token::Word(variable)) = self.tokens.next() else {
                return Err("any needs a variable".to_owned());
            };
            self.expect(&Token::Colon)?;
            let inner = self.either(Some((&variable, list)))?;
            self.expect(&Token::Close)?;
            return Ok(Filter::Any { list: list.to_owned(), inner: Box::new(inner) });
        }
        let test = match name {
            "contains" => TextTest::Contains,
            "startswith" => TextTest::StartsWith,
            "endswith" => TextTest::EndsWith,
            other => return Err(format!("unknown function {other}")),
        };
        let Some(Token::Word(word)) = self.tokens.next() else {
            return Err(format!("{name} needs a field"));
        };
        let field = self.field(&word, scope)?;
        self.expect(&Token::Comma)?;
        let Some(Token::Text(with)) = self.tokens.next() else {
            return Err(format!("{name} needs a text"));
        };
        self.expect(&Token::Close)?;
        Ok(Filter::Text { field, test, with })
    }

    fn field(&self, word: &str, scope: Scope<'_>) -> Result<String, String> {
        let (full, short) = match scope {
            Some((variable, list)) => match word.split_once('/') {
                Some((first, rest)) if first == variable => (format!("{list}/{rest}"), rest.to_owned()),
                _ => return Err(format!("{word} does not start with {variable}/")),
            },
            None => {
                if word.split_once('/').is_some_and(|(first, _)| self.fields.lists.contains(&first)) {
                    return Err(format!("{word} belongs to a list; use any"));
                }
                (word.to_owned(), word.to_owned())
            }
        };
        if self.fields.has(&full) { Ok(short) } else { Err(format!("the field {full} can not be filtered")) }
    }
}

impl Filter {
    /// Whether an object passes.
    pub(crate) fn fits(&self, row: &Json) -> bool {
        match self {
            Filter::And(a, b) => a.fits(row) && b.fits(row),
            Filter::Or(a, b) => a.fits(row) || b.fits(row),
            Filter::Not(inner) => !inner.fits(row),
            Filter::Any { list, inner } => match row.walk(list) {
                Some(Json::Arr(values)) => values.iter().any(|value| inner.fits(value)),
                _ => false,
            },
            Filter::Text { field, test, with } => match row.walk(field) {
                Some(Json::Str(text)) => match test {
                    TextTest::Contains => text.contains(with.as_str()),
                    TextTest::StartsWith => text.starts_with(with.as_str()),
                    TextTest::EndsWith => text.ends_with(with.as_str()),
                },
                _ => false,
            },
            Filter::Compare { field, by, with } => compare(row.walk(field).unwrap_or(&Json::Null), *by, with),
        }
    }

    /// The same by texts that are at hand: `at_hand` answers the text of a field (inside: `None` for one without a
    /// value), or `None` for a field that it can not answer. `None` if that does not decide.
    pub(crate) fn decided<'a>(&self, at_hand: &impl Fn(&str) -> Option<Option<&'a str>>) -> Option<bool> {
        match self {
            Filter::And(a, b) => match (a.decided(at_hand), b.decided(at_hand)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Filter::Or(a, b) => match (a.decided(at_hand), b.decided(at_hand)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Filter::Not(inner) => inner.decided(at_hand).map(|fits| !fits),
            Filter::Compare { field, by: by @ (Comparison::Eq | Comparison::Ne), with: Literal::Text(text) } => {
                let same = at_hand(field)?.is_some_and(|value| value == text);
                Some(same == (*by == Comparison::Eq))
            }
            _ => None,
        }
    }

    /// The top-level members that the expression looks at.
    pub(crate) fn members<'a>(&'a self, into: &mut Vec<&'a str>) {
        match self {
            Filter::And(a, b) | Filter::Or(a, b) => {
                a.members(into);
                b.members(into);
            }
            Filter::Not(inner) => inner.members(into),
            Filter::Any { list: field, .. } | Filter::Compare { field, .. } | Filter::Text { field, .. } => {
                into.push(top_level(field));
            }
        }
    }

    /// The value that every passing object has in `field`, if the expression pins it down.
    pub(crate) fn pinned(&self, wanted: &str) -> Option<&str> {
        match self {
            Filter::And(a, b) => a.pinned(wanted).or_else(|| b.pinned(wanted)),
            Filter::Compare { field, by: Comparison::Eq, with: Literal::Text(text) } if field == wanted => Some(text),
            _ => None,
        }
    }
}

/// The member of the whole object in which a field lies.
pub(crate) fn top_level(field: &str) -> &str {
    field.split_once('/').map_or(field, |(first, _)| first)
}

fn compare(value: &Json, by: Comparison, with: &Literal) -> bool {
    let order = match (value, with) {
        (Json::Null, Literal::Null) => Some(Ordering::Equal),
        (Json::Str(a), Literal::Text(b)) => Some(a.as_str().cmp(b)),
        (Json::Str(a), Literal::Word(b) | Literal::Number(b)) => match (clock::parse(a), clock::parse(b)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => None,
        },
        (Json::Num(a), Literal::Number(b)) => match (Decimal::parse(a), Decimal::parse(b)) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => None,
        },
        (Json::Bool(a), Literal::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    };
    match (by, order) {
        (Comparison::Ne, order) => order != Some(Ordering::Equal),
        (_, None) => false,
        (Comparison::Eq, Some(o)) => o == Ordering::Equal,
        (Comparison::Gt, Some(o)) => o == Ordering::Greater,
        (Comparison::Ge, Some(o)) => o != Ordering::Less,
        (Comparison::Lt, Some(o)) => o == Ordering::Less,
        (Comparison::Le, Some(o)) => o != Ordering::Greater,
    }
}

/// One key of an `$orderBy`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SortKey {
    pub(crate) field: String,
    pub(crate) descending: bool,
}

/// Reads an `$orderBy`: fields with `asc` or `desc`, separated by commas.
pub(crate) fn parse_order(text: &str, fields: Fields) -> Result<Vec<SortKey>, String> {
    let mut keys = Vec::new();
    for part in text.split(',') {
        let mut words = part.split_whitespace();
        let field = words.next().ok_or("an empty sort key")?.to_owned();
        let descending = match words.next() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(other) => return Err(format!("unknown sort direction {other}")),
        };
        let known = field.starts_with("modificationInfo/") || fields.has(&field);
        if !known || words.next().is_some() {
            return Err(format!("can not sort by {}", part.trim()));
        }
        keys.push(SortKey { field, descending });
    }
    Ok(keys)
}

/// Compares two objects by sort keys.
pub(crate) fn order(a: &Json, b: &Json, keys: &[SortKey]) -> Ordering {
    for key in keys {
        let (x, y) = (a.walk(&key.field), b.walk(&key.field));
        let o = match (x, y) {
            (Some(Json::Num(x)), Some(Json::Num(y))) => {
                Decimal::parse(x).partial_cmp(&Decimal::parse(y)).unwrap_or(Ordering::Equal)
            }
            (Some(Json::Str(x)), Some(Json::Str(y))) => x.cmp(y),
            (x, y) => x.is_some().cmp(&y.is_some()),
        };
        let o = if key.descending { o.reverse() } else { o };
        if o != Ordering::Equal {
            return o;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Fields = Fields {
        plain: &["status", "number", "items/jfsku", "items/quantity", "address/city", "statusTimestamp/pending"],
        also: &[],
        lists: &["items"],
    };

    fn row() -> Json {
        Json::parse(
            r#"{"status":"Pending","number":"O'Neill 1","address":{"city":"Ulm"},"other":1,
            "statusTimestamp":{"pending":"2026-01-05T08:00:00.000+00:00"},
            "items":[{"jfsku":"AAA","quantity":1.10},{"jfsku":"BBB","quantity":2}]}"#,
        )
        .unwrap()
    }

    fn fits(text: &str) -> bool {
        parse(text, FIELDS).unwrap().fits(&row())
    }

    #[test]
    fn compares() {
        assert!(fits("status eq 'Pending'"));
        assert!(!fits("status eq 'pending'"));
        assert!(fits("number eq 'O''Neill 1'"));
        assert!(fits("status ne 'Shipped' and address/city eq 'Ulm'"));
        assert!(fits("statusTimestamp/pending ge 2026-01-05T08:00:00Z"));
        assert!(!fits("statusTimestamp/pending gt 2026-01-05T09:00:00+01:00"));
    }

    #[test]
    fn and_binds_closer_than_or() {
        assert!(fits("status eq 'Pending' or status eq 'x' and number eq 'y'"));
        assert!(!fits("(status eq 'Pending' or status eq 'x') and number eq 'y'"));
        assert!(fits("not (status eq 'x')"));
    }

    #[test]
    fn lists() {
        assert!(fits("items/any(a:contains(a/jfsku,'BB'))"));
        assert!(fits("items/any(a: a/jfsku eq 'AAA' and a/quantity eq 1.1)"));
        assert!(!fits("items/any(i : i/jfsku eq 'AAA' and i/quantity eq 2)"));
        assert!(fits("startswith(number,'O''') and endswith(number,' 1')"));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            "",
            "status",
            "status eq",
            "status eq Pending",
            "status is 'Pending'",
            "other eq 1",
            "items/jfsku eq 'AAA'",
            "items/any(a:b/jfsku eq 'x')",
            "status eq 'Pending",
            "status eq 'a' and",
            "status eq 'a' b",
            "length(status) eq 1",
            "lines/any(a:a/jfsku eq 'x')",
        ] {
            assert!(parse(text, FIELDS).is_err(), "{text}");
        }
        assert!(parse(&"(".repeat(10_000), FIELDS).is_err());
        assert!(parse(&"not ".repeat(10_000), FIELDS).is_err());
    }

    #[test]
    fn pins() {
        let pinned = |text| parse(text, FIELDS).unwrap().pinned("number").map(str::to_owned);
        assert_eq!(pinned("status eq 'a' and number eq 'n'"), Some("n".to_owned()));
        assert_eq!(pinned("status eq 'a' or number eq 'n'"), None);
        assert_eq!(pinned("number ne 'n'"), None);
    }

    #[test]
    fn what_is_at_hand_decides_as_the_object_does() {
        let row = row();
        let at_hand = |name: &str| match name {
            "status" | "number" => Some(row.text(name)),
            "other" => Some(None),
            _ => None,
        };
        for (text, decides) in [
            ("status eq 'Pending'", true),
            ("status ne 'Pending'", true),
            ("status eq 'x' or number eq 'O''Neill 1'", true),
            ("not (status eq 'x')", true),
            ("status eq 'x' and address/city eq 'Ulm'", true),
            ("status eq 'Pending' and address/city eq 'Ulm'", false),
            ("status eq 'x' or address/city eq 'Ulm'", false),
            ("status eq 'Pending' or address/city eq 'x'", true),
            ("status gt 'A'", false),
            ("startswith(number,'O')", false),
            ("items/any(a:a/jfsku eq 'AAA')", false),
        ] {
            let filter = parse(text, FIELDS).unwrap();
            assert_eq!(filter.decided(&at_hand), decides.then(|| filter.fits(&row)), "{text}");
        }
        let ask = |by| Filter::Compare { field: "other".to_owned(), by, with: Literal::Text("a".to_owned()) };
        assert_eq!(ask(Comparison::Eq).decided(&at_hand), Some(false));
        assert_eq!(ask(Comparison::Ne).decided(&at_hand), Some(true));
        let mut names = Vec::new();
        let filter = parse("items/any(a:a/jfsku eq 'A') and not (address/city eq 'x')", FIELDS).unwrap();
        filter.members(&mut names);
        assert_eq!(names, ["items", "address"]);
    }

    #[test]
    fn orders() {
        let keys = parse_order("modificationInfo/createdAt desc, number", FIELDS).unwrap();
        assert_eq!(keys.len(), 2);
        assert!(keys.first().unwrap().descending);
        assert!(parse_order("made/up", FIELDS).is_err());
        assert!(parse_order("number sideways", FIELDS).is_err());
        let (a, b) = (Json::parse(r#"{"number":"1"}"#).unwrap(), Json::parse(r#"{"number":"2"}"#).unwrap());
        assert_eq!(order(&a, &b, &parse_order("number desc", FIELDS).unwrap()), Ordering::Greater);
    }
}
