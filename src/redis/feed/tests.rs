//! Thousands of random schedules of servers that die and take over, of a bad network and of clocks that are set → what was
//! revoked longer ago than a replica is stale is refused by it, always (threat 16); and once all is well, all agree.

mod publishing;
mod random;
mod replica;
mod servers;
mod simulation;
mod store;
mod truth;
mod wire;

use std::{sync::Arc, time::Duration};

use replica::Seen;
use simulation::{Props, Simulation};

use crate::{
    Authorizer, Issuer, Requirement, RouteTable, Unlisted,
    redis::Redis,
    testing::{ManualClock, TestIssuer, TokenBuilder},
    token::VerifiedToken,
};

const SCHEDULES: u64 = 2000;

async fn props() -> Props {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process(truth::ISSUER);
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(truth::ISSUER).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
        .shared_transport(issuer.transport())
        .clock(clock)
        .build()
        .unwrap();
    authorizer.ready(Duration::from_secs(1)).await.unwrap();
    let requirement = Arc::new(Requirement::authenticated());
    let (mut tokens, mut texts) = (Vec::new(), Vec::new());
    for number in 0..truth::TOKENS {
        let token = issuer.token().claim("sid", format!("s-{number}")).subject(format!("u-{}", number / 2)).build();
        let headers =
            http::HeaderMap::from_iter([(http::header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
        let permit = authorizer.authorize(&authorizer.input(&headers, &requirement)).await.unwrap();
        tokens.push(VerifiedToken::clone(&permit.into_token().unwrap()));
        texts.push(token);
    }
    Props { redis: Redis::at("redis://localhost").unwrap().build().unwrap(), tokens, texts }
}

/// `PORTCULLIS_SCHEDULES=5000..9000` has others played.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("PORTCULLIS_SCHEDULES").ok();
    let asked = asked.as_deref().and_then(|asked| asked.split_once(".."));
    asked.map_or(0..SCHEDULES, |(first, end)| first.parse().unwrap()..end.parse().unwrap())
}

#[tokio::test]
async fn whatever_happens_to_redis_what_is_revoked_is_refused_or_the_feed_is_stale_threat_16() {
    let props = props().await;
    let (mut seen, seeds) = (Seen::default(), seeds());
    let count = seeds.end - seeds.start;
    let mut failures = Vec::new();
    for seed in seeds {
        failures.extend(Simulation::new(seed, &props).run(&mut seen).await.err());
    }
    eprintln!("{seen:?}");
    let first = failures.first();
    assert!(failures.is_empty(), "{} of {count} schedules failed; the first: {}", failures.len(), first.unwrap());
    if count >= SCHEDULES {
        assert!(seen.refused > 100 * count && seen.stuck > 100 * count, "{seen:?}");
        assert!(seen.too_young > count && seen.stale > count && seen.never > count, "{seen:?}");
    }
}
