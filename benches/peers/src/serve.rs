//! The name of a variant → an axum server behind it, on one thread.

use std::io::{self, Read};

use axum::{Router, body::Body, routing::get};
use tower_http::validate_request::ValidateRequestHeaderLayer;

use crate::{
    chart::Kind,
    fixture::{Failure, Fixture},
    peers::{by_hand, others, ours},
};

/// What can be served, as it is called on the command line and in the table.
pub(crate) const VARIANTS: [(&str, &str, Kind); 8] = [
    ("no-auth", "no auth", Kind::Floor),
    ("static-bearer", "tower-http, static bearer", Kind::Floor),
    ("warm", "portcullis, warm", Kind::Ours),
    ("watched", "portcullis, warm, with status and revocations", Kind::Ours),
    ("cold", "portcullis, cold", Kind::Ours),
    ("by-hand", "by hand: from_fn, jsonwebtoken, aws_lc_rs", Kind::Peer),
    ("jwt-authorizer", "jwt-authorizer", Kind::Peer),
    ("tower-oauth2-resource-server", "tower-oauth2-resource-server, aws_lc_rs", Kind::Peer),
];

/// Serves until the standard input ends, and so never longer than whoever started it. Says where, and what to send.
pub(crate) fn run(variant: &str) -> Result<(), Failure> {
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(variant))
}

async fn serve(variant: &str) -> Result<(), Failure> {
    let fixture = Fixture::start().await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{} {}", listener.local_addr()?.port(), fixture.tokens.text());
    let app = Router::new().route("/agents", get(async || "ok"));
    let ours = async |mode| Ok::<_, Failure>(portcullis::axum::layer(ours::authorizer(&fixture, mode).await?));
    let app = match variant {
        "no-auth" => app,
        #[allow(
            deprecated,
            reason = "it stands for the least that a check of a header can cost, not for a way to do it"
        )]
        "static-bearer" => app.layer(ValidateRequestHeaderLayer::bearer(fixture.tokens.text())),
        "warm" => app.layer(ours(ours::Mode::Warm).await?),
        "watched" => app.layer(ours(ours::Mode::Watched).await?),
        "cold" => app.layer(ours(ours::Mode::Cold).await?),
        "by-hand" => app.layer(axum::middleware::from_fn_with_state(by_hand::Known::of(&fixture)?, by_hand::check)),
        "jwt-authorizer" => {
            let layer = others::jwt_authorizer(&fixture).await?;
            let app = axum_07::Router::new().route("/agents", axum_07::routing::get(async || "ok")).layer(layer);
            return Ok(axum_07::serve(listener, app).await?);
        }
        "tower-oauth2-resource-server" => app.layer(others::tower_oauth2_resource_server::<Body>(&fixture).await?),
        other => return Err(format!("no variant is called {other}").into()),
    };
    Ok(axum::serve(listener, app).await?)
}
