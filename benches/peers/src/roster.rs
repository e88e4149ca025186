//! Everybody who is compared, each around the same service, and the proof that each does what it is there for.

use std::{
    convert::Infallible,
    thread,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{Request, Response};
use tokio::runtime::Runtime;
use tower::{Layer, service_fn};
use tower_http::validate_request::ValidateRequestHeaderLayer;

use crate::{
    Provider,
    chart::Kind,
    fixture::{Failure, Fixture},
    measure::Subject,
    peers::{by_hand, extractor, others, ours},
};

/// The one that others are compared with.
pub(crate) const FLOOR: &str = "tower-http, static bearer";
/// Ours, as it comes.
pub(crate) const WARM: &str = "portcullis, warm";

/// One of them.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// The package whose version counts.
    pub(crate) package: &'static str,
    pub(crate) kind: Kind,
    /// What it does that others do not, or leaves out.
    pub(crate) note: &'static str,
    pub(crate) subject: Result<Subject, String>,
    /// The checks whose failure it noticed.
    pub(crate) checks: Vec<&'static str>,
}

/// What is behind everybody.
async fn answer<Q, B: Default>(_: Request<Q>) -> Result<Response<B>, Infallible> {
    Ok(Response::new(B::default()))
}

/// Everybody, proved.
pub(crate) fn roster(runtime: &Runtime, fixture: &Fixture, provider: Provider) -> Vec<Entry> {
    let mut entries = runtime.block_on(entries(fixture, provider));
    for entry in &mut entries {
        prove(entry, fixture);
    }
    entries
}

async fn entries(fixture: &Fixture, provider: Provider) -> Vec<Entry> {
    let service = || service_fn(answer::<Body, Body>);
    let entry = |name, package, kind, note, subject: Result<Subject, Failure>| Entry {
        name,
        package,
        kind,
        note,
        subject: subject.map_err(|error| error.to_string()),
        checks: Vec::new(),
    };
    #[allow(deprecated, reason = "it stands for the least that a check of a header can cost, not for a way to do it")]
    let bearer = ValidateRequestHeaderLayer::bearer(fixture.tokens.text());
    let mut entries = vec![entry(
        FLOOR,
        "tower-http",
        Kind::Floor,
        "compares the header with one string: no token is read",
        Ok(Subject::new(bearer.layer(service()))),
    )];
    let resource_server = others::tower_oauth2_resource_server(fixture).await;
    let resource_server = resource_server.map(|layer| Subject::new(layer.layer(service())));
    let extractor = extractor::subject(fixture).await;
    if provider == Provider::RustCrypto {
        entries.extend([
            entry(
                "tower-oauth2-resource-server, rust_crypto (its default)",
                "tower-oauth2-resource-server",
                Kind::Peer,
                "scopes are left to the handler",
                resource_server,
            ),
            entry(
                "axum-jwt-auth, rust_crypto (its default)",
                "axum-jwt-auth",
                Kind::Peer,
                "an extractor; scopes are left to the handler",
                extractor,
            ),
        ]);
        return entries;
    }
    let ours = async |mode| Ok(Subject::new(ours::layer(fixture, mode).await?.layer(service())));
    let by_hand = by_hand::Known::of(fixture)
        .map(|known| Subject::new(axum::middleware::from_fn_with_state(known, by_hand::check).layer(service())));
    let jwt_authorizer = others::jwt_authorizer(fixture)
        .await
        .map(|layer| Subject::new(layer.layer(service_fn(answer::<Body, axum_07::body::Body>))));
    let oauth = others::oauth_resource_server(fixture).await.map(|layer| Subject::new(layer.layer(service())));
    let aliri = others::aliri(fixture).await.map(|(authority, policy)| {
        let authorizer = aliri_tower::Oauth2Authorizer::new().with_terse_error_handler::<Body>();
        let inner = authorizer.scope_layer::<Body>(policy).layer(service());
        Subject::new(authorizer.jwt_layer::<Body>(authority).layer(inner))
    });
    entries.extend([
        entry("no layer", "tower", Kind::Floor, "checks nothing", Ok(Subject::new(service()))),
        entry(
            WARM,
            "portcullis",
            Kind::Ours,
            "the same token was verified before: no signature is computed, its time and scopes are checked",
            ours(ours::Mode::Warm).await,
        ),
        entry(
            "portcullis, warm, with status and revocations",
            "portcullis",
            Kind::Ours,
            "and the issuer's last word on it, and a thousand revocations, are looked at",
            ours(ours::Mode::Watched).await,
        ),
        entry(
            "portcullis, cold",
            "portcullis",
            Kind::Ours,
            "without memory: everything is verified each time",
            ours(ours::Mode::Cold).await,
        ),
        entry(
            "by hand: from_fn, jsonwebtoken, aws_lc_rs",
            "jsonwebtoken",
            Kind::Peer,
            "one key, never fetched again",
            by_hand,
        ),
        entry(
            "axum-jwt-auth, aws_lc_rs",
            "axum-jwt-auth",
            Kind::Peer,
            "an extractor; scopes are left to the handler",
            extractor,
        ),
        entry(
            "tower-oauth2-resource-server, aws_lc_rs",
            "tower-oauth2-resource-server",
            Kind::Peer,
            "scopes are left to the handler",
            resource_server,
        ),
        entry("aliri_tower", "aliri_tower", Kind::Peer, "ring", aliri),
        entry("jwt-authorizer", "jwt-authorizer", Kind::Peer, "ring; axum 0.7", jwt_authorizer),
        entry("oauth-resource-server", "oauth-resource-server", Kind::Peer, "ring", oauth),
    ]);
    entries
}

/// Lets a good token pass, and neither none nor a bad one; or else is not compared.
fn prove(entry: &mut Entry, fixture: &Fixture) {
    let Ok(subject) = &mut entry.subject else { return };
    let tokens = &fixture.tokens;
    // Some fetch their keys in the background.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut status = subject.status(Some(&tokens.good));
    while status != 200 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
        status = subject.status(Some(&tokens.good));
    }
    if status != 200 {
        entry.subject = Err(format!("a good token is answered with {status}"));
        return;
    }
    let noticed = tokens.bad().into_iter().filter(|(_, header)| subject.status(Some(header)) != 200);
    entry.checks = noticed.map(|(name, _)| name).collect();
    let checks_nothing = entry.name == "no layer";
    if subject.status(None) == 200 && !checks_nothing {
        entry.subject = Err("lets requests without a token pass".to_owned());
    } else if !entry.checks.contains(&"signature") && !checks_nothing {
        entry.subject = Err("lets a bad signature pass".to_owned());
    }
}
