//! `WWW-Authenticate` values of an answer → whether a Bearer challenge among them says `invalid_token` (RFC 9110 §11.6.1,
//! RFC 6750 §3.1).
//!
//! A value may hold several challenges, and a challenge parameters with commas in quotes, or one `token68`:
//!
//! ```text
//! challenge   = token [ 1*SP ( token68 / [ parameter *( OWS "," OWS parameter ) ] ) ]
//! parameter   = token OWS "=" OWS ( token / quoted-string )
//! ```

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};

/// More values than anybody sends, and longer ones, say nothing.
const MOST_VALUES: usize = 16;
const LONGEST_VALUE: usize = 8 * 1024;

/// Whether the token was refused as such: expired, revoked, or otherwise invalid. A value that is not well formed says
/// nothing; nor does a challenge that gives two errors.
pub(crate) fn says_invalid_token(headers: &HeaderMap) -> bool {
    headers.get_all(WWW_AUTHENTICATE).iter().take(MOST_VALUES).any(is_invalid_token)
}

fn is_invalid_token(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let challenges = if bytes.len() > LONGEST_VALUE { None } else { Reader { rest: bytes }.challenges() };
    challenges.is_some_and(|found| found.iter().any(|challenge| challenge.is_bearer && challenge.is_invalid_token()))
}

/// What counts of one challenge.
#[derive(Default)]
struct Received {
    is_bearer: bool,
    errors: usize,
    invalid_tokens: usize,
}

impl Received {
    const fn is_invalid_token(&self) -> bool {
        self.errors == 1 && self.invalid_tokens == 1
    }
}

/// What is still to be read of a value.
struct Reader<'v> {
    rest: &'v [u8],
}

impl<'v> Reader<'v> {
    /// All challenges; `None` where the value is not a list of them.
    fn challenges(mut self) -> Option<Vec<Received>> {
        let mut found: Vec<Received> = Vec::new();
        loop {
            // Elements of a list may be empty.
            self.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
            if self.rest.is_empty() {
                return Some(found);
            }
            let name = self.some(is_of_token)?;
            let before = self.rest;
            self.skip(is_space);
            if self.take(b'=') {
                let value = self.value()?;
                let challenge = found.last_mut()?;
                if name.eq_ignore_ascii_case(b"error") {
                    challenge.errors += 1;
                    challenge.invalid_tokens += usize::from(value == b"invalid_token");
                }
            } else {
                self.rest = before;
                found.push(Received { is_bearer: name.eq_ignore_ascii_case(b"bearer"), ..Received::default() });
                if self.begins_parameters() {
                    continue;
                }
            }
            self.skip(is_space);
            if !self.rest.is_empty() && !self.take(b',') {
                return None;
            }
        }
    }

    /// Behind a scheme: whether its first parameter follows. A `token68` is passed over.
    fn begins_parameters(&mut self) -> bool {
        let before = self.rest;
        self.skip(is_space);
        if self.rest.len() == before.len() || self.rest.first().is_none_or(|byte| *byte == b',') {
            return false;
        }
        let start = self.rest;
        self.skip(is_of_token68);
        self.skip(|byte| byte == b'=');
        self.skip(is_space);
        let is_token68 = self.rest.is_empty() || self.rest.first() == Some(&b',');
        if !is_token68 {
            self.rest = start;
        }
        !is_token68
    }

