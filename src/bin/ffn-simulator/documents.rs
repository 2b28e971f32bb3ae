//! Documents of outbounds and pictures of products: what is uploaded, how it is shown, when it is gone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::{Answer, Fail, Outcome};
use crate::catalog::Role;
use crate::clock;
use crate::inbound::list;
use crate::json::{Json, int, obj};
use crate::record::Actor;
use crate::things::Kind;
use crate::world::World;

/// File types by their first bytes.
const TYPES: [(&[u8], &str); 6] = [
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
];

/// What an outbound tells of a document, besides its address.
const LISTED: [&str; 5] = ["size", "mimeType", "merchantDocumentId", "documentType", "expiredAt"];

/// What an upload holds, and of what type it is.
struct Upload<'a> {
    data: &'a str,
    size: usize,
    mime: &'static str,
    hash: String,
}

/// Looks at uploaded bytes. The server finds their type itself.
fn upload<'a>(told: &'a Json, pictures_only: bool) -> Outcome<Upload<'a>> {
    let data = told.text("data").unwrap_or_default();
    let bytes = STANDARD.decode(data).unwrap_or_default();
    let known = TYPES.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, mime)| *mime);
    match known.filter(|mime| !pictures_only || matches!(*mime, "image/png" | "image/jpeg" | "image/gif")) {
        Some(mime) => Ok(Upload { data, size: bytes.len(), mime, hash: hash(&bytes) }),
        None => {
            let text = std::str::from_utf8(&bytes).is_ok_and(|text| !text.is_empty());
            let found = known.unwrap_or(if text { "text/plain" } else { "application/octet-stream" });
            Err(Fail::new(400, "Shared_InvalidContentType", "Files of this type are not taken.")
                .with("contentType", found))
        }
    }
}

