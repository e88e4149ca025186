//! What must not be seen, and a look for it.

/// `sub`.
pub const SUBJECT: &str = "alice-of-wonderland";
/// A claim of one's own.
pub const TENANT: &str = "tenant-looking-glass";
/// What was granted.
pub const SCOPE: &str = "croquet:cheat";
/// An HMAC key, a password, a header.
pub const SECRET: &str = "a secret that is long enough for any HMAC, and then some: off with their heads";

/// Everything that must not be seen: what a token says, the token, its parts, and a secret in text or numbers.
pub fn secrets(tokens: &[&str]) -> Vec<String> {
    let bytes = format!("{:?}", SECRET.as_bytes());
    let mut all: Vec<String> = [SUBJECT, TENANT, SCOPE, &SECRET[..40], &bytes[1..60]].map(str::to_owned).into();
    for token in tokens {
        all.extend(token.split('.').filter(|part| part.len() > 8).map(str::to_owned));
    }
    all
}

/// None of it is in this text.
#[track_caller]
pub fn assert_clean(name: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!text.contains(secret.as_str()), "{name} shows {secret:?}: {text}");
    }
}
