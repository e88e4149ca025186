//! A request's raw path → usable, or ambiguous: one that a server behind us might read as another.
//!
//! Only for tables on raw paths. A router that has already matched the request shares its reading with the table.

/// How a path can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As it stands.
    Plain,
    /// Something in it is encoded, and decodes to nothing that would divide it otherwise.
    Encoded,
    /// In more than one way.
    Ambiguous,
}

/// Whether routers and file servers could disagree on what this path means (RFC 3986 §6.2).
pub(super) fn is_ambiguous(path: &str) -> bool {
    reading(path) == Reading::Ambiguous
}

/// How routers and file servers read this path (RFC 3986 §6.2).
///
/// Ambiguous are repeated slashes, dot segments, backslashes, path parameters (`;`), an encoded slash, backslash or NUL,
/// an encoding of a character that needs none, a malformed one, one of what is not UTF-8, and no leading slash.
pub(super) fn reading(path: &str) -> Reading {
    let Some((b'/', rest)) = path.as_bytes().split_first() else { return Reading::Ambiguous };
    // Of the segment so far: how many bytes, and whether all of them are dots.
    let (mut length, mut is_dots) = (0_usize, true);
    let mut is_encoded = false;
    for &byte in rest {
        match byte {
            b'/' if length == 0 || is_dots && length <= 2 => return Reading::Ambiguous,
            b'/' => (length, is_dots) = (0, true),
            b'\\' | b';' | 0..=0x20 | 0x7f.. => return Reading::Ambiguous,
            _ => {
                length += 1;
                is_dots &= byte == b'.';
                is_encoded |= byte == b'%';
            }
        }
    }
    // A trailing slash leaves one empty segment at the end.
    if is_dots && matches!(length, 1 | 2) || is_encoded && has_suspicious_encoding(path.as_bytes()) {
        return Reading::Ambiguous;
    }
    if is_encoded { Reading::Encoded } else { Reading::Plain }
}

fn has_suspicious_encoding(path: &[u8]) -> bool {
    let digit = |at: usize| path.get(at).and_then(|&byte| char::from(byte).to_digit(16)?.try_into().ok());
    let mut decoded = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        if byte != b'%' {
            decoded.push(byte);
            at += 1;
            continue;
        }
        let code: Option<u8> = digit(at + 1).zip(digit(at + 2)).map(|(high, low): (u8, u8)| high * 16 + low);
        match code {
            None => return true,
            // `%25` may be decoded twice into any of the others.
            Some(b'/' | b'\\' | b';' | b'%' | 0..=0x1f | 0x7f) => return true,
            Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => return true,
            Some(byte) => decoded.push(byte),
        }
        at += 3;
    }
    // Overlong UTF-8, which lax decoders read as a dot or a slash (RFC 3629 §10).
    str::from_utf8(&decoded).is_err()
}

/// The path as a service behind us might read it: decoded; `None` where nothing in it is encoded.
pub(super) fn decoded(path: &str) -> Option<String> {
    let (start, encoded) = path.split_once('%')?;
    let mut bytes = start.as_bytes().to_vec();
    for part in encoded.split('%') {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// A pattern without the names of its parameters: `/a/{id}/{*rest}` becomes `/a/{}/{*}`.
pub(super) fn without_names(pattern: &str) -> String {
    let mut shape = String::with_capacity(pattern.len());
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        shape.push(character);
        match (character, characters.peek()) {
            // A doubled brace is a brace.
            ('{', Some('{')) => shape.extend(characters.next()),
            ('{', next) => {
                if next == Some(&'*') {
                    shape.push('*');
                }
                while characters.next_if(|&character| character != '}').is_some() {}
            }
            _ => {}
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_the_same_by_any_name() {
        for (pattern, shape) in [
            ("/a/{id}/b", "/a/{}/b"),
            ("/{x}/{*rest}", "/{}/{*}"),
            ("/{{a}}/{b}", "/{{a}}/{}"),
            ("/plain", "/plain"),
            ("/é/{ü}", "/é/{}"),
        ] {
            assert_eq!(without_names(pattern), shape);
        }
    }

    /// What ambiguity means of a path without encodings, in the plainest words.
    fn is_ambiguous_in_words(path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').collect();
        !path.starts_with('/')
            || segments.get(1..segments.len() - 1).is_some_and(|inner| inner.contains(&""))
            || segments.iter().any(|segment| matches!(*segment, "." | ".."))
            || path.contains(['\\', ';', ' ', '\u{7f}', 'é'])
    }

    #[test]
    fn every_short_path_is_read_as_its_words_say_threat_9() {
        let characters = ['/', '.', 'a', '~', '\\', ';', ' ', '\u{7f}', 'é'];
        let mut paths = vec![String::new()];
        for _ in 0..6 {
            let longer = paths.iter().flat_map(|path| characters.map(|character| format!("{path}{character}")));
            paths = longer.collect();
            for path in &paths {
                assert_eq!(is_ambiguous(path), is_ambiguous_in_words(path), "{path:?}");
            }
        }
    }

    #[test]
    fn a_path_is_decoded_once() {
        for (path, meant) in [
            ("/a%3Ab", Some("/a:b")),
            ("/caf%C3%A9", Some("/café")),
            ("/caf%c3%a9", Some("/café")),
            ("/a", None),
            ("/%zz", None),
        ] {
            assert_eq!(decoded(path).as_deref(), meant);
        }
    }

    #[test]
    fn a_path_that_could_be_read_two_ways_is_ambiguous_threat_9() {
        for path in [
            "",
            "*",
            "a",
            "admin",
            "//admin",
            "/admin//",
            "/a//b",
            "/.",
            "/..",
            "/a/./b",
            "/a/../admin",
            "/a/..",
            "/%2e/admin",
            "/%2E%2e/admin",
            "/a%2Fb",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/admin;x=1",
            "/admin%3Bx",
            "/%61dmin",
            "/admin%00",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%252e%252e/admin",
            "/admin%0a",
            "/adm\u{e9}n",
            "/admin ",
            "/a%7Eb",
            "/%c0%ae%c0%ae/x",
            "/%e0%80%af",
            "/%ff",
            "/%C3",
        ] {
            assert!(is_ambiguous(path), "{path:?}");
        }
        for path in
            ["/", "/admin", "/admin/", "/a/b.c", "/a/...", "/a/..b", "/caf%C3%A9", "/a%20b", "/a:b@c,d", "/~me", "/A"]
        {
            assert!(!is_ambiguous(path), "{path:?}");
            assert_eq!(reading(path) == Reading::Encoded, path.contains('%'), "{path:?}");
        }
    }
}
