//! A real tonic server behind the layer, and a real client: refusals are gRPC statuses, not HTTP ones.

use portcullis::{AuthorizeLayer, Requirement, RouteTable, Unlisted};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request, Status,
    metadata::MetadataValue,
    transport::{Channel, Server},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::World;

/// A health service whose `Check` needs a scope, on a port of its own; ended with the test's runtime.
async fn serve(world: &World) -> HealthClient<Channel> {
    let (_, health) = tonic_health::server::health_reporter();
    let layer = AuthorizeLayer::by_raw_path(world.authorizer.clone()).respond_empty();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(health);
    #[expect(clippy::disallowed_methods, reason = "the rule is for the library")]
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    HealthClient::new(channel)
}

async fn call(client: &mut HealthClient<Channel>, token: Option<&str>) -> Result<(), Status> {
    let mut request = Request::new(HealthCheckRequest { service: String::new() });
    if let Some(token) = token {
        let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    client.check(request).await.map(|_| ())
}

#[tokio::test]
async fn a_grpc_client_is_refused_in_its_own_terms() {
    let routes = RouteTable::builder()
        .post("/grpc.health.v1.Health/Check", Requirement::scope("health:check"))
        .otherwise(Unlisted::Deny)
        .unwrap();
    let world = World::with(|issuer| issuer, |builder| builder.routes(routes)).await;
    let mut client = serve(&world).await;
    let token = |scope: &str| world.issuer.token().scopes([scope]).build();

    assert!(call(&mut client, Some(&token("health:check"))).await.is_ok());
    let rows = [
        (None, Code::Unauthenticated, "An access token is required"),
        (Some("junk".to_owned()), Code::Unauthenticated, "The access token is invalid"),
        (Some(world.issuer.token().tampered().build()), Code::Unauthenticated, "The access token is invalid"),
        (Some(token("health")), Code::PermissionDenied, "The access token lacks a scope that is needed here"),
        (Some("a b".to_owned()), Code::InvalidArgument, "The request must carry one well-formed bearer token"),
    ];
    for (token, code, message) in rows {
        let status = call(&mut client, token.as_deref()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message));
    }
}

#[tokio::test]
async fn a_grpc_method_that_is_not_listed_is_denied() {
    let world = World::with(
        |issuer| issuer,
        |builder| builder.routes(RouteTable::builder().otherwise(Unlisted::Deny).unwrap()),
    )
    .await;
    let mut client = serve(&world).await;
    let status = call(&mut client, Some(&world.issuer.token().build())).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}
