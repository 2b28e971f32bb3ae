//! The authorization page of the OAuth server.

use crate::answer::Answer;
use crate::catalog::Role;
use crate::flags::Flags;
use crate::oauth::{OAuth, field, granted, pairs, refusal};
use crate::switches::{CallbackState, MissingScope};

impl OAuth {
    /// `GET /authorize` shows a page (or approves at once), `POST /authorize` is its buttons.
    pub(crate) fn authorize(&mut self, flags: &Flags, query: &[u8], form: Option<&[u8]>, now: i64) -> Answer {
        let switches = &flags.switches;
        let fields = pairs(form.unwrap_or(query));
        let get = |name| field(&fields, name);
        if get("client_id") != Some(flags.client_id.as_str()) {
            return refusal(401, "invalid_client", "Client authentication failed");
        }
        let registered =
            |text: &str| switches.redirect_uri.is_empty() || switches.redirect_uri.iter().any(|r| r == text);
        let redirect = match get("redirect_uri").map(|text| (text, url::Url::parse(text))) {
            Some((text, Ok(url))) if registered(text) => (text.to_owned(), url),
            _ => return refusal(401, "invalid_client", "The redirect_uri is missing or was not registered"),
        };
        let state = match switches.callback_state {
            CallbackState::Right => get("state").map(str::to_owned),
            CallbackState::Wrong => Some(format!("wrong-{}", self.hex(8))),
            CallbackState::Missing => None,
        };
        let back = |values: &[(&str, &str)]| {
            let mut url = redirect.1.clone();
            {
                let mut query = url.query_pairs_mut();
                for (name, value) in values {
                    query.append_pair(name, value);
                }
                if let Some(state) = &state {
                    query.append_pair("state", state);
                }
            }
            Answer::empty(302).header("Location", url.as_str()).header("Cache-Control", "no-store")
        };
        if get("response_type") != Some("code") {
            return back(&[("error", "unsupported_response_type")]);
        }
        let challenge = match (get("code_challenge"), get("code_challenge_method")) {
            (None, _) => None,
            (Some(challenge), Some("S256")) => Some((challenge.to_owned(), true)),
            (Some(challenge), None | Some("plain")) => Some((challenge.to_owned(), false)),
            _ => return back(&[("error", "invalid_request")]),
        };
        let asked: Vec<&str> = get("scope").unwrap_or_default().split_whitespace().collect();
        // Unless a switch says who signs in, it is the account whose rights are asked for first.
        let role = switches.sign_in_as.unwrap_or(match asked.iter().find(|s| s.starts_with("ffn.")) {
            Some(scope) if scope.starts_with("ffn.fulfiller.") => Role::Fulfiller,
            _ => Role::Merchant,
        });
        let scopes: Vec<String> =
            asked.iter().copied().filter(|s| granted(switches, role, s)).map(str::to_owned).collect();
        if scopes.len() < asked.len() && switches.missing_scope_answer == MissingScope::InvalidScope {
            let text = "The requested scope is invalid, unknown, or malformed";
            return back(&[("error", "invalid_scope"), ("error_description", text)]);
        }
        let decision = if switches.auto_approve { Some("approve") } else { form.and_then(|_| get("decision")) };
        match decision {
            None => Answer::html(200, page(flags, role, &scopes, &fields)).header("Cache-Control", "no-store"),
            Some("approve") => {
                let code = self.issue_code(role, scopes, redirect.0.clone(), challenge, now);
                back(&[("code", &code)]).effect("authorization code issued")
            }
            Some(_) => back(&[
                ("error", "access_denied"),
                ("error_description", "The resource owner or authorization server denied the request."),
            ]),
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(flags: &Flags, role: Role, scopes: &[String], fields: &[(String, String)]) -> String {
    let hidden: String = fields
        .iter()
        .filter(|(name, _)| name != "decision")
        .map(|(n, v)| format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(n), escape(v)))
        .collect();
    let scopes: String = scopes.iter().map(|s| format!("<li>{}</li>", escape(s))).collect();
    let user = match role {
        Role::Merchant => &flags.user_merchant,
        Role::Fulfiller => &flags.user_fulfiller,
    };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>FFN simulator: sign in</title>\
         <body style=\"font-family:sans-serif;max-width:32em;margin:4em auto\"><h1>FFN simulator</h1>\
         <p>The application <b id=\"client\">{client}</b> asks for access to the account \
         <b id=\"account\">{user}</b> (<span id=\"role\">{role}</span>):</p><ul id=\"scopes\">{scopes}</ul>\
         <form id=\"approval\" method=\"post\" action=\"/authorize\">{hidden}\
         <button id=\"approve\" type=\"submit\" name=\"decision\" value=\"approve\">Approve</button> \
         <button id=\"refuse\" type=\"submit\" name=\"decision\" value=\"refuse\">Refuse</button></form></body></html>",
        client = escape(&flags.client_id),
        role = role.name(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switches::Switches;

    const ASK: &str = "response_type=code&client_id=demo-client&redirect_uri=http%3A%2F%2Flocalhost%2Fcb&state=s%201";

    fn ask(switches: &str, scope: &str) -> (OAuth, Answer) {
        let mut flags = Flags::for_test();
        flags.switches = flags.switches.with(switches.as_bytes()).unwrap();
        let mut oauth = OAuth::new(&flags, 1, 0);
        let answer = oauth.authorize(&flags, format!("{ASK}&scope={scope}").as_bytes(), None, 0);
        (oauth, answer)
    }

    fn back(answer: &Answer) -> Vec<(String, String)> {
        assert_eq!(answer.status, 302);
        pairs(url::Url::parse(&answer.headers[0].1).unwrap().query().unwrap().as_bytes())
    }

    /// Role and scopes that an approval gives.
    fn grant(switches: &str, scope: &str) -> (Role, String) {
        let (oauth, answer) = ask(switches, scope);
        let grant = oauth.grant_of_code(field(&back(&answer), "code").unwrap()).unwrap();
        (grant.role, grant.scopes.join(" "))
    }

    #[test]
    fn the_page_tells_who_asks_for_what_and_has_two_buttons() {
        let (_, answer) = ask("{}", "ffn.merchant.read+ffn.fulfiller.read+%3Cb%3E");
        assert_eq!((answer.status, answer.kind), (200, "text/html; charset=utf-8"));
        for part in [
            "<b id=\"client\">demo-client</b>",
            "<b id=\"account\">ACME</b>",
            "<span id=\"role\">merchant</span>",
            "<ul id=\"scopes\"><li>ffn.merchant.read</li><li>&lt;b&gt;</li></ul>",
            "<button id=\"approve\" type=\"submit\" name=\"decision\" value=\"approve\">",
            "<button id=\"refuse\" type=\"submit\" name=\"decision\" value=\"refuse\">",
            "<input type=\"hidden\" name=\"state\" value=\"s 1\">",
        ] {
            assert!(answer.text().contains(part), "{part}");
        }
    }

    #[test]
    fn the_buttons_come_back_to_the_client() {
        let flags = Flags::for_test();
        let mut oauth = OAuth::new(&flags, 1, 0);
        let mut press = |decision: &str| {
            let form = format!("{ASK}&scope=ffn.merchant.read&decision={decision}");
            back(&oauth.authorize(&flags, b"", Some(form.as_bytes()), 0))
        };
        assert!(field(&press("approve"), "code").is_some());
        let refused = press("refuse");
        assert_eq!((field(&refused, "error"), field(&refused, "state")), (Some("access_denied"), Some("s 1")));
    }

    #[test]
    fn missing_scopes() {
        let list = r#"{"auto_approve":true,"granted_scope":["ffn.merchant.read"]}"#;
        assert_eq!(
            grant(list, "ffn.merchant.read+ffn.merchant.write+email"),
            (Role::Merchant, "ffn.merchant.read".to_owned())
        );
        let refuse = r#"{"granted_scope":["ffn.merchant.read"],"missing_scope_answer":"invalid_scope"}"#;
        let (_, answer) = ask(refuse, "ffn.merchant.read+ffn.merchant.write");
        assert_eq!(field(&back(&answer), "error"), Some("invalid_scope"));
        assert_eq!(ask(refuse, "ffn.merchant.read").1.status, 200, "the page");
    }

    #[test]
    fn the_other_account_signs_in() {
        let other = r#"{"auto_approve":true,"sign_in_as":"fulfiller"}"#;
        assert_eq!(grant(other, "ffn.merchant.read+email"), (Role::Fulfiller, "email".to_owned()));
        let kept = r#"{"auto_approve":true,"sign_in_as":"fulfiller","granted_scope":["ffn.merchant.read"]}"#;
        assert_eq!(grant(kept, "ffn.merchant.read"), (Role::Fulfiller, "ffn.merchant.read".to_owned()));
    }

    #[test]
    fn callback_states() {
        let state = |how: &str| {
            let switches = format!(r#"{{"auto_approve":true,"callback_state":"{how}"}}"#);
            field(&back(&ask(&switches, "ffn.merchant.read").1), "state").map(str::to_owned)
        };
        assert_eq!(state("right").as_deref(), Some("s 1"));
        assert!(state("wrong").is_some_and(|s| s.starts_with("wrong-")));
        assert_eq!(state("missing"), None);
    }

    #[test]
    fn redirects_that_are_not_registered() {
        let flags = Flags::for_test();
        let switches = Switches { redirect_uri: vec!["http://localhost/other".to_owned()], ..flags.switches.clone() };
        assert_eq!(ask(&switches.json().to_string(), "ffn.merchant.read").1.status, 401);
    }
}
