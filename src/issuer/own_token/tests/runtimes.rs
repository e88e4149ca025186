//! Runtimes that end, stand still, or are not there → callers who do not wait for them.

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn nobody_waits_for_a_request_whose_runtime_is_gone() {
    let world = World::new();
    let held = world.issuer.hold(Target::Token);
    let first = runtime();
    first.block_on(async {
        tokio::select! {
            biased;
            _ = world.token.get() => panic!("it is held"),
            () = held.arrived() => {}
        }
    });
    // A follower on another runtime, which goes on by itself.
    let second = runtime();
    second.block_on(async {
        let (answer, ()) = tokio::join!(world.token.get(), async {
            world.clock.settle().await;
            first.shutdown_background();
            world.clock.settle().await;
            held.release();
        });
        assert_eq!(answer.unwrap().number, 2);
    });
    // One that stands still is waited for no longer than a request may take.
    let world = World::new();
    let held = world.issuer.hold(Target::Token);
    let stopped = runtime();
    stopped.block_on(async {
        tokio::select! {
            biased;
            _ = world.token.get() => panic!("it is held"),
            () = held.arrived() => {}
        }
    });
    held.release();
    second.block_on(async {
        let (answer, ()) = tokio::join!(world.token.get(), async {
            world.clock.settle().await;
            world.clock.advance(TIMEOUT + SECOND);
            world.clock.settle().await;
        });
        assert_eq!(answer.unwrap().number, 2);
    });
}

#[test]
fn without_a_runtime_it_is_an_error() {
    let world = World::new();
    let mut get = std::pin::pin!(world.token.get());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let answer = std::future::Future::poll(get.as_mut(), &mut context);
    assert!(matches!(answer, std::task::Poll::Ready(Err(error)) if matches!(*error, ClientError::Abandoned)));
}

#[test]
fn without_a_runtime_an_expired_token_is_an_error_and_no_endless_loop() {
    let world = World::new();
    let runtime = runtime();
    runtime.block_on(async { assert_eq!(world.number().await, 1) });
    drop(runtime);
    world.clock.advance(2 * HOUR);
    let (sender, receiver) = std::sync::mpsc::channel();
    let token = Arc::clone(&world.token);
    std::thread::spawn(move || {
        let mut get = std::pin::pin!(token.get());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        sender.send(std::future::Future::poll(get.as_mut(), &mut context).map(|answer| answer.is_err())).unwrap();
    });
    let answer = receiver.recv_timeout(Duration::from_secs(10)).expect("an endless loop");
    assert_eq!(answer, std::task::Poll::Ready(true));
}

#[test]
fn impatient_callers_do_not_wait_for_ever_for_a_runtime_that_stands_still() {
    let world = World::new();
    let held = world.issuer.hold(Target::Token);
    let (stopped, running) = (runtime(), runtime());
    stopped.block_on(async {
        tokio::select! {
            biased;
            _ = world.token.get() => panic!("it is held"),
            () = held.arrived() => {}
        }
    });
    held.release();
    // As a status source is asked: an attempt is given up after a second.
    let fetched = running.block_on(async {
        for _ in 0..10 {
            tokio::select! {
                biased;
                answer = world.token.get() => return answer.unwrap().number,
                () = world.clock.settle() => {}
            }
            world.clock.advance(SECOND);
        }
        0
    });
    assert_eq!(fetched, 2);
}
