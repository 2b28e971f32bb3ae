//! `POST /_simulator/script`: many control requests in one.

use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::control::{self, bad, read};
use crate::json::write_text;
use crate::world::World;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script<'a> {
    #[serde(borrow)]
    steps: Vec<Step<'a>>,
    #[serde(default = "yes")]
    stop_on_error: bool,
}

const fn yes() -> bool {
    true
}

/// One control request: its path below `/_simulator/`, with its query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step<'a> {
    get: Option<String>,
    post: Option<String>,
    delete: Option<String>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

impl Step<'_> {
    fn target(&self) -> Option<(Method, &str)> {
        match (&self.get, &self.post, &self.delete) {
            (Some(path), None, None) => Some((Method::GET, path)),
            (None, Some(path), None) => Some((Method::POST, path)),
            (None, None, Some(path)) => Some((Method::DELETE, path)),
            _ => None,
        }
    }
}

/// Takes the steps in their order. The answer of one that fails is the last, unless all are asked for.
pub(crate) fn run(world: &mut World, body: &[u8]) -> Answer {
    let script: Script<'_> = match read(body) {
        Ok(script) => script,
        Err((status, problem)) => return control::mistake(status, &problem),
    };
    let targets: Option<Vec<(Method, &str)>> = script.steps.iter().map(Step::target).collect();
    let Some(targets) = targets else {
        let (status, problem) = bad("each step needs exactly one of get, post and delete");
        return control::mistake(status, &problem);
    };
    let mut results = String::from("\"results\":[");
    let mut failed = None;
    for (n, ((method, target), step)) in targets.iter().zip(&script.steps).enumerate() {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let body = step.body.map_or(&b""[..], |body| body.get().as_bytes());
        let path = format!("/_simulator/{}", path.trim_start_matches('/'));
        let answer = match path.trim_end_matches('/') {
            "/_simulator/script" => control::mistake(400, "no script inside a script"),
            _ => control::respond(world, method, &path, query, body),
        };
        if n > 0 {
            results.push(',');
        }
        results.push_str(&format!("{{\"status\":{},\"body\":{}}}", answer.status, answer.text()));
        if answer.status >= 400 && script.stop_on_error {
            failed = Some((n, answer));
            break;
        }
    }
    results.push(']');
    match failed {
        None => Answer::json(200, format!("{{{results}}}")),
        Some((n, answer)) => {
            let mut text = String::from("{\"error\":");
            write_text(&format!("step {n}, counted from 0: {}", answer.text()), &mut text);
            Answer::json(answer.status, format!("{text},{results}}}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::flags::Flags;

    fn ask(world: &mut World, script: &Value) -> (u16, Value) {
        let body = script.to_string();
        let answer = control::respond(world, &Method::POST, "/_simulator/script", "", body.as_bytes());
        (answer.status, serde_json::from_str(&answer.text()).unwrap())
    }

    fn statuses(answer: &Value) -> Vec<i64> {
        answer["results"].as_array().unwrap().iter().map(|r| r["status"].as_i64().unwrap()).collect()
    }

    #[test]
    fn steps_are_taken_in_order() {
        let mut w = World::new(Flags::for_test());
        w.make("OLD".to_owned(), "Pending").unwrap();
        let steps = json!([
            {"post": "reset", "body": {"clock": "2026-01-05T08:00:00Z", "settings": {"chunk_size": 3}}},
            {"post": "outbounds/bulk", "body": {"count": 2, "prefix": "B-"}},
            {"post": "clock", "body": {"advance": "1h"}},
            {"post": "outbounds/B-000001/raw?touch=true", "body": {"currency": null}},
            {"post": "outbounds/B-000002/advance"},
            {"get": "outbounds?number=B-000002"},
            {"delete": "faults"},
        ]);
        let (status, answer) = ask(&mut w, &json!({"steps": steps}));
        assert_eq!((status, statuses(&answer)), (200, vec![200; 7]));
        let body = |n: usize| &answer["results"][n]["body"];
        assert_eq!(body(1)["last"], "B-000002");
        assert!(body(2)["clock"].as_str().unwrap().starts_with("2026-01-05T09:00:0"));
        assert_eq!((&body(3)["changes"], &body(5)["outbounds"][0]["status"]), (&json!(2), &json!("Acknowledged")));
        assert_eq!((w.outbounds.len(), w.flags.switches.chunk_size), (2, 3));
    }

    #[test]
    fn literals_stay_as_they_were_written() {
        let mut w = World::new(Flags::for_test());
        w.make("A".to_owned(), "Pending").unwrap();
        let text = r#"{"steps":[{"post":"outbounds/A/raw","body":{"orderValue":1.5000e0}}]}"#;
        assert_eq!(run(&mut w, text.as_bytes()).status, 200);
        let shown = w.show(crate::things::Kind::Outbounds, 0, crate::catalog::Role::Merchant, None);
        assert!(shown.to_string().contains(r#""orderValue":1.5000e0"#));
    }

    #[test]
    fn it_stops_at_a_mistake_unless_told() {
        let mut w = World::new(Flags::for_test());
        let steps = json!([
            {"post": "outbounds/bulk", "body": {"count": 1, "prefix": "B-"}},
            {"post": "outbounds/bulk", "body": {"count": 1, "prefix": "B-"}},
            {"post": "outbounds/bulk", "body": {"count": 1, "prefix": "C-"}},
        ]);
        let (status, answer) = ask(&mut w, &json!({"steps": steps}));
        assert_eq!((status, statuses(&answer), w.outbounds.len()), (409, vec![200, 409], 1));
        assert!(answer["error"].as_str().unwrap().starts_with("step 1, counted from 0: {"));
        let (status, answer) = ask(&mut w, &json!({"steps": steps, "stop_on_error": false}));
        assert_eq!((status, statuses(&answer), w.outbounds.len()), (200, vec![409, 409, 200], 2));
    }

    #[test]
    fn a_wrong_script_does_nothing() {
        let mut w = World::new(Flags::for_test());
        let make = json!({"post": "outbounds/bulk", "body": {"count": 1}});
        for wrong in [
            json!({}),
            json!({"steps": [make, {}]}),
            json!({"steps": [make, {"get": "state", "post": "clock"}]}),
            json!({"steps": [make, {"put": "state"}]}),
        ] {
            assert_eq!((ask(&mut w, &wrong).0, w.outbounds.len()), (400, 0), "{wrong}");
        }
        let nested = json!({"steps": [{"post": "script", "body": {"steps": []}}]});
        assert_eq!(ask(&mut w, &nested).0, 400);
    }
}
