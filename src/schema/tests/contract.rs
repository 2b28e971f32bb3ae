//! The commands' schemas against a table of FFN's operations and request bodies (`contract.txt`): every command of every
//! role is there, with exactly FFN's members, needs, types, limits and words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::*;
use crate::domain::account::Role;

const TABLE: &str = include_str!("contract.txt");

/// The members that a list's query has.
const LIST: &str = "$top int32(1..500), $skip int32(0..2147483647), $filter query, $select query, $orderBy query";

/// What is narrower here than at FFN, because nothing else makes sense: a quantity of nothing.
const POSITIVE: [&str; 5] = [
    "CreateInboundItemRequest.quantity",
    "CreateOutboundShippingNotificationItemRequest.quantity",
    "CreateReturnItemRequest.quantity",
    "CreateReturnItemRequest(F).quantity",
    "UpdateReturnItemRequest.quantity",
];

struct Contract {
    bodies: BTreeMap<&'static str, &'static str>,
    words: BTreeMap<&'static str, Vec<&'static str>>,
}

fn section(number: usize) -> impl Iterator<Item = &'static str> {
    TABLE.split("\n\n").nth(number).unwrap().lines().filter(|line| !line.starts_with('#'))
}

fn contract() -> Contract {
    Contract {
        bodies: section(1).map(|line| line.split_once(": ").unwrap()).collect(),
        words: section(2)
            .map(|line| line.split_once(" = ").unwrap())
            .map(|(name, words)| (name, words.split(' ').collect()))
            .collect(),
    }
}

/// A line of the table: roles, command, call, and the members of the body, path first.
fn operations() -> impl Iterator<Item = (&'static [Role], &'static str, &'static str, String)> {
    let contract = contract();
    section(0).map(move |line| {
        let [roles, name, call, query, body] = line.split(" | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        let roles: &[Role] = match roles {
            "M" => &[Role::Merchant],
            "F" => &[Role::Fulfiller],
            _ => &[Role::Merchant, Role::Fulfiller],
        };
        let path = call.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0);
        let mut members: Vec<String> = path.map(|name| format!("{name}* {}", path_type(name))).collect();
        if query != "-" {
            members.push(query.replace("LIST", LIST));
        }
        match body {
            "-" => {}
            body if body.starts_with('{') => members.push(body.trim_matches(['{', '}']).to_owned()),
            name => members.push(contract.bodies[name].to_owned()),
        }
        (roles, name, call, members.join(", "))
    })
}

fn path_type(name: &str) -> &'static str {
    match name {
        "jfsku" => "string(11)",
        "merchantId" | "fulfillerId" => "string(4)",
        "number" => "int32",
        _ => "string(1..255)",
    }
}

#[test]
fn every_command_of_every_role_is_there() {
    let of = |roles: &[Role], name: &str, call: &str| -> Vec<String> {
        roles.iter().map(|role| format!("{role} {name} {call}")).collect()
    };
    let expected: Vec<String> = operations().flat_map(|(roles, name, call, _)| of(roles, name, call)).collect();
    let found: Vec<String> = COMMANDS.iter().flat_map(|spec| of(spec.roles, spec.name, spec.call)).collect();
    assert_eq!(found, expected);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "one body for each command and role");

    let validator = &super::bodies::VALIDATOR;
    for role in [Role::Merchant, Role::Fulfiller] {
        let known: Vec<&str> = validator.commands(role).collect();
        let expected: Vec<&str> =
            operations().filter(|(roles, ..)| roles.contains(&role)).map(|(_, name, ..)| name).collect();
        assert_eq!(known, expected, "{role}");
        for spec in COMMANDS {
            assert_eq!(
                validator.validate(spec.name, role, b"{}").is_some(),
                known.contains(&spec.name),
                "{}",
                spec.name
            );
        }
    }
}

