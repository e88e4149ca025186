//! A server that answers with one line, and what becomes of the connection to it.

use std::sync::atomic::{AtomicUsize, Ordering};

use ::redis::cmd;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// A server that answers everything with one line, and counts who connects.
async fn server(answer: &'static str) -> (String, Arc<AtomicUsize>) {
    slow_server(answer, Duration::ZERO).await
}

/// The same, each time after a while.
#[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
async fn slow_server(answer: &'static str, pause: Duration) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let serve = async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let talk = async move {
                let mut question = [0; 4096];
                while let Ok(1..) = stream.read(&mut question).await {
                    let asked = question.windows(4).filter(|word| word == b"PING" || word == b"SETI").count();
                    question.fill(0);
                    SystemClock::new().sleep(pause).await;
                    if stream.write_all(answer.repeat(asked).as_bytes()).await.is_err() {
                        break;
                    }
                }
            };
            tokio::task::spawn(talk);
        }
    };
    tokio::task::spawn(serve);
    (url, connections)
}

fn redis(url: &str) -> Redis {
    Redis::at(url).unwrap().timeout(Duration::from_millis(200)).build().unwrap()
}

#[tokio::test]
async fn many_share_one_connection_and_one_attempt() {
    let (url, connections) = server("+PONG\r\n").await;
    let redis = redis(&url);
    let asking = cmd("PING");
    let all: Vec<Result<String, _>> = futures_util::future::join_all((0..50).map(|_| redis.run(&asking))).await;
    assert!(all.iter().all(|answer| answer == &Ok("PONG".to_owned())), "{all:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_master_that_became_a_replica_is_looked_for_anew() {
    let (url, connections) = server("-READONLY x\r\n").await;
    let redis = redis(&url);
    for asked in 1..=3 {
        let answer: Result<String, _> = redis.run(&cmd("PING")).await;
        assert!(matches!(answer, Err(RedisError::Unreachable(_))), "{answer:?}");
        assert_eq!(connections.load(Ordering::SeqCst), asked);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_command_costs_no_connection() {
    let (url, connections) = server("-OOM x\r\n").await;
    let redis = redis(&url);
    for _ in 0..3 {
        assert!(matches!(redis.run::<String>(&cmd("PING")).await, Err(RedisError::Failed(_))));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_waits_for_a_server_that_does_not_answer() {
    let (url, connections) = server("").await;
    let redis = redis(&url);
    let asking = cmd("PING");
    let all: Vec<Result<String, _>> = futures_util::future::join_all((0..50).map(|_| redis.run(&asking))).await;
    assert!(all.iter().all(|answer| matches!(answer, Err(RedisError::Timeout(_)))), "{all:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 1, "and nobody knocks again at once");
    assert!(redis.dedicated(Duration::from_millis(200)).await.is_err());
}

#[tokio::test]
async fn whoever_is_told_that_nobody_is_there_does_not_ask_again_at_once() {
    // Of a listener that is gone.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    drop(listener);
    let redis = redis(&url);
    let first = redis.run::<String>(&cmd("PING")).await.unwrap_err();
    assert!(matches!(first, RedisError::Unreachable(_)), "{first}");
    let listener = TcpListener::bind(url.trim_start_matches("redis://")).await.unwrap();
    assert_eq!(redis.run::<String>(&cmd("PING")).await, Err(first), "as it was just now");
    tokio::select! {
        _ = listener.accept() => panic!("somebody knocked"),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test]
async fn a_connection_is_made_though_the_one_who_asked_has_left() {
    let (url, connections) = server("+PONG\r\n").await;
    let redis = redis(&url);
    let asking = cmd("PING");
    let mut asked = Box::pin(redis.run::<String>(&asking));
    while redis.shared.making.try_lock().is_ok() {
        tokio::select! {
            biased;
            answer = &mut asked => panic!("{answer:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(asked);
    let _ = redis.shared.making.lock().await;
    assert!(redis.shared.known().unwrap().is_ok());
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_and_an_answer_together_take_no_longer_than_one_of_them_may() {
    let (url, _) = slow_server("+PONG\r\n", Duration::from_millis(150)).await;
    let late = redis(&url).run::<String>(&cmd("PING")).await;
    assert_eq!(late, Err(RedisError::Timeout(Duration::from_millis(200))));
}

#[tokio::test]
async fn who_comes_late_with_the_trouble_of_an_old_connection_costs_nobody_the_new_one() {
    let (url, connections) = server("+PONG\r\n").await;
    let redis = redis(&url);
    for _ in 0..3 {
        assert_eq!(redis.run::<String>(&cmd("PING")).await, Ok("PONG".to_owned()));
        redis.shared.is_useless(1);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}
