//! A cluster whose slots move → the log goes on where they are.

use std::time::Duration;

use portcullis::redis::{Redis, RedisRevocations};

use super::{
    builder,
    cluster::Cluster,
    site::{INVALID, OK, Site},
};

fn log(cluster: &Cluster) -> RedisRevocations {
    let urls = cluster.urls();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    builder(Redis::cluster(&urls).unwrap().timeout(Duration::from_secs(1)).build().unwrap()).build().unwrap()
}

#[tokio::test]
async fn the_log_follows_its_slot_through_a_cluster() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let (site, log) = (Site::new(), log(&cluster));
    assert_eq!(log.establish(Vec::new()).await, Ok(true));
    let replica = site.ready_replica(log.clone()).await;
    let mut published = Vec::new();
    let mut publish = async |name: &str| {
        published.push(name.to_owned());
        let publish = async |_: &_| log.publish(site.revoked(name)).await.is_ok();
        replica.until("somebody takes it", publish).await;
        replica.until_gets(&site.token(name), INVALID).await;
        replica.until_gets(&site.token("good"), OK).await;
    };
    publish("at first").await;

    let first = cluster.owner();
    cluster.move_slot((first + 1) % 3).await;
    publish("after it was moved").await;
    cluster.move_slot(first).await;
    publish("after it was moved back").await;

    cluster.nodes[3].cli(&["CLUSTER", "FAILOVER"]);
    cluster.until_owned_by(3).await;
    publish("after the replica took over").await;
    cluster.nodes[3].until_followed_by(&cluster.nodes[first]).await;
    cluster.nodes[3].kill().await;
    cluster.nodes[first].cli(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
    cluster.until_owned_by(first).await;
    publish("after the new master was killed").await;

    let later = site.ready_replica(log.clone()).await;
    for name in &published {
        assert_eq!(later.gets(&site.token(name)).await, INVALID, "{name}");
    }
}
