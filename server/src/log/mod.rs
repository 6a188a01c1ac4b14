//! The error log (`error`), where the runtime's events arrive too (`events`), and access logs (`access`: `format` is a
//! compiled LogFormat, `line` writes by it). `sink` is where lines go: a file, a program (`piped`) or syslog (`syslog`);
//! `losses` are those that did not arrive.

pub(crate) mod access;
pub(crate) mod error;
mod events;
pub(crate) mod format;
pub(crate) mod line;
mod losses;
mod piped;
mod sink;
mod syslog;

pub(crate) use error::{Level, write, write_about};

/// Appends `text` as Apache does, so that nothing in it can end the line or steer a terminal.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b' '..=b'~' => out.push(*byte),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x0b => out.extend_from_slice(b"\\v"),
            other => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\x");
                out.push(HEX[usize::from(other >> 4)]);
                out.push(HEX[usize::from(other & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_byte_of_a_client_is_written_raw_unless_it_is_harmless() {
        let all: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        super::escape(&all, &mut out);
        assert!(out.iter().all(|b| (b' '..=b'~').contains(b)));
        let mut out = Vec::new();
        super::escape(b"a\"\\\n\t\x01\xff", &mut out);
        assert_eq!(out, br#"a\"\\\n\t\x01\xff"#);
    }
}
