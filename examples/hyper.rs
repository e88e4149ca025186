//! A plain hyper service behind the layer, without axum: routes are looked up by the raw path.
//!
//! ```text
//! cargo run --example hyper       # prints a token and what to do with it
//! curl -i http://127.0.0.1:8080/hello -H "Authorization: Bearer $TOKEN"
//! ```

#![allow(clippy::disallowed_methods, reason = "the rule is for the library; this is an application")]

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use portcullis::{
    AccessToken, AuthorizeLayer, Authorizer, Issuer, Requirement, RouteTable, Unlisted,
    testing::{TestIssuer, TokenBuilder},
};
use tower::ServiceBuilder;

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let token = request.extensions().get::<AccessToken>();
    let name = token.and_then(|token| token.subject()).unwrap_or("whoever you are");
    Ok(Response::new(Full::from(format!("hello, {name}\n"))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let idp = TestIssuer::start().await;
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(idp.url()).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().get("/hello", Requirement::scope("hello")).otherwise(Unlisted::Deny)?)
        .build()?;

    let service = ServiceBuilder::new().layer(AuthorizeLayer::by_raw_path(authorizer)).service_fn(hello);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("TOKEN={}", idp.token().scopes(["hello"]).build());
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::task::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("{error}");
            }
        });
    }
}
