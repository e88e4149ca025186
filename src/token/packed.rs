//! The texts of a token → one buffer with all of them behind one another, and each of them again.
//!
//! A service keeps a million verified tokens; a box for each text of each of them would take more than the texts.

/// How many texts and lists of texts there can be.
const PARTS: usize = 10;

/// Texts and lists of texts, known by the place at which they were put in.
#[derive(Clone)]
pub(super) struct Packed {
    text: Box<str>,
    /// Where each part ends and the next one begins.
    ends: [u32; PARTS],
    /// A bit for each part that is there; another may be empty.
    there: u16,
}

/// A [`Packed`] that is not complete yet.
pub(super) struct Packing {
    text: Vec<u8>,
    ends: [u32; PARTS],
    count: usize,
    there: u16,
}

impl Packing {
    /// With room for that many bytes, and for the length of each text in a list: [`room_for`].
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes), ends: [0; PARTS], count: 0, there: 0 }
    }

    /// Puts the next part in, or notes that it is not there.
    pub(super) fn push(&mut self, part: Option<&[u8]>) {
        if let Some(part) = part {
            self.text.extend_from_slice(part);
            self.there |= 1 << self.count;
        }
        self.end_part();
    }

    /// Puts a list in as the next part.
    pub(super) fn push_list<'i>(&mut self, items: impl Iterator<Item = &'i str>) {
        for item in items {
            let mut length = item.len();
            while length >= 64 {
                self.text.push(low_bits(length) | MORE);
                length >>= 6;
            }
            self.text.push(low_bits(length));
            self.text.extend_from_slice(item.as_bytes());
        }
        self.end_part();
    }

    fn end_part(&mut self) {
        // A token of 4 GiB would be cut there, and then be nobody's.
        let end = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.ends.iter_mut().skip(self.count).for_each(|later| *later = end);
        self.count += 1;
    }

    /// None where it is not UTF-8.
    pub(super) fn finish(self) -> Option<Packed> {
        let text = String::from_utf8(self.text).ok()?.into_boxed_str();
        Some(Packed { text, ends: self.ends, there: self.there })
    }
}

/// The mark on every digit of a length but the last: digits of six bits, the lowest first, so that they are ASCII.
const MORE: u8 = 64;

fn low_bits(length: usize) -> u8 {
    u8::try_from(length & 63).unwrap_or_default()
}

/// How many bytes an item of a list takes.
pub(super) fn room_for(item: &str) -> usize {
    let digits = (usize::BITS - item.len().leading_zeros()).div_ceil(6).max(1);
    item.len().saturating_add(usize::try_from(digits).unwrap_or_default())
}

impl Packed {
    /// The part that was put in first, which every request looks at.
    pub(super) fn first_bytes(&self) -> &[u8] {
        let [end, ..] = self.ends;
        usize::try_from(end).ok().and_then(|end| self.text.as_bytes().get(..end)).unwrap_or_default()
    }

    /// The part at that place, where it is there.
    pub(super) fn get(&self, place: usize) -> Option<&str> {
        (self.there & (1 << place) != 0).then(|| self.part(place))
    }

    /// The texts of the list at that place.
    pub(super) fn list(&self, place: usize) -> Texts<'_> {
        Texts(self.part(place))
    }

    fn part(&self, place: usize) -> &str {
        let at = |place: usize| self.ends.get(place).and_then(|&end| usize::try_from(end).ok());
        let start = place.checked_sub(1).map_or(Some(0), at);
        start.zip(at(place)).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }

    /// How many bytes the buffer has.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }
}

/// The texts of a list.
#[derive(Clone)]
pub(super) struct Texts<'p>(&'p str);

impl<'p> Iterator for Texts<'p> {
    type Item = &'p str;

    fn next(&mut self) -> Option<&'p str> {
        let mut length = 0_usize;
        for (place, &digit) in self.0.as_bytes().iter().enumerate() {
            length |= usize::from(digit & (MORE - 1)).checked_shl(u32::try_from(place).ok()? * 6)?;
            if digit & MORE == 0 {
                let (item, rest) = self.0.get(place + 1..)?.split_at_checked(length)?;
                self.0 = rest;
                return Some(item);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out() {
        let long = "é".repeat(5000);
        let lists: [&[&str]; 5] = [&[], &[""], &["a", "", "\u{0}b", &long], &["é", "x"], &[&long, &long[..126], "~"]];
        for list in lists {
            let room = 8 + long.len() + list.iter().map(|item| room_for(item)).sum::<usize>();
            let mut packing = Packing::with_capacity(room);
            packing.push(Some(b"text"));
            packing.push(None);
            packing.push(Some(b""));
            packing.push_list(list.iter().copied());
            packing.push(Some(long.as_bytes()));
            packing.push(Some(b"last"));
            assert_eq!(packing.text.len(), room, "no byte more than was asked for");
            let packed = packing.finish().unwrap();
            assert_eq!(packed.list(3).collect::<Vec<_>>(), list);
            let parts = [0, 1, 2, 4, 5, 6, 9, 10].map(|place| packed.get(place));
            assert_eq!(parts, [Some("text"), None, Some(""), Some(&*long), Some("last"), None, None, None]);
        }
        let mut packing = Packing::with_capacity(1);
        packing.push(Some(b"\xff"));
        assert!(packing.finish().is_none());
    }

    #[test]
    fn lengths_of_every_size_are_read_back() {
        for length in (0..200).chain([4095, 4096, 4097, 262_143, 262_144, 300_000]) {
            let item = "x".repeat(length);
            let mut packing = Packing::with_capacity(room_for(&item) + 2);
            packing.push_list([&*item, "y"].into_iter());
            assert_eq!(packing.text.len(), room_for(&item) + 2, "{length}");
            let packed = packing.finish().unwrap();
            assert!(packed.list(0).eq([&*item, "y"]), "{length}");
        }
    }
}
