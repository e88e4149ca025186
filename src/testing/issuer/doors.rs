//! The two ways to an issuer: a [`Transport`] in process, and HTTP/1.1 on loopback.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::{
    faults::{self, Reset},
    state::Core,
};
use crate::{
    issuer::{Exchange, Transport, TransportError},
    tasks::TaskGuard,
};

/// More than any request that is meant for us.
const MAX_REQUEST: usize = 1024 * 1024;

/// Leads to issuers in process.
#[derive(Debug)]
pub(super) struct InProcess {
    /// The longest URL first, so that `https://idp.example/a` is not taken for a place at `https://idp.example`.
    issuers: Vec<Arc<Core>>,
}

impl InProcess {
    pub(super) fn new(mut issuers: Vec<Arc<Core>>) -> Self {
        issuers.sort_by_key(|core| std::cmp::Reverse(core.url().len()));
        Self { issuers }
    }
}

impl Transport for InProcess {
    fn send(&self, request: Request<Bytes>, max_body: usize) -> Exchange {
        let issuer = self.issuers.iter().find(|core| core.serves(request.uri())).cloned();
        Box::pin(async move {
            let Some(core) = issuer else {
                return Err(TransportError::Failed("no test issuer at this URL".into()));
            };
            let answer = faults::exchange(&core, request).await;
            let answer = answer.map_err(|reset| TransportError::Failed(reset.into()))?;
            if answer.body().len() > max_body { Err(TransportError::TooLarge(max_body)) } else { Ok(answer) }
        })
    }
}

/// A socket on a free port, and the URL it can be reached at.
#[expect(clippy::expect_used, reason = "a fake server without a socket is of no use to its test")]
pub(super) async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port on loopback");
    let address = listener.local_addr().expect("a bound socket has an address");
    (listener, format!("http://{address}"))
}

/// Serves connections until this is dropped, and they with it.
pub(super) async fn serve(core: Arc<Core>, listener: TcpListener) {
    let mut connections = Vec::new();
    loop {
        // A connection that was gone before it was accepted is none of our trouble.
        let Ok((socket, _)) = listener.accept().await else { continue };
        let core = Arc::clone(&core);
        connections.extend(TaskGuard::spawn(async move {
            let service = service_fn(move |request| over_http(Arc::clone(&core), request));
            // It ends in an error where the client leaves, or where a fault resets the connection.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        }));
    }
}

async fn over_http(core: Arc<Core>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Reset> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_REQUEST).collect().await else {
        let mut refusal = Response::new(Full::default());
        *refusal.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(refusal);
    };
    let request = Request::from_parts(parts, body.to_bytes());
    faults::exchange(&core, request).await.map(|answer| answer.map(Full::new))
}
