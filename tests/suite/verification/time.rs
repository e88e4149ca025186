//! A token's life: from `nbf` to before `exp`, not issued tomorrow, by the wall clock.

use std::time::Duration;

use portcullis::{
    Issuer,
    clock::UnixTime,
    testing::{ManualClock, TokenBuilder},
    token::TokenError::{self, Expired, IssuedInFuture, MissingClaim, NotYetValid, TooOld},
};
use serde_json::Value;

use super::{Refusal, check, good, judge};
use crate::support::World;

const START: u64 = ManualClock::START.as_secs();
const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test]
async fn a_time_of_the_wrong_type_is_never_an_absent_one_threat_2() {
    let world = World::new().await;
    for (name, later) in [("exp", 600), ("nbf", 0), ("iat", 0)] {
        let time = START + later;
        let token = |value: &str| {
            let members = r#""iss":"https://issuer.test","aud":"https://api.example""#;
            let exp = if name == "exp" { String::new() } else { format!(r#","exp":{}"#, START + 600) };
            good(&world).raw_payload(format!(r#"{{{members}{exp},"{name}":{value}}}"#)).build()
        };
        let right = [time.to_string(), format!("{time}.0"), format!("{time}.75"), format!("{}e-1", time * 10)];
        let wrong = [
            format!("\"{time}\""),
            format!("[{time}]"),
            format!("{{\"$numberLong\":{time}}}"),
            "true".into(),
            "false".into(),
            "null".into(),
            "\"\"".into(),
            "\"never\"".into(),
            "-1".into(),
            format!("-{time}"),
            "-0.5".into(),
            "1e400".into(),
            "-1e400".into(),
            "1e300".into(),
            "18446744073709551616".into(),
            "NaN".into(),
            "Infinity".into(),
        ];
        let accepted = right.iter().map(|value| (value.as_str(), token(value), Ok(())));
        // The clocks may disagree by half a minute: a fraction of the second that is now is no matter.
        check(&world, accepted).await;
        let refused = Err(TokenError::ClaimType(name));
        check(&world, wrong.iter().map(|value| (value.as_str(), token(value), refused))).await;
    }
}

/// When the wall clock shows so many seconds after the start, a token made by `token` comes to this.
type Moment = (i64, Result<(), TokenError>);

/// Judges one token at each moment, by a wall clock that is set, so that no keys come due.
async fn at(world: &World, token: &TokenBuilder, moments: &[Moment]) {
    let token = token.build();
    for &(moment, expected) in moments {
        world.clock.step_wall_to(UnixTime::from_secs(START.saturating_add_signed(moment)));
        let verdict = judge(world, &token).await.map(|_| ());
        assert_eq!(verdict, expected.map_err(Refusal::Token), "at {moment}");
    }
}

/// A token without times but these, counted from the start.
fn timed(world: &World, times: &[(&str, u64)]) -> TokenBuilder {
    let token = good(world).without_claim("iat").without_claim("exp");
    times.iter().fold(token, |token, &(name, time)| token.claim(name, START + time))
}

async fn with_leeway(leeway: Duration) -> World {
    World::with(|issuer| issuer.leeway(leeway), |builder| builder).await
}

#[tokio::test]
async fn a_token_ends_with_its_last_second_threat_26() {
    let world = with_leeway(Duration::ZERO).await;
    at(&world, &timed(&world, &[("exp", 100)]), &[(0, Ok(())), (99, Ok(())), (100, Err(Expired)), (101, Err(Expired))])
        .await;
    let fraction = timed(&world, &[]).claim("exp", 1_900_000_100.9);
    at(&world, &fraction, &[(99, Ok(())), (100, Err(Expired))]).await;
    // By default clocks may disagree by half a minute.
    let world = World::new().await;
    let moments = [(99, Ok(())), (100, Ok(())), (129, Ok(())), (130, Err(Expired)), (i64::MAX, Err(Expired))];
    at(&world, &timed(&world, &[("exp", 100)]), &moments).await;
}

#[tokio::test]
async fn a_token_without_an_end_is_refused_threat_26() {
    let world = World::new().await;
    let token = timed(&world, &[("iat", 0)]);
    check(&world, [("no exp", token.build(), Err(MissingClaim("exp")))]).await;
    let zero = good(&world).claim("exp", 0);
    let forever = good(&world).claim("exp", u64::MAX);
    check(&world, [("exp 0", zero.build(), Err(Expired)), ("exp at the end of time", forever.build(), Ok(()))]).await;
}

#[tokio::test]
async fn a_token_does_not_count_before_its_time_threat_26() {
    let world = with_leeway(Duration::ZERO).await;
    let token = timed(&world, &[("exp", 600), ("nbf", 100)]);
    at(&world, &token, &[(99, Err(NotYetValid)), (100, Ok(())), (101, Ok(()))]).await;
    let fraction = timed(&world, &[("exp", 600)]).claim("nbf", 1_900_000_100.1);
    at(&world, &fraction, &[(100, Err(NotYetValid)), (101, Ok(()))]).await;
    let token = timed(&world, &[("exp", 600), ("iat", 100)]);
    at(&world, &token, &[(99, Err(IssuedInFuture)), (100, Ok(()))]).await;

    let world = World::new().await;
    let token = timed(&world, &[("exp", 600), ("nbf", 100)]);
    at(&world, &token, &[(0, Err(NotYetValid)), (69, Err(NotYetValid)), (70, Ok(()))]).await;
    let token = timed(&world, &[("exp", 600), ("iat", 100)]);
    at(&world, &token, &[(0, Err(IssuedInFuture)), (69, Err(IssuedInFuture)), (70, Ok(()))]).await;
    let never = timed(&world, &[("exp", 600)]).claim("nbf", u64::MAX);
    at(&world, &never, &[(0, Err(NotYetValid))]).await;
}

#[tokio::test]
async fn a_clock_that_steps_changes_only_what_it_says_threat_26() {
    let world = World::new().await;
    let token = good(&world);
    let hour = 3600;
    let moments = [
        (0, Ok(())),
        (-31, Err(IssuedInFuture)),
        (-hour, Err(IssuedInFuture)),
        (i64::MIN, Err(IssuedInFuture)),
        (0, Ok(())),
        (hour + 29, Ok(())),
        (hour + 30, Err(Expired)),
        (0, Ok(())),
    ];
    at(&world, &token, &moments).await;
    assert_eq!(world.issuer.asked().jwks, 0, "keys grow old by the other clock");
}

#[tokio::test]
async fn a_token_seen_before_grows_old_all_the_same_threat_26() {
    let world = World::new().await;
    let text = good(&world).build();
    judge(&world, &text).await.unwrap();
    let headers = crate::support::bearer(&text);
    let requirement = std::sync::Arc::new(portcullis::Requirement::authenticated());
    let input = world.authorizer.input(&headers, &requirement);
    for (moment, accepted) in [(3600 + 29, true), (3600 + 30, false), (-31, false), (0, true)] {
        world.clock.step_wall_to(UnixTime::from_secs(START.saturating_add_signed(moment)));
        assert_eq!(world.authorizer.authorize(&input).await.is_ok(), accepted, "at {moment}");
    }
}

#[tokio::test]
async fn a_token_may_be_too_old_before_it_ends_threat_26() {
    let configured = |issuer: Issuer| issuer.max_token_age(seconds(300)).leeway(Duration::ZERO);
    let world = World::with(configured, |builder| builder).await;
    at(&world, &good(&world), &[(0, Ok(())), (300, Ok(())), (301, Err(TooOld)), (3600, Err(Expired))]).await;
    at(&world, &timed(&world, &[("exp", 600)]), &[(0, Err(MissingClaim("iat")))]).await;
    let null = good(&world).claim("iat", Value::Null);
    at(&world, &null, &[(0, Err(TokenError::ClaimType("iat")))]).await;

    let world = World::with(|issuer| issuer.max_token_age(seconds(300)), |builder| builder).await;
    at(&world, &good(&world), &[(330, Ok(())), (331, Err(TooOld))]).await;
}