#[test]
fn documents_carry_a_role_where_the_roles_differ() {
    for spec in COMMANDS {
        let document = document(&spec.document()).unwrap();
        let twice = COMMANDS.iter().filter(|other| other.name == spec.name).count() == 2;
        assert_eq!(document.role, spec.roles.first().copied().filter(|_| twice));
        let name = document.role.map_or(spec.name.to_owned(), |role| format!("{}.{role}", spec.name));
        assert_eq!(document.file(), PathBuf::from(format!("commands/{name}.json")));
        assert_eq!(resolve(&name).unwrap(), document);
        assert!(spec.does.ends_with('.') && !spec.does.contains('`'), "{}", spec.does);
    }
    assert!(document("return.create").is_none());
    let body = |role: &str| document(&format!("return.create.{role}")).unwrap().schema["properties"].clone();
    assert!(body("merchant").get("merchantId").is_none() && body("fulfiller").get("merchantId").is_some());
}

#[test]
fn members_needs_types_limits_and_words_are_those_of_the_contract() {
    let contract = contract();
    let mut checked = BTreeSet::new();
    for ((roles, name, _, members), spec) in operations().zip(COMMANDS) {
        assert_eq!((roles, name), (spec.roles, spec.name));
        let schema = document(&spec.document()).unwrap().schema;
        let walk = Walk { contract: &contract, document: &schema, name: &spec.document() };
        let body = section(0).find(|line| line.split(" | ").nth(1) == Some(name)).unwrap();
        checked.extend(body.split(" | ").nth(4));
        walk.object(&schema, &members, &spec.document(), &mut checked);
    }
    // Nothing of the table was left out.
    for name in contract.bodies.keys().filter(|name| !name.ends_with("(F)") && **name != "CreateRelatedProductRequest")
    {
        // A split's optional id has the name of the path's, and one body is that of another.
        let given_otherwise = ["CreateReturnItemSplitRequest"];
        assert!(checked.contains(name) || given_otherwise.contains(name), "{name} is used by no command");
    }
}

struct Walk<'a> {
    contract: &'a Contract,
    document: &'a Value,
    name: &'a str,
}

