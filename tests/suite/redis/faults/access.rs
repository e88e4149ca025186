//! Certificates and passwords that are not as they should be → nobody is believed, and no secret is told.

use portcullis::{
    redis::{PublishError, Redis, RedisBuilder, RedisError},
    status::FeedState,
};

use super::{
    builder,
    certificates::{Authority, Identity},
    established,
    logged::Logged,
    names,
    site::{INVALID, OK, Replica, Site, UNAVAILABLE},
};
use crate::redis::server::{IN_MEMORY, ON_DISK, RedisServer, free_port};

/// A server with a certificate of that name, which wants one of its clients or does not; and its port for TLS.
async fn encrypted(authority: &Authority, name: &str, wants_clients: bool) -> Option<(RedisServer, u16)> {
    let Identity { certificate, key } = authority.identity(name);
    let files = [("certificate.pem", certificate), ("key.pem", key), ("roots.pem", authority.pem())];
    let port = free_port();
    let directory =
        std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let [certificate, key, roots] = files.map(|(file, pem)| {
        std::fs::write(directory.join(file), pem).unwrap();
        directory.join(file).to_str().unwrap().to_owned()
    });
    let number = port.to_string();
    let options = [
        ["--tls-port", &number],
        ["--tls-cert-file", &certificate],
        ["--tls-key-file", &key],
        ["--tls-ca-cert-file", &roots],
        ["--tls-auth-clients", if wants_clients { "yes" } else { "no" }],
    ];
    let server = RedisServer::start_with(&[&IN_MEMORY[..], options.as_flattened()].concat()).await;
    std::fs::remove_dir_all(&directory).unwrap();
    server.map(|server| (server, port))
}

fn at(port: u16) -> RedisBuilder {
    Redis::at(&format!("rediss://127.0.0.1:{port}")).unwrap().timeout(std::time::Duration::from_secs(1))
}

/// Nobody is followed there, and nothing is published.
async fn is_refused(site: &Site, redis: RedisBuilder, why: &str) {
    let log = builder(redis.build().unwrap()).build().unwrap();
    let replica = site.replica(log.clone());
    replica.until(why, async |replica| replica.feed().trouble.is_some()).await;
    assert_eq!(
        (replica.feed().state, replica.gets(&site.token("good")).await),
        (FeedState::Never, UNAVAILABLE),
        "{why}"
    );
    let refused = log.publish(site.revoked("x")).await;
    let is_of_the_way = |error: &RedisError| matches!(error, RedisError::Unreachable(_) | RedisError::Timeout(_));
    assert!(matches!(&refused, Err(PublishError::Redis(error)) if is_of_the_way(error)), "{why}: {refused:?}");
}

#[tokio::test]
async fn a_server_is_believed_that_shows_a_certificate_of_whom_we_trust() {
    let (ours, theirs, site) = (Authority::new(), Authority::new(), Site::new());
    let Some((server, port)) = encrypted(&ours, "127.0.0.1", false).await else { return };
    established(&server.url()).await;
    let log = builder(at(port).root_certificates(ours.pem().as_bytes()).build().unwrap()).build().unwrap();
    log.publish(site.revoked("revoked")).await.unwrap();
    let replica = site.ready_replica(log).await;
    assert_eq!((replica.gets(&site.token("revoked")).await, replica.gets(&site.token("good")).await), (INVALID, OK));

    is_refused(&site, at(port).root_certificates(theirs.pem().as_bytes()), "another authority").await;
    is_refused(&site, at(port), "the authorities of the system").await;
    let without_tls = Redis::at(&format!("redis://127.0.0.1:{port}")).unwrap();
    is_refused(&site, without_tls.timeout(std::time::Duration::from_secs(1)), "without TLS").await;
    let Some((_server, port)) = encrypted(&ours, "redis.test", false).await else { return };
    is_refused(&site, at(port).root_certificates(ours.pem().as_bytes()), "the certificate of another name").await;
}

