//! The connection through its public door: it needs no server to be configured, and names none of our secrets.

use portcullis::redis::{Redis, RedisConfigError};

#[test]
fn a_redis_is_configured_without_being_there() {
    let redis = Redis::at("redis://:hunter2@127.0.0.1:1").unwrap().prefix("orders").build().unwrap();
    let text = format!("{redis:?}");
    assert!(text.contains("127.0.0.1:1") && text.contains("orders") && !text.contains("hunter2"), "{text}");
}

#[test]
fn an_unencrypted_way_has_to_be_chosen() {
    let builder = || Redis::at("redis://redis.example:6379").unwrap();
    let refused = builder().build().unwrap_err();
    assert_eq!(refused, RedisConfigError::Plaintext("redis.example:6379".to_owned()));
    assert!(builder().allow_plaintext().build().is_ok());
}