impl Walk<'_> {
    /// Compares an object's schema with members like `items* [Item]+, note string(0..4096)`.
    fn object(&self, schema: &Value, members: &str, of: &str, seen: &mut BTreeSet<&'static str>) {
        let schema = self.resolved(schema);
        let at = format!("{}: {of}", self.name);
        assert_eq!(schema["additionalProperties"], false, "{at}");
        let properties = schema["properties"].as_object().map(|it| it.keys().cloned().collect()).unwrap_or_default();
        let required: BTreeSet<String> =
            schema["required"].as_array().into_iter().flatten().map(|it| it.as_str().unwrap().to_owned()).collect();
        let members: Vec<(&str, &str)> =
            members.split(", ").filter(|it| !it.is_empty()).map(|it| it.split_once(' ').unwrap()).collect();
        let plain = |name: &str| name.trim_end_matches('*').to_owned();
        assert_eq!(members.iter().map(|(name, _)| plain(name)).collect::<BTreeSet<_>>(), properties, "{at}");
        assert_eq!(members.len(), properties.len(), "{at}: a name stands for two members");
        let needed = members.iter().filter(|(name, _)| name.ends_with('*')).map(|(name, _)| plain(name));
        assert_eq!(needed.collect::<BTreeSet<_>>(), required, "{at}");
        for (name, kind) in members {
            let property = &schema["properties"][plain(name)];
            assert!(property["description"].as_str().is_some_and(|it| it.len() > 3), "{at}.{name} is not described");
            self.value(property, kind, &format!("{of}.{}", plain(name)), !name.ends_with('*'), seen);
        }
    }

    fn value(&self, schema: &Value, kind: &str, path: &str, optional: bool, seen: &mut BTreeSet<&'static str>) {
        let at = format!("{}: {path} {kind}\n{schema:#}", self.name);
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => vec![],
        };
        let or_null = schema["anyOf"].as_array().is_some_and(|shapes| shapes.iter().any(|it| it["type"] == "null"));
        assert_eq!(kinds.contains(&"null") || or_null, optional, "{at}");
        let (word, limits) = match kind.split_once('(') {
            Some((word, rest)) if !kind.starts_with('[') && !self.contract.bodies.contains_key(kind) => {
                (word, rest.strip_suffix(')').unwrap())
            }
            _ => (kind, ""),
        };
        let number = |keyword: &str| schema[keyword].as_i64();
        match word {
            "string" => {
                assert!(kinds.contains(&"string"), "{at}");
                let (least, most) = match limits.split_once("..") {
                    Some((least, most)) => (least.parse().unwrap(), most.parse().unwrap()),
                    None if !limits.is_empty() => {
                        // Of a fixed length: a pattern says more.
                        assert!(schema["pattern"].is_string(), "{at}");
                        return;
                    }
                    None => (0, 255),
                };
                if schema["maxLength"].is_null() {
                    // An own id or a time of day, whose form is known.
                    let known = path.ends_with("Id") || path.ends_with("currency") || path.ends_with("cutoffTime");
                    assert!(known && schema["pattern"].is_string(), "{at}");
                    return;
                }
                let note = most == 255 && path.ends_with(".note");
                assert_eq!(number("maxLength"), Some(if note { 4096 } else { most }), "{at}");
                assert!(
                    number("minLength").unwrap_or(0) == least || (least, number("minLength")) == (0, Some(1)),
                    "{at}"
                );
            }
            "query" => assert_eq!((number("maxLength"), kinds[0]), (Some(4096), "string"), "{at}"),
            "decimal" => {
                assert_eq!(kinds[0], "number", "{at}");
                let positive = POSITIVE.iter().any(|it| path.ends_with(it))
                    || self.name == "return-item.split"
                    || self.name.starts_with("return-item.")
                        && path.ends_with(".quantity")
                        && !self.name.contains("receive");
                assert_eq!(schema["exclusiveMinimum"].as_i64(), positive.then_some(0), "{at}");
                assert_eq!((number("minimum"), number("maximum")), (None, None), "{at}");
            }
            "bool" => assert_eq!(kinds[0], "boolean", "{at}"),
            "int32" | "int" => {
                assert_eq!(kinds[0], "integer", "{at}");
                let limits = limits.split_once("..").map(|(least, most)| (least.parse().ok(), most.parse().ok()));
                if let Some(limits) = limits {
                    assert_eq!((number("minimum"), number("maximum")), limits, "{at}");
                }
                assert!(number("maximum").is_some_and(|most| most <= i64::from(i32::MAX)), "{at}");
                assert!(number("minimum").is_some_and(|least| least >= i64::from(i32::MIN)), "{at}");
            }
            "date-time" => assert_eq!((kinds[0], &schema["format"]), ("string", &"date-time".into()), "{at}"),
            "base64" => assert_eq!((kinds[0], &schema["contentEncoding"]), ("string", &"base64".into()), "{at}"),
            "HH:mm" => assert!(kinds.contains(&"string") && schema["pattern"].is_string(), "{at}"),
            list if list.starts_with('[') => {
                assert_eq!(kinds[0], "array", "{at}");
                assert_eq!(number("minItems"), list.ends_with('+').then_some(1), "{at}");
                let entry = list.trim_matches(['[', ']', '+']);
                self.value(&schema["items"], entry, path, false, seen);
            }
            words if words.contains('|') || self.contract.words.contains_key(words) => {
                let expected: Vec<&str> =
                    self.contract.words.get(words).cloned().unwrap_or_else(|| words.split('|').collect());
                let found = self.resolved(schema)["enum"].as_array().cloned().unwrap_or_default();
                assert_eq!(found, expected, "{at}");
            }
            object => {
                let (name, members) = self.contract.bodies.get_key_value(object).unwrap_or_else(|| panic!("{at}"));
                seen.insert(name);
                self.object(schema, members, name, seen);
            }
        }
    }

    /// What stands behind a reference, and without "or null".
    fn resolved<'v>(&'v self, schema: &'v Value) -> &'v Value {
        let schema =
            schema["anyOf"].as_array().and_then(|it| it.iter().find(|it| it["$ref"].is_string())).unwrap_or(schema);
        match schema["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => schema,
        }
    }
}
