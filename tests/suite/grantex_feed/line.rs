//! A server → the same in process, and on a socket of this machine.

use std::{convert::Infallible, fmt, net::SocketAddr};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::BodyExt as _;
use portcullis::issuer::{Arriving, Exchange, Opening, Transport, TransportError};
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _, wrappers::UnboundedReceiverStream};

use super::server::{Answer, Server};

/// The server, asked in process.
pub struct InProcess(pub Server);

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl Transport for InProcess {
    fn send(&self, request: Request<Bytes>, max_body: usize) -> Exchange {
        let server = self.0.clone();
        Box::pin(async move {
            let Answer::Whole(answer) = server.answer(&request).await else { panic!("a stream") };
            if answer.body().len() > max_body { Err(TransportError::TooLarge(max_body)) } else { Ok(answer) }
        })
    }

    fn open(&self, request: Request<Bytes>) -> Opening {
        let server = self.0.clone();
        Box::pin(async move {
            assert_eq!(request.headers()[header::ACCEPT], "text/event-stream");
            Ok(match server.answer(&request).await {
                Answer::Whole(answer) => answer.map(|body| arriving(tokio_stream::once(Ok(body)))),
                Answer::Stream(pieces) => Response::builder()
                    .header(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")
                    .body(arriving(UnboundedReceiverStream::new(pieces).map(Ok)))
                    .unwrap(),
            })
        })
    }
}

fn arriving(pieces: impl Stream<Item = Result<Bytes, TransportError>> + Send + 'static) -> Arriving {
    Box::pin(pieces)
}

/// The server on a port of 127.0.0.1, until the task is dropped with its runtime.
pub async fn listen(server: &Server) -> SocketAddr {
    let server = server.clone();
    let app = Router::new().fallback(move |request: Request<Body>| {
        let server = server.clone();
        async move {
            let (head, body) = request.into_parts();
            let request = Request::from_parts(head, body.collect().await.unwrap().to_bytes());
            match server.answer(&request).await {
                Answer::Whole(answer) => answer.map(Body::from),
                Answer::Stream(frames) => {
                    let frames = UnboundedReceiverStream::new(frames).map(Ok::<_, Infallible>);
                    Response::builder()
                        .header(header::CONTENT_TYPE, "text/event-stream")
                        .body(Body::from_stream(frames))
                        .unwrap()
                }
            }
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A log without entries, whose stream is answered with this.
#[derive(Debug)]
pub struct Answers {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

impl Transport for Answers {
    fn send(&self, _: Request<Bytes>, _: usize) -> Exchange {
        let page = r#"{"entries":[],"cursor":0,"snapshot":true,"serverTime":"2030-03-17T17:46:40Z"}"#;
        Box::pin(std::future::ready(Ok(Response::new(page.into()))))
    }

    fn open(&self, _: Request<Bytes>) -> Opening {
        let pieces: Vec<_> = self.body.as_bytes().chunks(1000).map(Bytes::copy_from_slice).map(Ok).collect();
        let response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, &self.content_type)
            .body(arriving(tokio_stream::iter(pieces)))
            .unwrap();
        Box::pin(std::future::ready(Ok(response)))
    }
}
