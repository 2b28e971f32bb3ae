//! The patterns that texts in commands follow, each with the sentence a person gets when a text does not
//! (contract 4, 9, 10.2). They are written for ECMA-262 and for Rust alike, so that every validator reads them the same.

/// One line: no line break, may be empty.
pub(super) const ONE_LINE: &str = r"^[^\r\n]*$";
/// An id that stands in a URL's path: one line, and neither `.` nor `..`, which a URL swallows.
pub(super) const PATH_ID: &str = r"^(?!\.{1,2}$)[^\r\n]*$";
/// FFN's id of a product: owner, type code 01, five more (contract 9).
pub(super) const JFSKU: &str = r"^[A-Z0-9]{4}01[A-Z0-9]{5}$";
/// An outbound id chosen by the merchant: own user id, type code 02, 7 to 16 characters in all (contract 9).
pub(super) const OWN_OUTBOUND_ID: &str = r"^[a-zA-Z0-9]{4}02[a-zA-Z0-9]{1,10}$";
/// A delivery's id chosen by the merchant, with type code 03 (contract 9).
pub(super) const OWN_INBOUND_ID: &str = r"^[a-zA-Z0-9]{4}03[a-zA-Z0-9]{1,10}$";
/// The id of a delivery's shipping notification chosen by the merchant, with type code 07 (contract 9).
pub(super) const OWN_INBOUND_SHIPMENT_ID: &str = r"^[a-zA-Z0-9]{4}07[a-zA-Z0-9]{1,10}$";
/// FFN's id of a merchant or a fulfiller (contract 9), in either case.
pub(super) const USER_ID: &str = r"^[A-Za-z0-9]{4}$";
/// Hours and minutes, `HH:mm` (contract 4).
pub(super) const TIME_OF_DAY: &str = r"^([01][0-9]|2[0-3]):[0-5][0-9]$";
/// ISO 3166 alpha-2.
pub(super) const COUNTRY: &str = r"^[A-Za-z]{2}$";
/// ISO 4217.
pub(super) const CURRENCY: &str = r"^[A-Za-z]{3}$";

/// What a text has to look like, for a person; `None` for a pattern that is not ours.
pub(super) fn explain(pattern: &str) -> Option<&'static str> {
    Some(match pattern {
        ONE_LINE => "must be one line, without line breaks",
        PATH_ID => "must be one line, and not \".\" or \"..\"",
        JFSKU => "must be an 11 character JFSKU like ACME01A1B2C",
        OWN_OUTBOUND_ID => "must be your user id, then 02, then 1 to 10 letters or digits, like ACME02K7Q2",
        OWN_INBOUND_ID => "must be your user id, then 03, then 1 to 10 letters or digits, like ACME03P4T1",
        OWN_INBOUND_SHIPMENT_ID => "must be your user id, then 07, then 1 to 10 letters or digits, like ACME07C2L9",
        USER_ID => "must be a user id of 4 letters or digits, like WARE",
        TIME_OF_DAY => "must be a time of day as HH:mm, like 14:30",
        COUNTRY => "must be a country of 2 letters, like DE (ISO 3166)",
        CURRENCY => "must be a currency of 3 letters, like EUR (ISO 4217)",
        _ => return None,
    })
}

/// What a format asks for, for a person.
pub(super) fn explain_format(format: &str) -> String {
    match format {
        "date-time" => "must be a date and time with offset, like 2026-01-05T08:00:00Z".to_owned(),
        other => format!("must be a valid {other}"),
    }
}

/// At most `limit` characters of a text that came from outside, without control characters.
pub(super) fn clip(text: &str, limit: usize) -> String {
    let mut clipped: String =
        text.chars().take(limit).map(|character| if character.is_control() { ' ' } else { character }).collect();
    if text.chars().nth(limit).is_some() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_clipped_at_characters_and_not_at_bytes() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöüß", 3), "äöü…");
        assert_eq!(clip("a\nb", 9), "a b");
    }
}
