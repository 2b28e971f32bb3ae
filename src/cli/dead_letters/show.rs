//! All that is known of one dead letter.

use std::io::{self, Write};

use serde_json::value::RawValue;

use super::{clean, line};
use crate::broker::Delivery;
use crate::commands::dead_letters::DeadLetter;

pub(super) fn show(delivery: &Delivery, letter: &DeadLetter) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{}", line(letter))?;
    let properties = [
        ("routing key", Some(delivery.routing_key())),
        ("message_id", delivery.message_id()),
        ("correlation_id", delivery.correlation_id()),
        ("reply_to", delivery.reply_to()),
        ("content_type", delivery.content_type()),
        ("type", delivery.message_type()),
    ];
    for (name, value) in properties {
        if let Some(value) = value {
            writeln!(output, "{name}: {}", clean(value))?;
        }
    }
    writeln!(output, "headers:")?;
    for (name, value) in delivery.headers() {
        writeln!(output, "  {}: {}", clean(&name), clean(&value))?;
    }
    writeln!(output, "body, {} bytes:", letter.size)?;
    match serde_json::from_slice::<&RawValue>(delivery.body()) {
        Ok(body) => writeln!(output, "{}", pretty(body.get()))?,
        Err(_) => {
            let text = String::from_utf8_lossy(delivery.body());
            text.lines().try_for_each(|line| writeln!(output, "{}", clean(line)))?;
        }
    }
    output.flush()
}

/// JSON with line breaks, every digit and every name as it came; the text has to be JSON.
fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth: usize = 0;
    let (mut in_string, mut escaped) = (false, false);
    let mut characters = json.chars().filter(|character| !character.is_control()).peekable();
    let break_line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(character) = characters.next() {
        if in_string {
            text.push(character);
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        match character {
            ' ' => {}
            '{' | '[' => {
                text.push(character);
                while characters.next_if_eq(&' ').is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    break_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut text, depth);
                text.push(character);
            }
            ',' => {
                text.push(character);
                break_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => {
                in_string = character == '"';
                text.push(character);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_keeps_every_digit_and_name() {
        let body = "{\"a\":1.50,\"b\\\"{\" : [ ],\n\"c\":[1e400,{\"d\":\"x, y\"}],\"a\":{}}";
        let expected = "{\n  \"a\": 1.50,\n  \"b\\\"{\": [],\n  \"c\": [\n    1e400,\n    {\n      \"d\": \"x, y\"\n    }\n  ],\n  \"a\": {}\n}";
        assert_eq!(pretty(body), expected);
    }

    #[test]
    fn what_a_terminal_would_act_on_is_left_out() {
        assert_eq!(pretty("\"a\u{9b}31mb\""), "\"a31mb\"");
    }
}
