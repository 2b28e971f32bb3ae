//! Answers of the API: JSON, nothing, or an error in the API's shape.

use std::borrow::Cow;

use crate::json::{Json, obj};
use crate::schema::Flaw;
use crate::switches::MetadataSpelling;

/// An HTTP answer before it goes out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    /// What the request changed, for the record.
    pub(crate) effects: Vec<Effect>,
}

/// Something that a request changed.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    pub(crate) text: String,
    /// The number that the caller knows it by, if it does not follow from the request.
    pub(crate) key: Option<String>,
}

const JSON_TYPE: &str = "application/json; charset=utf-8";

impl Answer {
    pub(crate) fn empty(status: u16) -> Self {
        Answer { status, ..Answer::default() }
    }

    pub(crate) fn json(status: u16, body: String) -> Self {
        Answer { status, kind: JSON_TYPE, body: body.into_bytes(), ..Answer::default() }
    }

    pub(crate) fn bytes(kind: &'static str, body: Vec<u8>) -> Self {
        Answer { status: 200, kind, body, ..Answer::default() }
    }

    pub(crate) fn html(status: u16, body: String) -> Self {
        Answer { status, kind: "text/html; charset=utf-8", body: body.into_bytes(), ..Answer::default() }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The body as text.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Says what the request changed, as a whole.
    pub(crate) fn effect(mut self, text: impl Into<String>) -> Self {
        self.effects = vec![Effect { text: text.into(), key: None }];
        self
    }

    /// Says that the request also changed this, which has a number of its own.
    pub(crate) fn also(mut self, text: impl Into<String>, key: impl Into<String>) -> Self {
        self.effects.push(Effect { text: text.into(), key: Some(key.into()) });
        self
    }

    /// All that the request changed, in one line.
    pub(crate) fn effect_line(&self) -> Option<String> {
        let texts: Vec<&str> = self.effects.iter().map(|e| e.text.as_str()).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }
}

/// A refusal.
#[derive(Clone, Debug)]
pub(crate) struct Fail {
    pub(crate) status: u16,
    /// Empty: an answer without a body.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) flaws: Vec<Flaw>,
    pub(crate) data: Vec<(&'static str, String)>,
}

pub(crate) type Outcome<T = Answer> = Result<T, Fail>;

impl Fail {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Fail { status, code, message: message.into(), flaws: Vec::new(), data: Vec::new() }
    }

    pub(crate) fn bare(status: u16) -> Self {
        Self::new(status, "", "")
    }

    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.data.push((key, value.into()));
        self
    }

    /// 400 for a body or a query that is not of the right form.
    pub(crate) fn model(target: &str, message: impl Into<String>) -> Self {
        Self::flaws(vec![Flaw { target: target.to_owned(), message: message.into() }])
    }

    pub(crate) fn flaws(flaws: Vec<Flaw>) -> Self {
        Fail { flaws, ..Self::new(400, "Shared_ModelValidation", "The request is not valid.") }
    }

    pub(crate) fn into_answer(self, spelling: MetadataSpelling) -> Answer {
        if self.code.is_empty() {
            return Answer::empty(self.status);
        }
        let messages = if self.flaws.is_empty() {
            vec![obj([("message", self.message.as_str().into())])]
        } else {
            let one = |f: &Flaw| obj([("message", f.message.as_str().into()), ("target", f.target.as_str().into())]);
            self.flaws.iter().map(one).collect()
        };
        let data = self.data.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        let body = obj([
            ("errorCode", obj([("code", self.code.into()), ("description", self.message.into())])),
            ("errorMessages", messages.into()),
            (spelling.name(), Json::Obj(data)),
        ]);
        Answer::json(self.status, body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_of_an_error() {
        let fail = Fail::new(404, "Outbounds_OutboundNotFound", "text").with("OutboundId", "MERC02AXEV");
        assert_eq!(
            fail.clone().into_answer(MetadataSpelling::Schema).text(),
            r#"{"errorCode":{"code":"Outbounds_OutboundNotFound","description":"text"},"errorMessages":[{"message":"text"}],"errorMetaData":{"OutboundId":"MERC02AXEV"}}"#
        );
        assert!(fail.into_answer(MetadataSpelling::Examples).text().contains("\"errorMetadata\":"));
        assert_eq!(Fail::bare(401).into_answer(MetadataSpelling::Schema).text(), "");
    }
}