/// A short text that differs for different bytes.
fn hash(bytes: &[u8]) -> String {
    let step = |sum: u64, b: &u8| (sum ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Puts the address of each row of a list in. `base` is the path of the list below `/api/v1/`.
pub(crate) fn add_urls(row: &mut Json, name: &str, base: impl FnOnce() -> String, id: &str, tail: &str) {
    let rows = list(row, name);
    if rows.is_empty() {
        return;
    }
    let base = base();
    let with_url = |mut item: Json| {
        let name = match item.get(id) {
            Some(Json::Str(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        if let Json::Obj(members) = &mut item {
            members.insert(0, ("url".to_owned(), format!("{base}/{name}{tail}").into()));
        }
        item
    };
    row.set(name, rows.into_iter().map(with_url).collect::<Vec<_>>().into());
}

/// The members of these names.
fn part(body: &Json, names: &[&str]) -> Json {
    let members = names.iter().filter_map(|name| Some(((*name).to_owned(), body.get(name)?.clone())));
    Json::Obj(members.collect())
}

impl World {
    fn host(&self) -> &str {
        self.flags.next_chunk_host.trim_end_matches('/')
    }

    /// Where the API has what belongs to an object.
    pub(crate) fn address_of(&self, role: Role, tail: &str) -> String {
        format!("{}/api/v1/{}/{tail}", self.host(), role.name())
    }

    /// The merchant adds a document to an outbound.
    pub(crate) fn attach(&mut self, n: usize, told: &Json, by: Actor) -> Outcome<usize> {
        let document = told.text("merchantDocumentId").unwrap_or_default().to_owned();
        if document.chars().any(|c| c == '/' || c.is_control()) {
            return Err(Fail::new(400, "Products_InvalidIdentifier", "The id is malformed.").with("Id", document));
        }
        let file = upload(told, false)?;
        let o = self.outbound(n)?;
        let id = format!("{}:{document}", o.id);
        let known = self.things.attachments.known(&id).and_then(|a| self.things.attachments.get(a));
        if known.is_some_and(|a| !a.record.deleted || !self.flags.switches.reuse_deleted_documents) {
            return Err(Fail::new(400, "Outbounds_DuplicateAttachmentId", "The id of the document is in use.")
                .with("MerchantDocumentId", document));
        }
        let life = i64::from(self.flags.switches.attachment_life_s).saturating_mul(1_000);
        let expires = self.clock.text(self.clock.now().saturating_add(life));
        let whole = obj([
            ("attachmentId", id.into()),
            ("outboundId", o.id.as_str().into()),
            ("merchantOutboundNumber", o.number.as_str().into()),
            ("data", file.data.into()),
            ("size", int(file.size)),
            ("mimeType", file.mime.into()),
            ("merchantDocumentId", document.into()),
            ("documentType", told.text("documentType").into()),
            ("expiredAt", expires.into()),
        ]);
        let row = part(&whole, &LISTED);
        let a = self.put(Kind::Attachments, whole, Some(n), by);
        if let Some(o) = self.outbounds.get_mut(n) {
            o.attachments.push(row);
        }
        self.touch(n, by, "Modified");
        Ok(a)
    }

    /// A document of an outbound that one can still have.
    pub(crate) fn attachment(&self, n: usize, role: Role, document: &str) -> Outcome<usize> {
        if role == Role::Fulfiller {
            self.check_relation(403)?;
        }
        let o = self.outbound(n)?;
        let fail = |status, code, text: &str| {
            Fail::new(status, code, text).with("MerchantDocumentId", document).with("OutboundId", o.id.as_str())
        };
        let missing = match role {
            Role::Merchant => "Outbounds_AttachmentNotFound",
            Role::Fulfiller => "Outbounds_OutboundAttachmentNotFound",
        };
        let found = self.things.attachments.known(&format!("{}:{document}", o.id));
        let Some((a, thing)) = found.and_then(|a| Some((a, self.things.attachments.get(a)?))) else {
            return Err(fail(404, missing, "The document was not found."));
        };
        if thing.record.deleted {
            return Err(fail(410, "Outbounds_OutboundAttachmentDeleted", "The document was deleted."));
        }
        Ok(a)
    }

    /// The whole document, as long as it is kept.
    pub(crate) fn attachment_data(&self, n: usize, role: Role, document: &str) -> Outcome {
        let body = &self.thing(Kind::Attachments, self.attachment(n, role, document)?)?.body;
        let until = body.text("expiredAt").and_then(clock::parse).map_or(i64::MAX, |at| at.timestamp_millis());
        if until <= self.clock.now() {
            let months = self.flags.switches.attachment_life_s / (30 * 86_400);
            return Err(Fail::new(
                410,
                "Outbounds_AttachmentIsNoLongerAvailable",
                "The document is not kept any more.",
            )
            .with("MerchantDocumentId", document)
            .with("OutboundAttachmentsExpireAfterMonth", months.to_string())
            .with("OutboundId", self.outbound(n)?.id.as_str()));
        }
        let row = part(body, &["data", "size", "mimeType", "merchantDocumentId", "documentType"]);
        Ok(Answer::json(200, row.to_string()))
    }

    /// The merchant deletes a document.
    pub(crate) fn detach(&mut self, n: usize, a: usize, by: Actor) {
        let document = self.thing(Kind::Attachments, a).map(|a| a.number.clone()).unwrap_or_default();
        self.bury(Kind::Attachments, a, by);
        if let Some(o) = self.outbounds.get_mut(n) {
            o.attachments.retain(|row| row.text("merchantDocumentId") != Some(&document));
        }
        self.touch(n, by, "Modified");
    }

    /// The document as the outbound lists it.
    pub(crate) fn attachment_row(&self, a: usize, role: Role) -> Json {
        let Ok(thing) = self.thing(Kind::Attachments, a) else { return Json::Null };
        let mut whole = obj([("attachments", vec![part(&thing.body, &LISTED)].into())]);
        let outbound = thing.body.text("outboundId").unwrap_or_default();
        let base = || self.address_of(role, &format!("outbounds/{outbound}/attachments"));
        add_urls(&mut whole, "attachments", base, "merchantDocumentId", "");
        list(&whole, "attachments").into_iter().next().unwrap_or(Json::Null)
    }

    /// The merchant adds a picture to a product.
    pub(crate) fn add_picture(&mut self, n: usize, told: &Json, by: Actor) -> Outcome<usize> {
        let product = self.thing(Kind::Products, n)?;
        let (jfsku, shown) = (product.id.clone(), list(&product.body, "pictures"));
        let file = upload(told, true)?;
        let used = |number: &Json| shown.iter().any(|p| p.get("number") == Some(number));
        let number = match told.get("number") {
            Some(number) => number.clone(),
            None => (1..=shown.len().saturating_add(1)).map(int).find(|number| !used(number)).unwrap_or(int(0)),
        };
        if used(&number) {
            return Err(Fail::new(400, "Products_PictureWithNumberAlreadyExists", "There is such a picture already.")
                .with("Jfsku", jfsku)
                .with("Number", number.to_string()));
        }
        let row = [("hash", file.hash.into()), ("size", int(file.size)), ("mimeType", file.mime.into())];
        let [hash, size, mime] = row.clone();
        let data = Json::from(file.data);
        let guid = [8, 4, 4, 4, 12].map(|count| self.hex(count)).join("-");
        let whole = obj([
            ("pictureId", guid.as_str().into()),
            ("picture", format!("{jfsku}:{number}").into()),
            ("jfsku", jfsku.into()),
            ("data", data),
            hash,
            size,
            mime,
            ("number", number.clone()),
        ]);
        let public = format!("{}/api/pictures/{guid}", self.host());
        let [hash, size, mime] = row;
        let row = obj([("number", number), ("publicUrl", public.into()), hash, size, mime]);
        let p = self.put(Kind::Pictures, whole, Some(n), by);
        self.alter(Kind::Products, n, by, |body| {
            let mut rows = list(body, "pictures");
            rows.push(row);
            body.set("pictures", rows.into());
        });
        Ok(p)
    }

    /// A picture of a product.
    pub(crate) fn picture(&self, n: usize, number: &str) -> Outcome<usize> {
        let jfsku = &self.thing(Kind::Products, n)?.id;
        let found = self.things.pictures.numbered(&format!("{jfsku}:{number}")).last();
        found.ok_or_else(|| {
            Fail::new(404, "Products_PictureNotFound", "The picture was not found.")
                .with("Jfsku", jfsku.as_str())
                .with("Number", number)
        })
    }

    /// A picture as a product lists it.
    pub(crate) fn picture_row(&self, n: usize, p: usize, role: Role) -> Json {
        let number = self.thing(Kind::Pictures, p).ok().and_then(|p| p.body.get("number").cloned());
        let rows = list(&self.show(Kind::Products, n, role, None), "pictures");
        rows.into_iter().find(|row| row.get("number") == number.as_ref()).unwrap_or(Json::Null)
    }

    /// A picture as JSON with its bytes.
    pub(crate) fn picture_data(&self, p: usize, role: Role) -> Outcome {
        self.picture_bytes(p, role)?;
        let row = part(&self.thing(Kind::Pictures, p)?.body, &["data", "hash", "size", "mimeType", "number"]);
        Ok(Answer::json(200, row.to_string()))
    }

    /// The bytes of a picture alone.
    pub(crate) fn picture_bytes(&self, p: usize, role: Role) -> Outcome {
        let body = &self.thing(Kind::Pictures, p)?.body;
        let bytes = body.text("data").and_then(|data| STANDARD.decode(data).ok());
        let mime = body.text("mimeType").unwrap_or_default();
        let mime = TYPES.iter().find(|(_, known)| *known == mime).map_or("application/octet-stream", |(_, mime)| mime);
        bytes.map(|bytes| Answer::bytes(mime, bytes)).ok_or_else(|| match role {
            Role::Fulfiller => Fail::new(404, "Shared_FileNotFound", "The file is missing.")
                .with("Filename", body.text("pictureId").unwrap_or_default()),
            Role::Merchant => Kind::Pictures.not_found(""),
        })
    }

    /// The merchant deletes a picture.
    pub(crate) fn remove_picture(&mut self, n: usize, p: usize, by: Actor) {
        let number = self.thing(Kind::Pictures, p).ok().and_then(|p| p.body.get("number").cloned());
        self.bury(Kind::Pictures, p, by);
        self.alter(Kind::Products, n, by, |body| {
            let mut rows = list(body, "pictures");
            rows.retain(|row| row.get("number") != number.as_ref());
            body.set("pictures", rows.into());
        });
    }
}
