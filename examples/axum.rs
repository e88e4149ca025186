//! The smallest axum service behind the layer.
//!
//! ```text
//! cargo run --example axum        # prints a token and what to do with it
//! curl -i http://127.0.0.1:8080/hello -H "Authorization: Bearer $TOKEN"
//! ```

use axum::{Router, routing::get};
use portcullis::{
    AccessToken, Authorizer, Issuer, Requirement, RouteTable, Unlisted,
    testing::{TestIssuer, TokenBuilder},
};

async fn hello(token: AccessToken) -> String {
    format!("hello, {}\n", token.subject().unwrap_or("whoever you are"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Yours would be `Issuer::discover("https://idp.example.com").audience("https://api.example.com")`.
    let idp = TestIssuer::start().await;
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(idp.url()).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().get("/hello", Requirement::scope("hello")).otherwise(Unlisted::Deny)?)
        .build()?;

    let app = Router::new().route("/hello", get(hello)).layer(portcullis::axum::layer(authorizer));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("TOKEN={}", idp.token().scopes(["hello"]).build());
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