    /// A token, or a quoted string without its quotes and escapes.
    fn value(&mut self) -> Option<Vec<u8>> {
        self.skip(is_space);
        if !self.take(b'"') {
            return self.some(is_of_token).map(<[u8]>::to_vec);
        }
        let mut value = Vec::new();
        loop {
            let (first, rest) = self.rest.split_first()?;
            self.rest = rest;
            match first {
                b'"' => return Some(value),
                b'\\' => {
                    let (escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    value.push(*escaped);
                }
                other => value.push(*other),
            }
        }
    }

    fn take(&mut self, wanted: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn skip(&mut self, belongs: impl Fn(u8) -> bool) {
        self.run(belongs);
    }

    /// At least one of these.
    fn some(&mut self, belongs: impl Fn(u8) -> bool) -> Option<&'v [u8]> {
        Some(self.run(belongs)).filter(|run| !run.is_empty())
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &'v [u8] {
        let length = self.rest.iter().position(|byte| !belongs(*byte)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(length);
        self.rest = rest;
        run
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_of_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        says_invalid_token(&headers)
    }

    #[test]
    fn only_a_bearer_challenge_with_that_error_says_that_the_token_is_invalid() {
        for yes in [
            &[r#"Bearer error="invalid_token""#][..],
            &["Bearer error=invalid_token"],
            &["bEARER ERROR = \"invalid_token\""],
            &["Bearer\terror\t=\tinvalid_token"],
            &[r#"Bearer realm="a, b", error="invalid_token", error_description="over, \"long\" ago\\""#],
            &[r#"Bearer realm=",Basic x=", error="invalid_\token""#],
            &[r#"Basic realm="x", Bearer error="invalid_token""#],
            &[r#"Bearer error="invalid_token", Basic realm="x""#],
            &[r#"Negotiate, Bearer error="invalid_token""#],
            &[r#"Negotiate YWJj/+==, Bearer error="invalid_token""#],
            &[r#"Negotiate YWJj , Bearer error="invalid_token""#],
            &[r#"NTLM a=, Bearer error="invalid_token""#],
            &[r#", ,Bearer , ,error="invalid_token", ,"#],
            &["Basic", "DPoP algs=\"ES256\"", "Bearer error=\"invalid_token\""],
            &["\"not a challenge", "Bearer error=\"invalid_token\""],
            &[r#"Bearer realm="x", Bearer error="invalid_token""#],
            &[r#"Bearer error="invalid_token", error_description="é""#],
            &[r#"Bearer realm="", error="invalid_token""#],
        ] {
            assert!(says(yes), "{yes:?}");
        }
    }

    #[test]
    fn nothing_else_does() {
        for no in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer realm=\"x\""],
            &[r#"Bearer error="insufficient_scope""#],
            &[r#"Bearer error="Invalid_Token""#],
            &[r#"Bearer error="invalid_token ""#],
            &[r#"Bearer error="""#],
            &[r#"DPoP error="invalid_token""#],
            &[r#"Bearer realm="x", DPoP error="invalid_token""#],
            &[r#"DPoP realm="x", error="invalid_token", Bearer"#],
            &[r#"Bearer error_description="error=invalid_token""#],
            &[r#"Bearer realm="\", error=\"invalid_token""#],
            &[r#"Basic realm="Bearer error=invalid_token""#],
            &[r#"Bearer error="invalid_token", error="invalid_token""#],
            &[r#"Bearer error="invalid_request", error="invalid_token""#],
            &[r#"error="invalid_token""#],
            &[r#"="invalid_token""#],
            &[r#"Bearer error="invalid_token"#],
            &[r#"Bearer error="invalid_token\"#],
            &[r#"Bearer error="invalid_token" error_description="x""#],
            &[r#"Bearer error="invalid_token"x"#],
            &[r#"Bearer error="#],
            &[r#"Bearer error=,invalid_token"#],
            &[r#"Bearer @, error="invalid_token""#],
            &["Bearer invalid_token"],
            &[r#"Bearererror="invalid_token""#],
            &["Bearer\u{a0}error=invalid_token"],
        ] {
            assert!(!says(no), "{no:?}");
        }
    }

    #[test]
    fn what_is_too_long_says_nothing_threat_22() {
        let error = "Bearer error=invalid_token";
        assert!(says(&[&format!("{error}{}", ",".repeat(LONGEST_VALUE - error.len()))]));
        assert!(!says(&[&format!("{error}{}", ",".repeat(LONGEST_VALUE - error.len() + 1))]));
        let among = |others: usize| {
            let mut values = vec!["Basic"; others];
            values.push(error);
            says(&values)
        };
        assert!(among(MOST_VALUES - 1));
        assert!(!among(MOST_VALUES));
    }
}
