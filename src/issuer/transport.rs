//! One HTTP request to an authorization server → one bounded answer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http_body_util::BodyDataStream;

/// What [`Transport::send`] returns.
pub type Exchange = Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, TransportError>> + Send>>;

/// What [`Transport::open`] returns.
pub type Opening = Pin<Box<dyn Future<Output = Result<http::Response<Arriving>, TransportError>> + Send>>;

/// A body as it arrives, piece by piece. Dropped, its connection is given up.
pub type Arriving = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// Carries requests to authorization servers.
///
/// [`HttpTransport`] is the real one; `testing::TestIssuer` answers in process. An implementation need not bound the
/// time of a call (its caller does, by its clock) and must not follow redirects to places that were not configured.
pub trait Transport: Send + Sync + fmt::Debug + 'static {
    /// Sends `request`, whose URI is absolute, and reads at most `max_body` bytes of the answer.
    fn send(&self, request: http::Request<Bytes>, max_body: usize) -> Exchange;

    /// Sends `request` and hands on the answer's body as it arrives, for a server that never ends it. Neither its size nor
    /// its time is bounded: its reader does both.
    ///
    /// An implementation need not be able to: by default that is an error.
    fn open(&self, request: http::Request<Bytes>) -> Opening {
        drop(request);
        Box::pin(async { Err(TransportError::Failed("this transport cannot read a body as it arrives".into())) })
    }
}

/// One that is shared, such as that of `testing::TestIssuer`.
impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(&self, request: http::Request<Bytes>, max_body: usize) -> Exchange {
        (**self).send(request, max_body)
    }

    fn open(&self, request: http::Request<Bytes>) -> Opening {
        (**self).open(request)
    }
}

/// Why an authorization server gave no answer that could be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The answer's body is larger than the caller allows.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// No answer within this time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// No answer, or not all of it: connection, TLS or protocol trouble.
    #[error("no answer")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// HTTP by reqwest.
#[derive(Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    /// For `http`, which is accepted on loopback because nobody is in between: least of all the environment's proxy.
    direct: reqwest::Client,
}

impl HttpTransport {
    /// A client that follows no redirects, asks for no compression, and gives up connecting after three seconds.
    pub(crate) fn new() -> Result<Self, TransportError> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(Duration::from_secs(3))
        };
        let failed = |error: reqwest::Error| TransportError::Failed(error.into());
        Ok(Self { client: builder().build().map_err(failed)?, direct: builder().no_proxy().build().map_err(failed)? })
    }
}

impl From<reqwest::Client> for HttpTransport {
    /// The user's own client, with its private CA, proxy and redirect policy.
    fn from(client: reqwest::Client) -> Self {
        Self { direct: client.clone(), client }
    }
}

impl fmt::Debug for HttpTransport {
    /// Not the client, whose default headers and proxies may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").finish_non_exhaustive()
    }
}

impl HttpTransport {
    /// Sends `request`, and waits for the head of its answer.
    fn execute(
        &self,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<reqwest::Response, TransportError>> + Send + use<> {
        let is_plain = request.uri().scheme() == Some(&http::uri::Scheme::HTTP);
        let client = if is_plain { &self.direct } else { &self.client }.clone();
        async move {
            let request = reqwest::Request::try_from(request.map(reqwest::Body::from)).map_err(failed)?;
            client.execute(request).await.map_err(failed)
        }
    }
}

/// The URL may hold a secret.
fn failed(error: reqwest::Error) -> TransportError {
    TransportError::Failed(error.without_url().into())
}

impl Transport for HttpTransport {
    fn open(&self, request: http::Request<Bytes>) -> Opening {
        let answer = self.execute(request);
        Box::pin(async move {
            let answer: http::Response<reqwest::Body> = answer.await?.into();
            Ok(answer.map(|body| -> Arriving { Box::pin(Pieces(BodyDataStream::new(body))) }))
        })
    }

    fn send(&self, request: http::Request<Bytes>, max_body: usize) -> Exchange {
        let answer = self.execute(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            let mut head = http::Response::new(());
            *head.status_mut() = answer.status();
            *head.headers_mut() = std::mem::take(answer.headers_mut());
            let mut body = BytesMut::new();
            while let Some(chunk) = answer.chunk().await.map_err(failed)? {
                if body.len() + chunk.len() > max_body {
                    return Err(TransportError::TooLarge(max_body));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(head.map(|()| body.freeze()))
        })
    }
}

/// The body of an answer, with its errors as ours.
struct Pieces(BodyDataStream<reqwest::Body>);

impl Stream for Pieces {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx).map_err(failed)
    }
}

/// Where nobody is to be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoTransport;

impl Transport for NoTransport {
    fn send(&self, _: http::Request<Bytes>, _: usize) -> Exchange {
        Box::pin(async { Err(TransportError::Failed("no HTTP client is configured".into())) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

    async fn next(body: &mut Arriving) -> Option<Result<Bytes, TransportError>> {
        std::future::poll_fn(|context| body.as_mut().poll_next(context)).await
    }

    /// The body of an answer whose head is there, and the server's end of its connection.
    async fn opened() -> (Arriving, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/stream", listener.local_addr().unwrap());
        let accepted = async {
            let (mut server, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(server.read_u8().await.unwrap());
            }
            server.write_all(HEAD).await.unwrap();
            server
        };
        let transport = HttpTransport::new().unwrap();
        let opening = transport.open(http::Request::get(url).body(Bytes::new()).unwrap());
        let (answer, server) = tokio::join!(opening, accepted);
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        (answer.into_body(), server)
    }

    #[tokio::test]
    async fn a_body_is_handed_on_as_it_arrives() {
        let (mut body, mut server) = opened().await;
        for piece in ["one", "two"] {
            server.write_all(format!("3\r\n{piece}\r\n").as_bytes()).await.unwrap();
            assert_eq!(next(&mut body).await.unwrap().unwrap(), piece);
        }
        server.write_all(b"0\r\n\r\n").await.unwrap();
        assert!(next(&mut body).await.is_none());
    }

    #[tokio::test]
    async fn a_connection_that_breaks_off_is_an_error_and_no_end() {
        let (mut body, mut server) = opened().await;
        server.write_all(b"9\r\none").await.unwrap();
        drop(server);
        let mut read = Vec::new();
        let error = loop {
            match next(&mut body).await.expect("not all of it") {
                Ok(piece) => read.extend_from_slice(&piece),
                Err(error) => break error,
            }
        };
        assert_eq!((&*read, error.to_string().as_str()), (&b"one"[..], "no answer"));
        assert!(!crate::observe::chain(&error).contains("127.0.0.1"), "the URL may hold a secret");
    }

    #[tokio::test]
    async fn whoever_drops_a_body_gives_up_its_connection() {
        let (mut body, mut server) = opened().await;
        server.write_all(b"3\r\none\r\n").await.unwrap();
        assert_eq!(next(&mut body).await.unwrap().unwrap(), "one");
        drop(body);
        let mut rest = Vec::new();
        // Its end, or a reset: either is one.
        let _ = server.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }

    #[tokio::test]
    async fn a_transport_that_cannot_do_so_says_so() {
        let request = http::Request::get("https://idp.example").body(Bytes::new()).unwrap();
        let error = NoTransport.open(request).await.err().unwrap();
        assert!(crate::observe::chain(&error).contains("cannot read a body as it arrives"));
    }
}
