//! A request that is about to be sent → the same once more, for the case that its token is refused.

use bytes::{Buf, Bytes};
use http::Request;
use http_body_util::{Empty, Full};

/// How requests are repeated.
pub trait Repeat<Req> {
    /// The same request once more, extensions included; `None` where that cannot be. Asked before it is sent the first
    /// time.
    fn repeat(&self, request: &Req) -> Option<Req>;
}

/// Repeats requests whose bodies are at hand: see [`RepeatableBody`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RepeatBodies;

/// Repeats none.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NeverRepeat;

/// A body that may be sent twice, such as one that is in memory.
pub trait RepeatableBody: Sized {
    /// The same body from its beginning; `None` where it is read as it is sent.
    fn again(&self) -> Option<Self>;
}

impl<B: RepeatableBody> Repeat<Request<B>> for RepeatBodies {
    fn repeat(&self, request: &Request<B>) -> Option<Request<B>> {
        let mut again = Request::new(request.body().again()?);
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.version_mut() = request.version();
        *again.headers_mut() = request.headers().clone();
        *again.extensions_mut() = request.extensions().clone();
        Some(again)
    }
}

impl<Req> Repeat<Req> for NeverRepeat {
    fn repeat(&self, _: &Req) -> Option<Req> {
        None
    }
}

macro_rules! repeatable {
    ($([$($parameter:tt)*] $body:ty),+ $(,)?) => {$(
        impl<$($parameter)*> RepeatableBody for $body {
            fn again(&self) -> Option<Self> {
                Some(self.clone())
            }
        }
    )+};
}

repeatable!([D: Buf + Clone] Full<D>, [D] Empty<D>, [] Bytes, [] String, [] Vec<u8>, [] &'static str, [] ());
