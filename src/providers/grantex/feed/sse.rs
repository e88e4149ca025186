//! Bytes as they arrive → server-sent events (WHATWG HTML §9.2.6), each of bounded size.
//!
//! Our own, since the parsers there are keep as much as a server cares to send.

use bytes::{Buf as _, Bytes};

/// A line, and all the data of an event, may have so many bytes.
const MOST: usize = 64 * 1024;

/// What a stream of events is cut into.
#[derive(Debug, Default)]
pub(super) struct Events {
    input: Bytes,
    line: Vec<u8>,
    name: Vec<u8>,
    data: Option<Vec<u8>>,
    /// A line ended with a carriage return: a line feed right behind it is part of its end.
    after_return: bool,
    has_begun: bool,
}

/// One event: its name, and its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: Vec<u8>,
    pub(super) data: Vec<u8>,
}

/// A line or an event that is longer than any should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Events {
    /// What arrived next, once [`next`](Self::next) has nothing more to give.
    pub(super) fn arrived(&mut self, piece: Bytes) {
        self.input = piece;
    }

    /// The next event; `None` where more has to arrive first.
    pub(super) fn next(&mut self) -> Result<Option<Event>, TooLong> {
        loop {
            if std::mem::take(&mut self.after_return) {
                match self.input.first() {
                    Some(b'\n') => self.input.advance(1),
                    Some(_) => {}
                    None => self.after_return = true,
                }
            }
            let end = self.input.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = self.input.split_to(end.unwrap_or(self.input.len()));
            if self.line.len() + piece.len() > MOST {
                return Err(TooLong);
            }
            self.line.extend_from_slice(&piece);
            if end.is_none() {
                return Ok(None);
            }
            self.after_return = self.input.first() == Some(&b'\r');
            self.input.advance(1);
            let mut line = std::mem::take(&mut self.line);
            if !std::mem::replace(&mut self.has_begun, true) && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
            if let Some(event) = self.take(&line)? {
                return Ok(Some(event));
            }
        }
    }

    fn take(&mut self, line: &[u8]) -> Result<Option<Event>, TooLong> {
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            return Ok(self.data.take().map(|data| Event { name, data }));
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = value.to_vec(),
            b"data" => {
                let mut data = self.data.take().map_or_else(Vec::new, |mut data| {
                    data.push(b'\n');
                    data
                });
                data.extend_from_slice(value);
                if data.len() > MOST {
                    return Err(TooLong);
                }
                self.data = Some(data);
            }
            // Comments, whose field has no name; `id` and `retry`, which the feed has no use for.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All events of these pieces, and whether something was too long in the end.
    fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<(String, String)>, bool) {
        let (mut events, mut read) = (Events::default(), Vec::new());
        for piece in pieces {
            events.arrived(Bytes::copy_from_slice(piece));
            loop {
                match events.next() {
                    Ok(Some(Event { name, data })) => {
                        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                        read.push((text(&name), text(&data)));
                    }
                    Ok(None) => break,
                    Err(TooLong) => return (read, true),
                }
            }
        }
        (read, false)
    }

    fn events(text: &str) -> Vec<(String, String)> {
        let (events, is_too_long) = read([text.as_bytes()]);
        assert!(!is_too_long, "{text:?}");
        events
    }

    #[test]
    fn a_stream_is_cut_into_its_events() {
        let rows: [(&str, &[(&str, &str)]); 18] = [
            ("event: ready\ndata: {}\n\n", &[("ready", "{}")]),
            ("event: ready\r\ndata: {}\r\n\r\n", &[("ready", "{}")]),
            ("event: ready\rdata: {}\r\r", &[("ready", "{}")]),
            ("event:a\r\ndata:1\n\revent:b\n\ndata:2\r\n\r", &[("a", "1"), ("", "2")]),
            ("\u{feff}data: 1\n\ndata: 2\n\n", &[("", "1"), ("", "2")]),
            ("data: 1\n\n\u{feff}data: 2\n\n", &[("", "1")]),
            ("data: 1\n\u{feff}\ndata: 2\n\n", &[("", "1\n2")]),
            (": comment\n:\ndata: 1\n\n", &[("", "1")]),
            ("data: 1\ndata:2\ndata:  3\ndata\n\n", &[("", "1\n2\n 3\n")]),
            ("id: 7\nretry: 9\nother: x\ndata: 1\n\n", &[("", "1")]),
            ("event: a\nevent: b\ndata: 1\n\n", &[("b", "1")]),
            ("event: a\n\ndata: 1\n\n", &[("", "1")]),
            ("data\n\n", &[("", "")]),
            ("data\ndata:1\n\n", &[("", "\n1")]),
            ("datas: 1\n data: 2\n\n", &[]),
            ("data: a:b\n\n\n\n\n", &[("", "a:b")]),
            ("data: unfinished\n", &[]),
            ("", &[]),
        ];
        for (text, expected) in rows {
            let expected: Vec<_> =
                expected.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
            assert_eq!(events(text), expected, "{text:?}");
        }
    }

    #[test]
    fn no_line_and_no_event_is_longer_than_it_may_be_threat_20() {
        let line = |length: usize| format!("data:{}", "x".repeat(length - 5));
        assert_eq!(events(&format!("{}\n\n", line(MOST))).len(), 1);
        for bad in [line(MOST + 1), "x".repeat(MOST + 1), format!(":{}", "x".repeat(MOST))] {
            assert!(read([bad.as_bytes()]).1);
            assert!(read(bad.as_bytes().chunks(7)).1, "as it arrives, before its end is there");
        }
        let half = format!("data:{}\n", "x".repeat(MOST / 2));
        assert!(!read([half.as_bytes()]).1);
        assert!(read([half.repeat(2).as_bytes()]).1);
        assert!(read(["data\n".repeat(MOST).as_bytes(), "data: 1\n".repeat(MOST).as_bytes()]).1);
    }

    proptest! {
        #[test]
        fn however_it_is_split_it_says_the_same(
            text in "(event|data|:|: |\n|\r|\r\n|\u{feff}|x|é|\n\n){0,60}",
            cuts in prop::collection::vec(0_usize..200, 0..12),
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]);
            let whole = read([text.as_bytes()]);
            prop_assert_eq!(read(pieces), whole.clone());
            prop_assert_eq!(read(text.as_bytes().chunks(1)), whole);
        }

        #[test]
        fn whatever_arrives_is_read_and_nobody_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            read(bytes.chunks(3));
            read([&*bytes]);
        }
    }
}
