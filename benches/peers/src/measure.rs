//! Services → how long each takes for a request, against the one that is compared with, and how often it allocates.
//!
//! Machines are noisy, and the noise comes in waves. So everything is measured in one process in short turns, one after
//! the other and again, every ratio is taken within a round, and the median of the rounds counts. The clock is that of the
//! thread: nobody here waits for anything, and what other processes take is nobody's fault.

use std::{
    convert::Infallible,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::body::Body;
use http::{HeaderValue, Request, Response, Uri, header::AUTHORIZATION};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tower::Service;

use crate::count::allocations;

/// How long one takes its turn, about.
const TURN: Duration = Duration::from_millis(4);

/// What answers requests: with this `Authorization`, so many times; the status of each.
type Ask = Box<dyn FnMut(Option<&HeaderValue>, u32, &mut dyn FnMut(u16))>;

/// A service that is measured.
pub(crate) struct Subject(Ask);

impl Subject {
    /// A service as it would be mounted, whatever body it answers with.
    pub(crate) fn new<S, B>(mut service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'static,
    {
        let runtime = Handle::current();
        let uri = Uri::from_static("/agents");
        Self(Box::new(move |authorization, times, answered| {
            for _ in 0..times {
                let request = request(&uri, authorization);
                let response = wait(&runtime, async {
                    std::future::poll_fn(|context| service.poll_ready(context)).await?;
                    service.call(request).await
                });
                let Ok(response) = response;
                answered(response.status().as_u16());
                black_box(response);
            }
        }))
    }

    /// How it answers one request.
    pub(crate) fn status(&mut self, authorization: Option<&HeaderValue>) -> u16 {
        let mut status = 0;
        (self.0)(authorization, 1, &mut |answered| status = answered);
        status
    }

    /// How long it takes for so many, in nanoseconds for each.
    ///
    /// # Panics
    /// Where one was answered with another status than before.
    fn turn(&mut self, authorization: Option<&HeaderValue>, times: u32, status: u16) -> f64 {
        let mut others = 0;
        let start = worked();
        (self.0)(authorization, times, &mut |answered| others += u32::from(answered != status));
        let elapsed = worked() - start;
        assert_eq!(others, 0, "answers other than {status}");
        elapsed.as_secs_f64() * 1e9 / f64::from(times)
    }

    /// Allocations of one request, the making of the request included.
    fn allocations(&mut self, authorization: Option<&HeaderValue>) -> u64 {
        let count = |subject: &mut Self, times| {
            let before = allocations();
            (subject.0)(authorization, times, &mut |_| {});
            allocations() - before
        };
        count(self, 10);
        // Whoever allocates now and then does not count as one who does each time.
        (count(self, 1000) + 500) / 1000
    }
}

/// How long this thread has been at work so far.
fn worked() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("time spent is not negative")
}

/// The same for everybody: a path, and the header.
fn request(uri: &Uri, authorization: Option<&HeaderValue>) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri.clone();
    if let Some(authorization) = authorization {
        request.headers_mut().insert(AUTHORIZATION, authorization.clone());
    }
    request
}

/// Polls once, which is enough for whoever has the keys at hand; only who has not is waited for.
fn wait<T>(runtime: &Handle, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => runtime.block_on(future),
    }
}

/// What came out for one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Time against that of the first one: median of the rounds, and the quarters around it.
    pub(crate) ratio: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) allocations: u64,
}

/// Measures all of them against the one at `floor`. Each is asked with its own header, and has to keep to one status.
pub(crate) fn measure(
    subjects: &mut [(&mut Subject, Option<&HeaderValue>)],
    floor: usize,
    rounds: usize,
) -> Vec<Measured> {
    let prepared: Vec<(u16, u32)> = subjects
        .iter_mut()
        .map(|(subject, header)| {
            let status = subject.status(*header);
            subject.turn(*header, 20, status);
            let one = subject.turn(*header, 20, status);
            let times = (TURN.as_secs_f64() * 1e9 / one) as u32;
            (status, times.max(4))
        })
        .collect();
    let count = subjects.len();
    let mut ratios = vec![Vec::with_capacity(rounds); count];
    for round in 0..rounds {
        let mut times = vec![0.0; count];
        for position in 0..count {
            // Everybody comes after everybody, in the course of time.
            let who = (position + round) % count;
            let (subject, header) = &mut subjects[who];
            let (status, batch) = prepared[who];
            times[who] = subject.turn(*header, batch, status);
        }
        for (who, time) in times.iter().enumerate() {
            ratios[who].push(time / times[floor]);
        }
    }
    ratios
        .into_iter()
        .zip(subjects)
        .map(|(ratios, (subject, header))| {
            let [low, ratio, high] = quartiles(ratios);
            Measured { ratio, low, high, allocations: subject.allocations(*header) }
        })
        .collect()
}

/// The first quarter, the median, and the third.
pub(crate) fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |quarter: usize| values[(values.len() - 1) * quarter / 4];
    [at(1), at(2), at(3)]
}
