//! An authorization server by script: answers in the order they were given, and what was asked for each.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use portcullis::issuer::{Exchange, Transport, TransportError};

/// Leads to the server of the script; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Scripted(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    answers: VecDeque<Answer>,
    sent: Vec<Sent>,
}

#[derive(Debug)]
enum Answer {
    Given(Response<Bytes>),
    Hang,
}

/// A request as it was sent.
#[derive(Debug)]
pub struct Sent {
    /// Method and URL.
    pub line: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Sent {
    /// The form, by name and in no order, as it was meant.
    pub fn form(&self) -> Vec<(String, String)> {
        assert_eq!(self.headers["content-type"], "application/x-www-form-urlencoded");
        let mut form: Vec<_> = url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect();
        form.sort();
        form
    }

    /// `Authorization`.
    pub fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(|value| value.to_str().unwrap())
    }
}

impl Scripted {
    /// The next request is answered like this, as JSON.
    pub fn then(&self, status: u16, body: impl Into<Bytes>) -> &Self {
        self.then_with(status, &[], body)
    }

    /// The same with more headers.
    pub fn then_with(&self, status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> &Self {
        let mut answer = Response::builder().status(status).header("content-type", "application/json");
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        self.0.lock().unwrap().answers.push_back(Answer::Given(answer.body(body.into()).unwrap()));
        self
    }

    /// The next request is never answered.
    pub fn then_hang(&self) -> &Self {
        self.0.lock().unwrap().answers.push_back(Answer::Hang);
        self
    }

    /// What was sent since last asked.
    pub fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.0.lock().unwrap().sent)
    }

    /// The one request that was sent since last asked.
    #[track_caller]
    pub fn only(&self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    /// How many answers nobody has asked for.
    pub fn left(&self) -> usize {
        self.0.lock().unwrap().answers.len()
    }
}

impl Transport for Scripted {
    fn send(&self, request: Request<Bytes>, max_body: usize) -> Exchange {
        let (head, body) = request.into_parts();
        let line = format!("{} {}", head.method, head.uri);
        let body = String::from_utf8(body.to_vec()).unwrap();
        let mut script = self.0.lock().unwrap();
        script.sent.push(Sent { line, headers: head.headers, body });
        let answer = script.answers.pop_front();
        Box::pin(async move {
            match answer {
                Some(Answer::Given(answer)) if answer.body().len() > max_body => {
                    Err(TransportError::TooLarge(max_body))
                }
                Some(Answer::Given(answer)) => Ok(answer),
                Some(Answer::Hang) => std::future::pending().await,
                None => Err(TransportError::Failed("the script is over".into())),
            }
        })
    }
}
