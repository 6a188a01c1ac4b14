//! The error log (`error`), where the runtime's events arrive too (`events`), and access logs (`access`, with their
//! compiled `format`).

pub(crate) mod access;
pub(crate) mod error;
mod events;
mod format;

pub(crate) use error::{Level, write};

/// Appends `text` so that nothing in it can end the line or steer a terminal.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b' '..=b'~' => out.push(*byte),
            other => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\x");
                out.push(HEX[usize::from(other >> 4)]);
                out.push(HEX[usize::from(other & 15)]);
            }
        }
    }
}