#[tokio::test]
async fn a_server_that_wants_certificates_of_its_clients_gets_ours() {
    let (ours, theirs, site) = (Authority::new(), Authority::new(), Site::new());
    let Some((server, port)) = encrypted(&ours, "127.0.0.1", true).await else { return };
    established(&server.url()).await;
    let trusting = || at(port).root_certificates(ours.pem().as_bytes());
    let with =
        |Identity { certificate, key }: Identity| trusting().client_certificate(certificate.as_bytes(), key.as_bytes());
    let log = builder(with(ours.identity("replica.test")).build().unwrap()).build().unwrap();
    log.publish(site.revoked("revoked")).await.unwrap();
    let replica = site.ready_replica(log).await;
    assert_eq!((replica.gets(&site.token("revoked")).await, replica.gets(&site.token("good")).await), (INVALID, OK));
    is_refused(&site, trusting(), "no certificate of ours").await;
    is_refused(&site, with(theirs.identity("replica.test")), "one of somebody else's").await;
}

#[tokio::test]
async fn a_password_that_is_changed_ends_what_is_known_and_is_told_to_nobody_threat_29() {
    let Some(server) = RedisServer::start().await else { return };
    let site = Site::new();
    established(&server.url()).await.publish(site.revoked("revoked")).await.unwrap();
    server.cli(&["ACL", "SETUSER", "replica", "on", ">hunter2", "~*", "+@all"]);
    let logged = Logged::new();
    let url = server.url_of("replica", "hunter2");
    let log = super::log(&url);
    let replica = site.ready_replica(log.clone()).await;
    // Redis ends the connections of a user that it does not know any more.
    server.cli(&["ACL", "DELUSER", "replica"]);
    let since = replica.now();
    let good = site.token("good");
    let is_stale = async |replica: &Replica| replica.feed().state != FeedState::Synced;
    replica.never_passes_until(&good, since, "stale", is_stale).await;
    assert!(replica.knows(&site.token("revoked")).await);
    let refused = log.publish(site.revoked("x")).await.unwrap_err();
    assert!(matches!(refused, PublishError::Redis(RedisError::Refused(_))), "{refused:?}");
    let feed = replica.feed();
    assert!(feed.trouble.as_ref().is_some_and(|trouble| trouble.contains("refused")), "{feed:?}");
    let texts =
        [serde_json::to_string(&feed).unwrap(), format!("{feed:?} {refused} {refused:?} {log:?}"), logged.text()];
    assert!(texts[2].contains("refused"), "it is logged");
    assert!(texts.iter().all(|text| !text.contains("hunter")), "{texts:?}");
    // With the user, it is back by itself.
    server.cli(&["ACL", "SETUSER", "replica", "on", ">hunter2", "~*", "+@all"]);
    replica.until_gets(&good, OK).await;
}

#[tokio::test]
async fn a_redis_that_is_loading_is_waited_for() {
    // Of a log that takes its time: so many microseconds for a key.
    let slow = ["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"];
    let Some(mut server) = RedisServer::start_with(&[&ON_DISK[..], &slow].concat()).await else { return };
    let (site, log) = (Site::new(), established(&server.url()).await);
    let replica = site.ready_replica(log.clone()).await;
    let revoked = names("revoked", 100);
    for name in &revoked {
        log.publish(site.revoked(name)).await.unwrap();
    }
    server.cli(&["BGREWRITEAOF"]);
    let is_written = |server: &RedisServer| {
        let state = server.cli(&["INFO", "persistence"]);
        ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"].iter().all(|line| state.contains(line))
    };
    server.until("the file is written", is_written).await;
    let since = replica.now();
    server.kill().await;
    server.launch();
    let is_loading = async |replica: &Replica| replica.feed().trouble.is_some_and(|why| why.contains("LOADING"));
    replica.never_passes_until(&site.token("good"), since, "loading", is_loading).await;
    let later = site.replica(log.clone());
    later.until("loading", is_loading).await;
    assert_eq!(later.gets(&site.token("good")).await, UNAVAILABLE);
    for replica in [&replica, &later] {
        replica.until_gets(&site.token("good"), OK).await;
        for name in &revoked {
            assert_eq!(replica.gets(&site.token(name)).await, INVALID, "{name}");
        }
    }
}
