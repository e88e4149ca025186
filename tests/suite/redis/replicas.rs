//! Services that follow one log.

use super::*;

#[tokio::test]
async fn what_is_published_is_refused_by_every_replica_threat_14() {
    let Some((server, log)) = established().await else { return };
    let replicas: Vec<_> = (0..3).map(|_| Replica::following(log_at(&server.url()))).collect();
    for replica in &replicas {
        replica.until(&replica.token("s-1"), Ok(())).await;
    }
    log.publish(revoked("s-1")).await.unwrap();
    for replica in &replicas {
        replica.until(&replica.token("s-1"), INVALID).await;
        assert_eq!(replica.check(&replica.token("s-2")).await, Ok(()));
    }
    let late = Replica::following(log_at(&server.url()));
    late.until(&late.token("s-2"), Ok(())).await;
    assert_eq!(late.check(&late.token("s-1")).await, INVALID, "by the snapshot");
}

#[tokio::test]
async fn a_suspension_holds_until_it_is_lifted() {
    let Some((server, log)) = established().await else { return };
    let replica = Replica::following(log_at(&server.url()));
    let token = replica.token("s-1");
    replica.until(&token, Ok(())).await;
    log.publish(RevocationEvent::Suspended(session("s-1"))).await.unwrap();
    replica.until(&token, INVALID).await;
    let late = Replica::following(log_at(&server.url()));
    late.until(&late.token("s-2"), Ok(())).await;
    assert_eq!(late.check(&late.token("s-1")).await, INVALID);
    log.publish(RevocationEvent::Resumed(session("s-1"))).await.unwrap();
    replica.until(&token, Ok(())).await;
    late.until(&late.token("s-1"), Ok(())).await;
}

#[tokio::test]
async fn without_a_log_nobody_is_let_in_threat_17() {
    let Some(server) = RedisServer::start().await else { return };
    let replica = Replica::following(log_at(&server.url()));
    let token = replica.token("s-1");
    let feed = || replica.authorizer.readiness().revocation_feeds[0].clone();
    server.until("the trouble is seen", |_| feed().trouble.is_some()).await;
    assert_eq!(replica.check(&token).await, UNAVAILABLE);
    assert!(feed().trouble.unwrap().contains("no log"), "{:?}", feed());
    assert_eq!(log_at(&server.url()).establish(vec![]).await, Ok(true));
    replica.until(&token, Ok(())).await;
}
