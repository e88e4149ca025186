//! Owners and runtimes that end or stand still → the refresh tokens that are known afterwards.

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[tokio::test]
async fn a_refresh_that_has_begun_is_stored_though_its_last_owner_is_gone() {
    for is_before_the_answer in [true, false] {
        let World { clock, both, token } = World::new();
        both.0.may_grant.send_replace(!is_before_the_answer);
        both.0.may_store.send_replace(is_before_the_answer);
        let getting = start(token);
        clock.settle().await;
        getting.abort();
        clock.settle().await;
        both.0.may_grant.send_replace(true);
        both.0.may_store.send_replace(true);
        clock.settle().await;
        assert_eq!(both.happened(), "use r0, stored r1");
        assert_eq!((clock.sleepers(), Arc::strong_count(&both.0)), (0, 1), "and nothing goes on after that");
    }
}

#[tokio::test]
async fn a_refresh_that_nobody_waits_for_does_not_go_on_for_ever() {
    let World { clock, both, token } = World::new();
    both.0.may_grant.send_replace(false);
    let getting = start(token);
    clock.settle().await;
    getting.abort();
    clock.settle().await;
    clock.advance(2 * SECOND);
    clock.settle().await;
    assert_eq!((clock.sleepers(), Arc::strong_count(&both.0)), (0, 1));
}

#[test]
fn a_refresh_token_is_not_sent_again_while_a_runtime_that_stands_still_has_it() {
    let world = World::new();
    let (stopped, running) = (runtime(), runtime());
    world.both.0.may_grant.send_replace(false);
    stopped.block_on(async {
        tokio::select! {
            biased;
            _ = world.get() => panic!("it is held"),
            () = world.clock.settle() => {}
        }
    });
    world.both.0.may_grant.send_replace(true);
    // The answer is there, and nobody reads it.
    let in_vain = running.block_on(async {
        let mut answer = std::pin::pin!(world.get());
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                () = world.clock.settle() => world.clock.advance(SECOND),
            }
        }
    });
    assert_eq!(in_vain.unwrap_err().to_string(), "no token within 2s");
    assert_eq!(world.both.happened(), "use r0");
    stopped.block_on(world.clock.settle());
    assert_eq!(world.both.happened(), "stored r1");
    assert_eq!(running.block_on(world.next()).unwrap(), "a1");
    assert_eq!(world.both.happened(), "use r1, stored r2");
}
