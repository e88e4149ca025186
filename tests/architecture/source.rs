//! The text of the sources → the paths that their code names.

use std::{fs, path::Path};

/// A source file of the library, without its comments, the contents of its strings, and its tests.
pub(crate) struct File {
    /// Where it is, below the root of the project.
    pub(crate) name: String,
    /// The top-level module that it belongs to.
    pub(crate) module: String,
    pub(crate) code: String,
    /// Every path in it with at least one `::` (groups written out), and every single name that is imported.
    pub(crate) paths: Vec<String>,
}

impl File {
    /// Whether a path goes through `prefix`, from its start on.
    pub(crate) fn names(&self, prefix: &str) -> bool {
        self.paths
            .iter()
            .any(|path| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
    }

    /// Whether the word stands anywhere in the code.
    pub(crate) fn says(&self, word: &str) -> bool {
        let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| is_word(*byte));
        let bytes = self.code.as_bytes();
        self.code.match_indices(word).any(|(at, _)| {
            let before = at.checked_sub(1).and_then(|before| bytes.get(before));
            !is_part(before) && !is_part(bytes.get(at + word.len()))
        })
    }
}

/// The files of `src/`.
pub(crate) fn library() -> Vec<File> {
    let files = all_files(&["src"]);
    // A test module in a file or folder of its own is no part of the library.
    let library = files.into_iter().filter(|(name, _)| !name.ends_with("/tests.rs") && !name.contains("/tests/"));
    library
        .map(|(name, text)| {
            let code = without_tests(&blanked(&text));
            let module = name["src/".len()..].split(['/', '.']).next().unwrap().to_owned();
            File { paths: paths(&code), name, module, code }
        })
        .collect()
}

/// Every Rust file below these folders, with its text.
pub(crate) fn all_files(folders: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open: Vec<_> = folders.iter().map(|folder| root.join(folder)).filter(|folder| folder.exists()).collect();
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What was built or installed there is not ours: `fuzz/target`, `node_modules`.
                if !path.ends_with("target") && !path.ends_with("node_modules") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The same text with blanks where comments and the contents of string and character literals were.
fn blanked(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    let mut at = 0;
    while at < out.len() {
        let rest = &text.as_bytes()[at..];
        let length = if rest.starts_with(b"//") {
            rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            text[at..].find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_string(text.as_bytes(), at) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            text[at + start..].find(&end).map_or(rest.len(), |length| start + length + end.len())
        } else if rest[0] == b'"' {
            literal(rest, b'"')
        } else if rest[0] == b'\'' && (rest.get(1) == Some(&b'\\') || rest.get(2) == Some(&b'\'')) {
            literal(rest, b'\'')
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        out[at..at + length].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at += length;
    }
    String::from_utf8(out).unwrap()
}

/// How many hashes a raw string begins with that begins here.
fn raw_string(text: &[u8], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).map(|before| text[before]);
    if text[at] != b'r' || before.is_some_and(|byte| is_word(byte) && byte != b'b') {
        return None;
    }
    let hashes = text[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    (text.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

/// The length of a literal, its quotes included.
fn literal(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The code up to its test module, which stands at the foot; a test module in a file of its own is only declared.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let item = lines.next().unwrap_or_default();
            if item.trim_end().ends_with(';') {
                continue;
            }
            assert!(item.starts_with("mod tests"), "a test item other than the module at the foot: {item}");
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// Every path in `code`, its groups written out.
fn paths(code: &str) -> Vec<String> {
    let bytes = code.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let is_import = code[..at].ends_with("use ");
        let mut reader = Reader { code, at, found: Vec::new() };
        reader.tree("");
        at = reader.at.max(at + 1);
        found.extend(reader.found.into_iter().filter(|path| is_import || path.contains("::")));
    }
    found
}

struct Reader<'c> {
    code: &'c str,
    at: usize,
    found: Vec<String>,
}

impl Reader<'_> {
    /// A path that goes on from `prefix`, with the groups that it may end in.
    fn tree(&mut self, prefix: &str) {
        let mut path = prefix.to_owned();
        loop {
            let name: String =
                self.code[self.at..].chars().take_while(|&char| char.is_alphanumeric() || char == '_').collect();
            self.at += name.len();
            path.push_str(&name);
            if !self.eat("::") {
                break;
            }
            if self.eat("{") {
                while !self.eat("}") {
                    self.blanks();
                    self.tree(&format!("{path}::"));
                    self.blanks();
                    if self.eat("as ") {
                        self.tree("");
                        self.found.pop();
                    }
                    assert!(self.eat(",") || self.code[self.at..].starts_with('}'), "a group of imports: {path}");
                    self.blanks();
                }
                return;
            }
            if !self.code[self.at..].starts_with(|next: char| next.is_alphanumeric() || next == '_') {
                // `::<`, `::*`
                self.eat("*");
                break;
            }
            path.push_str("::");
        }
        self.found.push(path);
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.code[self.at..].starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn blanks(&mut self) {
        self.at += self.code[self.at..].len() - self.code[self.at..].trim_start().len();
    }
}

#[test]
fn paths_are_found_in_whatever_form_they_are_written() {
    let text = r##"
//! [`crate::comment`]
use std::fmt;
use crate::{
    a::{B, c::{self, D as E}},
    f, // crate::comment
};
use bytes;
fn g(x: crate::h::I, y: &str) -> Vec<j::K> {
    let quoted = ("crate::string \" still", r#"crate::raw " still"#, '"', b'"', '\'', "https://x");
    y.parse::<crate::l::M>().n::<'static>(tokio::spawn(o)); /* crate::block */
}
#[cfg(test)]
mod tests;
use z::Last;
#[cfg(test)]
mod tests {
    use crate::test;
}
"##;
    let code = without_tests(&blanked(text));
    let expected = "std::fmt crate::a::B crate::a::c::self crate::a::c::D crate::f bytes crate::h::I j::K \
                    crate::l::M tokio::spawn z::Last";
    assert_eq!(paths(&code).join(" "), expected);
}
