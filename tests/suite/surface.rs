//! What users rely on without a word in any signature: threads, sizes, errors that are errors.

use std::{error::Error, fmt::Debug, future::Future, mem::size_of, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use portcullis::{
    AccessToken, Algorithm, Authorize, AuthorizeLayer, Authorizer, AuthorizerBuilder, ConfigError, Decision, Input,
    Issuer, IssuerWithoutAudience, KeySet, KeySource, Permit, Rejection, RejectionKind, Requirement, RouteTable,
    RouteTableBuilder, RouteTableError, Scope, ScopeSet, TokenType, Unlisted, VerificationKey, VerifiedToken,
    authorizer::{Answers, IssuerError, Need, NotReady, Readiness},
    clock::{Now, SystemClock, UnixTime},
    credential::{AuthorizationHeader, Bearer, Cookie, CredentialError, Header, WebSocketProtocol},
    crypto::KeyError,
    issuer::{
        ClientAuthentication, ClientAuthenticationError, ClientCredentials, ClientError, Connection, Endpoint,
        EndpointError, ErrorDescription, HttpTransport, PrivateKey, TransportError,
    },
    keys::{FetchError, KeySetError, KeySourceError, RefreshPolicy, SkippedKey},
    middleware::{ProtectedResourceMetadata, ResponseFuture, RevocationEndpoint, RevocationEndpointBuilder},
    outbound::{
        AttachError, AttachToken, AttachTokenLayer, ClientCredentialsToken, ExchangeError, ExchangedToken, FixedToken,
        IssuedToken, NeverRepeat, OriginError, Refreshed, RefreshedToken, Refusal, Renewed, RenewedToken, SubjectToken,
        TokenAnswer, TokenClient, TokenClientBuilder, TokenClientError, TokenEndpointError, TokenExchange,
        TokenTypeHint,
    },
    policy::{Location, Lookup, Preflight},
    providers::{
        agent_idp::{AgentIdp, AgentIdpClient, AgentIdpError, Introspected, IntrospectedToken},
        grantex::{
            Budget, ExchangeRequest, GrantTokens, Grantex, GrantexClaims, GrantexClient, GrantexConfigError,
            GrantexError, GrantexFeed, GrantexWebhook, GrantexWebhookBuilder, GrantexWebhookError, Pkce, Verification,
        },
    },
    rejection::{EmptyResponder, JsonResponder},
    status::{
        ActiveToken, Cursor, CursorError, FeedError, FeedMessage, FeedPolicy, Freshness, Introspection,
        IntrospectionError, InvalidOnOutage, LogFull, OnOutage, RevisionError, Revocation, RevocationEvent,
        RevocationLog, RevocationTarget, Revocations, RevocationsBuilder, RevocationsError, SinkError,
    },
    testing::{Asked, Fault, ManualClock, TestIssuer, TestIssuerBuilder, TestKey, TokenBuilder, UnreliableFeed},
    token::{ClaimsError, InvalidScope, TokenError},
};
use tower::{Layer as _, Service};

use crate::{
    support::World,
    wire::{Hits, Plain, request},
};

/// Goes anywhere, and says something of itself in a log.
fn plain<T: Send + Sync + Unpin + Debug>() {}

/// The same for what an application shares.
fn shared<T: Clone + Send + Sync + Unpin + Debug + 'static>() {}

fn error<T: Error + Send + Sync + Unpin + 'static>() {}

#[test]
fn public_types_go_from_thread_to_thread() {
    shared::<Authorizer>();
    shared::<AuthorizeLayer>();
    shared::<AuthorizeLayer<EmptyResponder>>();
    shared::<Authorize<(), JsonResponder>>();
    shared::<AccessToken>();
    shared::<AccessToken<Vec<String>>>();
    shared::<VerifiedToken>();
    shared::<ActiveToken>();
    shared::<(Cursor, FeedMessage, FeedPolicy)>();
    shared::<RevocationLog>();
    shared::<UnreliableFeed>();
    shared::<Rejection>();
    shared::<RejectionKind>();
    shared::<Permit>();
    shared::<Need>();
    shared::<Answers>();
    shared::<Readiness>();
    shared::<Requirement>();
    shared::<RouteTable>();
    shared::<RouteTableBuilder>();
    shared::<Unlisted>();
    shared::<Preflight>();
    shared::<Freshness>();
    shared::<OnOutage>();
    shared::<Issuer>();
    shared::<IssuerWithoutAudience>();
    shared::<KeySet>();
    shared::<KeySource>();
    shared::<VerificationKey>();
    shared::<SkippedKey>();
    shared::<RefreshPolicy>();
    shared::<Algorithm>();
    shared::<TokenType>();
    shared::<Scope>();
    shared::<ScopeSet>();
    shared::<AuthorizationHeader>();
    shared::<Cookie>();
    shared::<Header>();
    shared::<WebSocketProtocol>();
    shared::<Endpoint>();
    shared::<HttpTransport>();
    shared::<ClientAuthentication>();
    shared::<ClientCredentials>();
    shared::<PrivateKey>();
    shared::<Connection>();
    shared::<ErrorDescription>();
    shared::<Introspection>();
    shared::<ProtectedResourceMetadata>();
    shared::<RevocationEndpoint>();
    shared::<Revocation>();
    shared::<RevocationEvent>();
    shared::<RevocationTarget>();
    shared::<Revocations>();
    plain::<RevocationEndpointBuilder>();
    plain::<RevocationsBuilder>();
    shared::<SystemClock>();
    shared::<Now>();
    shared::<UnixTime>();
    shared::<ManualClock>();
    shared::<TestIssuer>();
    shared::<TestIssuerBuilder>();
    shared::<TestKey>();
    shared::<TokenBuilder>();
    shared::<Asked>();
    shared::<Fault>();
    shared::<(TokenClient, TokenClientBuilder, TokenExchange, TokenAnswer, Refusal, TokenTypeHint)>();
    shared::<(AgentIdp, AgentIdpClient, Introspected, IntrospectedToken)>();
    shared::<(AttachTokenLayer, AttachTokenLayer<NeverRepeat>, AttachToken<()>, IssuedToken, SubjectToken)>();
    shared::<(ClientCredentialsToken, RenewedToken, RefreshedToken, ExchangedToken, FixedToken)>();
    plain::<(Renewed, Refreshed)>();
    shared::<(Grantex, GrantexClient, GrantexFeed, GrantexWebhook)>();
    shared::<(GrantexClaims, Budget, Verification)>();
    plain::<(ExchangeRequest, GrantTokens, GrantexWebhookBuilder, Pkce)>();
    plain::<AuthorizerBuilder>();
    plain::<Decision>();
    plain::<Input<'_>>();
    plain::<Bearer<'_>>();
    plain::<Location<'_>>();
    plain::<Lookup<'_>>();
}

#[test]
fn errors_are_errors_wherever_they_go() {
    error::<ConfigError>();
    error::<IssuerError>();
    error::<NotReady>();
    error::<RouteTableError>();
    error::<KeyError>();
    error::<KeySetError>();
    error::<KeySourceError>();
    error::<FetchError>();
    error::<EndpointError>();
    error::<ClientAuthenticationError>();
    error::<ClientError>();
    error::<IntrospectionError>();
    error::<TokenClientError>();
    error::<TokenEndpointError>();
    error::<AgentIdpError>();
    error::<GrantexConfigError>();
    error::<GrantexError>();
    error::<GrantexWebhookError>();
    error::<AttachError>();
    error::<ExchangeError>();
    error::<OriginError>();
    error::<TransportError>();
    error::<CredentialError>();
    error::<TokenError>();
    error::<ClaimsError>();
    error::<InvalidScope>();
    error::<InvalidOnOutage>();
    error::<CursorError>();
    error::<FeedError>();
    error::<LogFull>();
    error::<RevisionError>();
    error::<RevocationsError>();
    error::<SinkError>();
    error::<Rejection>();
    error::<portcullis::axum::ExtractError>();
}

#[tokio::test]
async fn futures_may_be_spawned() {
    fn spawnable<T: Send + 'static>(_: &T) {}
    fn sendable<T: Send>(_: &T) {}
    let world = World::new().await;
    let mut service = AuthorizeLayer::by_raw_path(world.authorizer.clone()).layer(Hits::default().service());
    spawnable(&service);
    let future = service.call(request("GET /", None).body(Plain::default()).unwrap());
    spawnable(&future);
    assert_eq!(future.await.unwrap().status(), 401);

    let (headers, requirement) = (http::HeaderMap::new(), Arc::new(Requirement::public()));
    let input = world.authorizer.input(&headers, &requirement);
    let future = world.authorizer.authorize(&input);
    sendable(&future);
    future.await.unwrap();
    sendable(&world.authorizer.ready(std::time::Duration::ZERO));
}

#[test]
#[cfg(target_pointer_width = "64")]
fn what_every_request_moves_around_is_small() {
    const WORD: usize = size_of::<usize>();
    /// A service whose future is as small as can be.
    type Inner = std::future::Ready<()>;
    #[derive(Clone)]
    struct Small;
    impl Service<Request<()>> for Small {
        type Response = http::Response<Full<Bytes>>;
        type Error = std::convert::Infallible;
        type Future = std::future::Pending<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            std::future::pending()
        }
    }
    fn future_of<S: Service<R>, R>() -> usize
    where
        S::Future: Future,
    {
        size_of::<S::Future>()
    }
    let rows = [
        ("Authorizer", size_of::<Authorizer>(), 1),
        ("AccessToken", size_of::<AccessToken>(), 1),
        ("Option<AccessToken>", size_of::<Option<AccessToken>>(), 1),
        ("Permit", size_of::<Permit>(), 2),
        ("Bearer", size_of::<Bearer<'_>>(), 2),
        ("Input", size_of::<Input<'_>>(), 8),
        ("Answers", size_of::<Answers>(), 4),
        ("Now", size_of::<Now>(), 3),
        ("Rejection", size_of::<Rejection>(), 8),
        ("Decision", size_of::<Decision>(), 8),
        ("AuthorizeLayer", size_of::<AuthorizeLayer>(), 3),
        ("Authorize", size_of::<Authorize<Inner>>(), 4),
        // A response at most, or the request that is held while the keys are asked for.
        ("ResponseFuture", future_of::<Authorize<Small>, Request<()>>(), 33),
        ("ConfigError", size_of::<ConfigError>(), 9),
        ("RouteTableError", size_of::<RouteTableError>(), 7),
        ("ExtractError", size_of::<portcullis::axum::ExtractError>(), 8),
    ];
    for (name, size, words) in rows {
        assert!(size <= words * WORD, "{name}: {} words, not {words}", size.div_ceil(WORD));
    }
    let _: fn(ResponseFuture<Small, JsonResponder, (), Full<Bytes>>) = drop;
}
