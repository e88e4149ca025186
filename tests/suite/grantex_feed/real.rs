//! The feed over sockets: what is revoked at a server reaches whoever follows it by HTTP.

use std::time::Duration;

use portcullis::{issuer::Connection, providers::grantex::GrantexFeed, status::FeedState, testing::ManualClock};

use super::{
    By, ISSUER, SECOND, World,
    line::listen,
    server::{KEY, Server},
};

impl World {
    /// Waits, by the clock on the wall, until it is so.
    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !is_so().await {
                self.server.beat();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(tokio::time::timeout(20 * SECOND, waiting).await.is_ok(), "{what}");
    }
}

#[tokio::test]
async fn what_is_revoked_at_a_server_is_refused_here() {
    for by in [By::Stream, By::LongPoll] {
        let server = Server::new(&ManualClock::new());
        server.grant("revoked", "before");
        let address = listen(&server).await;
        let connection = Connection::new().unwrap().clock(server.clock.clone());
        let feed = GrantexFeed::at(&format!("http://{address}"), KEY, ISSUER, connection).unwrap();
        let world = World::following(server, feed, by).await;
        let synced = async || world.inner.authorizer.readiness().ready;
        world.until("synced", synced).await;
        let (before, now) = (world.token("1", "before", None), world.legacy("2", "now", None));
        assert!(world.check(&before).await.is_err());
        assert!(world.check(&now).await.is_ok());

        world.server.grant("suspended", "now");
        let tick = || {
            if by == By::LongPoll {
                world.inner.clock.advance(SECOND)
            }
        };
        let until = async |what, expected: bool| {
            world
                .until(what, async || {
                    tick();
                    world.check(&now).await.is_ok() == expected
                })
                .await;
        };
        until("suspended", false).await;
        world.server.grant("resumed", "now");
        until("resumed", true).await;

        // The connection ends; what happens meanwhile is heard on the next.
        world.server.cut();
        world.server.grant("revoked", "now");
        world
            .until("revoked meanwhile", async || {
                world.inner.clock.advance(SECOND / 10);
                world.check(&now).await == super::INVALID
            })
            .await;
        drop(world);
    }
}

#[tokio::test]
async fn a_connection_ends_with_whoever_follows() {
    let server = Server::new(&ManualClock::new());
    let address = listen(&server).await;
    let connection = Connection::new().unwrap().clock(server.clock.clone());
    let feed = GrantexFeed::at(&format!("http://{address}"), KEY, ISSUER, connection).unwrap();
    let world = World::following(server.clone(), feed, By::Stream).await;
    world.until("listening", async || server.listeners() == 1).await;
    assert_eq!(
        world.inner.authorizer.readiness().issuers[0].revocation_feed.as_ref().unwrap().state,
        FeedState::Synced
    );
    drop(world);
    for _ in 0..10_000 {
        server.say(": anybody there?\n\n");
        if server.listeners() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("still listening");
}
