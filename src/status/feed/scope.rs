//! An event → the same, if the feed may speak of it: one issuer's feed revokes nobody else's tokens.

use crate::status::RevocationEvent;

/// The event in the name of `issuer`, whose feed said it; with no issuer, the feed speaks for all. Nothing where it is
/// about tokens of another. A token of which only the text is known is refused where it is theirs.
pub(super) fn within(issuer: Option<&str>, event: RevocationEvent) -> Option<RevocationEvent> {
    let Some(issuer) = issuer else { return Some(event) };
    match event.about().issuer_identifier() {
        None => Some(event.map(|about| about.of_issuer(issuer))),
        Some(other) => (other == issuer).then_some(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::UnixTime, status::Revocation};

    #[test]
    fn a_feed_of_one_issuer_speaks_of_its_tokens_alone_threat_27() {
        let (up_to, end) = (UnixTime::from_secs(5), UnixTime::from_secs(9));
        let about = |issuer| Revocation::subject(issuer, "u", up_to).expires_at(end).revoked_at(up_to);
        let mine = RevocationEvent::Suspended(about(Some("a")));
        let rows = [
            (None, RevocationEvent::Revoked(about(Some("b"))), Some(RevocationEvent::Revoked(about(Some("b"))))),
            (None, RevocationEvent::Revoked(about(None)), Some(RevocationEvent::Revoked(about(None)))),
            (Some("a"), mine.clone(), Some(mine.clone())),
            (Some("a"), RevocationEvent::Suspended(about(None)), Some(mine)),
            (Some("a"), RevocationEvent::Resumed(about(None)), Some(RevocationEvent::Resumed(about(Some("a"))))),
            (Some("a"), RevocationEvent::Revoked(about(Some("b"))), None),
            (Some("a"), RevocationEvent::Resumed(about(Some("b"))), None),
            (
                Some("a"),
                RevocationEvent::Revoked(Revocation::token("t")),
                Some(RevocationEvent::Revoked(Revocation::token("t").of_issuer("a"))),
            ),
        ];
        for (issuer, event, expected) in rows {
            assert_eq!(within(issuer, event.clone()), expected, "{issuer:?} {event:?}");
        }
    }
}
