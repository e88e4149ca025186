//! Plain hyper on a real socket: the request line as an attacker would write it, byte for byte.

use std::{convert::Infallible, future::ready};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use portcullis::{AuthorizeLayer, Requirement, RouteTable, Unlisted};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, Service};

use crate::{
    support::World,
    wire::{Hits, Plain},
};

/// Every way in which servers were ever seen to read a path, at once: encodings and double encodings decoded, any slash
/// for a slash, parameters dropped, dots resolved, letters made small.
fn read_kindly(path: &str) -> Vec<String> {
    let decoded = decode(&decode(path.as_bytes()));
    let text = String::from_utf8_lossy(&decoded).to_lowercase().replace('\\', "/");
    let mut segments: Vec<String> = Vec::new();
    for segment in text.split('/') {
        match segment.split([';', '\0']).next().unwrap_or_default().trim() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name.to_owned()),
        }
    }
    segments
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        match (first, code) {
            // Overlong UTF-8, as some decoders took it.
            (b'%', Some(0xc0)) if tail.get(2..5).is_some_and(|next| next.eq_ignore_ascii_case(b"%ae")) => {
                decoded.push(b'.');
                rest = &tail[5..];
            }
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}

/// A backend that takes whatever it reads as `/admin` for that, and counts it.
fn backend(
    hits: &Hits,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Plain>,
    Error = Infallible,
    Future = std::future::Ready<Result<Response<Plain>, Infallible>>,
> + Clone
+ use<> {
    let hits = hits.clone();
    tower::service_fn(move |request: Request<Incoming>| {
        if read_kindly(request.uri().path()).first().is_some_and(|segment| segment.starts_with("admin")) {
            hits.hit();
        }
        ready(Ok(Response::new(Plain::from("ok"))))
    })
}

/// The status of the answer to these bytes, on a connection of their own.
async fn answer<S>(listener: &TcpListener, service: S, request: &[u8]) -> (u16, String)
where
    S: Service<Request<Incoming>, Response = Response<Plain>, Error = Infallible> + Clone,
{
    let serving = async {
        let (socket, _) = listener.accept().await.unwrap();
        // A malformed request ends the connection in an error, after it was answered.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), TowerToHyperService::new(service)).await;
    };
    let asking = async {
        let mut socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        socket.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let ((), answer) = tokio::join!(serving, asking);
    (answer["HTTP/1.1 ".len()..][..3].parse().unwrap(), answer)
}

async fn world(unlisted: Unlisted) -> World {
    let routes = RouteTable::builder()
        .get("/public/{*rest}", Requirement::public())
        .get("/items/{id}", Requirement::authenticated())
        .get("/admin", Requirement::scope("admin"))
        .any("/admin/{*rest}", Requirement::scope("admin"))
        .otherwise(unlisted)
        .unwrap();
    World::with(|issuer| issuer, |builder| builder.routes(routes)).await
}

fn bytes(line: &[u8], headers: &str) -> Vec<u8> {
    let rest = format!(" HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n{headers}\r\n");
    [line, rest.as_bytes()].concat()
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_past_its_requirement_threat_9() {
    let world = world(Unlisted::Deny).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hits = Hits::default();
    let service = AuthorizeLayer::by_raw_path(world.authorizer.clone()).layer(backend(&hits));
    let other = format!("Authorization: Bearer {}\r\n", world.issuer.token().scopes(["read"]).build());
    let admin = format!("Authorization: Bearer {}\r\n", world.issuer.token().scopes(["admin"]).build());

    // The backend does run for whoever may come in.
    for line in ["GET /admin", "HEAD /admin", "GET http://api.example/admin", "DELETE /admin/a/b", "GET /admin?x=1"] {
        assert_eq!(answer(&listener, service.clone(), &bytes(line.as_bytes(), &admin)).await.0, 200, "{line}");
        assert_eq!(hits.take(), 1, "{line}");
    }
    let rows: &[(&[u8], u16)] = &[
        (b"GET /public/x", 200),
        (b"GET /items/7", 200),
        (b"GET /public/x?/../../admin", 200),
        (b"GET /public/x#/../../admin", 200),
        (b"GET /admin", 403),
        (b"HEAD /admin", 403),
        (b"GET /admin?/public/x", 403),
        (b"GET /admin#/public/x", 403),
        (b"GET /admin/public/x", 403),
        (b"GET /admin/", 403),
        (b"GET /Admin", 403),
        (b"GET /ADMIN/x", 403),
        (b"GET /PUBLIC/x", 403),
        (b"POST /admin", 403),
        (b"get /admin", 403),
        (b"OPTIONS /admin", 403),
        (b"OPTIONS *", 400),
        (b"GET *", 400),
        (b"CONNECT api.example:443", 400),
        (b"GET admin", 400),
        (b"GET http://api.example/admin", 403),
        (b"GET http://api.example//admin", 400),
        (b"GET http://api.example/public/../admin", 400),
        (b"GET http://api.example", 403),
        (b"GET //admin", 400),
        (b"GET ///admin", 400),
        (b"GET //api.example/admin", 400),
        (b"GET /public//admin", 400),
        (b"GET /./admin", 400),
        (b"GET /public/../admin", 400),
        (b"GET /public/x/../../admin", 400),
        (b"GET /public/..", 400),
        (b"GET /%2e/admin", 400),
        (b"GET /%2E/admin", 400),
        (b"GET /public/%2e%2e/admin", 400),
        (b"GET /public/.%2e/admin", 400),
        (b"GET /public/..%2fadmin", 400),
        (b"GET /public/%2e%2e%2Fadmin", 400),
        (b"GET /public/..%5cadmin", 400),
        (b"GET /public/..\\admin", 400),
        (b"GET \\admin", 400),
        (b"GET /public/%252e%252e/admin", 400),
        (b"GET /public/%25252e/admin", 400),
        (b"GET /public/%c0%ae%c0%ae/admin", 400),
        (b"GET /public/%C0%AE%C0%AE/admin", 400),
        (b"GET /items/..;/admin", 400),
        (b"GET /items/..%3b", 400),
        (b"GET /admin;x=1", 400),
        (b"GET /;/admin", 400),
        (b"GET /%61dmin", 400),
        (b"GET /%2fadmin", 400),
        (b"GET /admin%2f", 400),
        (b"GET /admin%00", 400),
        (b"GET /admin%0d%0a", 400),
        (b"GET /admin%20", 403),
        (b"GET /items/%2e%2e", 400),
        (b"GET /items/a%2Fb", 400),
        (b"GET /adm\xefn", 400),
        (b"GET /admin /public/x", 400),
        (b"GET", 400),
    ];
    for (line, expected) in rows {
        let name = String::from_utf8_lossy(line);
        let (status, text) = answer(&listener, service.clone(), &bytes(line, &other)).await;
        assert_eq!(status, *expected, "{name}: {text}");
        assert_eq!(hits.take(), 0, "{name} reached the backend as /admin");
        // Without any token nothing more is possible.
        let (status, text) = answer(&listener, service.clone(), &bytes(line, "")).await;
        assert!(status == *expected || status == 401, "{name}: {text}");
        assert_eq!(hits.take(), 0, "{name} reached the backend as /admin");
    }
}

#[tokio::test]
async fn no_header_changes_which_route_is_meant_threat_9() {
    let world = world(Unlisted::Deny).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hits = Hits::default();
    let service = AuthorizeLayer::by_raw_path(world.authorizer.clone()).layer(backend(&hits));
    let token = format!("Authorization: Bearer {}\r\n", world.issuer.token().scopes(["read"]).build());
    let rows = [
        ("GET /admin", "X-Forwarded-Uri: /public/x"),
        ("GET /admin", "X-Original-URL: /public/x"),
        ("GET /admin", "X-Original-Uri: /public/x"),
        ("GET /admin", "X-Rewrite-URL: /public/x"),
        ("GET /admin", "X-Forwarded-Prefix: /public"),
        ("GET /admin", "Forwarded: for=127.0.0.1;host=localhost"),
        ("GET /admin", "X-Forwarded-For: 127.0.0.1"),
        ("GET /admin", "Referer: http://api.example/public/x"),
        ("POST /admin", "X-HTTP-Method-Override: OPTIONS"),
        ("GET /admin", "X-HTTP-Method: OPTIONS"),
        ("GET /admin", "Upgrade: websocket\r\nConnection: upgrade"),
    ];
    for (line, header) in rows {
        for credentials in [token.as_str(), ""] {
            let request = bytes(line.as_bytes(), &format!("{credentials}{header}\r\n"));
            let (status, text) = answer(&listener, service.clone(), &request).await;
            assert!(matches!(status, 401 | 403), "{line} with {header}: {text}");
            assert_eq!(hits.take(), 0, "{line} with {header}");
        }
    }
}

#[tokio::test]
async fn what_is_unlisted_is_refused_alike_whether_it_exists_or_not_threat_9() {
    let rows = [
        (Unlisted::Deny, "GET /nowhere", "", 403),
        (Unlisted::Deny, "GET /nowhere", "token", 403),
        (Unlisted::Deny, "PUT /items/7", "token", 403),
        (Unlisted::Deny, "PUT /items/7", "", 403),
        (Unlisted::Authenticated, "GET /nowhere", "", 401),
        (Unlisted::Authenticated, "GET /nowhere", "token", 200),
        (Unlisted::Authenticated, "OPTIONS /items/7", "", 401),
        (Unlisted::Authenticated, "GET //nowhere", "token", 400),
        (Unlisted::Authenticated, "OPTIONS *", "token", 400),
        (Unlisted::Authenticated, "CONNECT a:1", "token", 400),
        (Unlisted::Authenticated, "GET /admin", "token", 403),
    ];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (unlisted, line, credentials, expected) in rows {
        let world = world(unlisted).await;
        let service = AuthorizeLayer::by_raw_path(world.authorizer.clone()).layer(backend(&Hits::default()));
        let token = match credentials {
            "" => String::new(),
            _ => format!("Authorization: Bearer {}\r\n", world.issuer.token().build()),
        };
        let (status, text) = answer(&listener, service, &bytes(line.as_bytes(), &token)).await;
        assert_eq!(status, expected, "{line}: {text}");
    }
}
