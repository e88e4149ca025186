//! A URL → whom to connect to, and as whom; or why that is no address of a Redis.

use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, io::tcp::TcpSettings};
use url::{Host, Url};

use super::RedisConfigError;

/// Understood are `redis://` and, over TLS, `rediss://` (or `valkey`, `valkeys`) with `user:password@`, host, port and
/// `/database`; and `unix:///path` with `?user=`, `pass=`, `db=`.
pub(super) fn parse(number: usize, text: &str) -> Result<ConnectionInfo, RedisConfigError> {
    let wrong = |reason| RedisConfigError::Address { number, reason };
    let url = Url::parse(text).map_err(|_| wrong("it does not parse"))?;
    match url.scheme() {
        "redis" | "rediss" | "valkey" | "valkeys" if url.query().is_some() => return Err(wrong("a query")),
        "redis" | "rediss" | "valkey" | "valkeys" | "unix" | "redis+unix" | "valkey+unix" => {}
        _ => return Err(wrong("its scheme is neither rediss, redis nor unix")),
    }
    if url.fragment().is_some() {
        return Err(wrong("a fragment: there is no TLS that proves nothing"));
    }
    if url.host().is_none_or(|host| host == Host::Domain("")) && !url.scheme().ends_with("unix") {
        return Err(wrong("no host"));
    }
    let info = url.into_connection_info().map_err(|_| wrong("its user, password, path or database is not valid"))?;
    let redis = info.redis_settings().clone();
    if redis.db() < 0 {
        return Err(wrong("its database is not valid"));
    }
    if redis.username().is_some() && redis.password().is_none() {
        return Err(wrong("a user without a password"));
    }
    let redis = redis.set_lib_name("portcullis", env!("CARGO_PKG_VERSION"));
    Ok(info.set_redis_settings(redis).set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// A server that others named, reached as those were: with TLS or without.
pub(super) fn beside(known: &ConnectionAddr, host: &str, port: u16) -> ConnectionAddr {
    if is_encrypted(known) {
        ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host.to_owned(), port)
    }
}

pub(super) const fn is_encrypted(addr: &ConnectionAddr) -> bool {
    matches!(addr, ConnectionAddr::TcpTls { .. })
}

/// Whether what goes there can be read or written by whoever is on the way.
pub(super) fn is_exposed(addr: &ConnectionAddr) -> bool {
    let ConnectionAddr::Tcp(host, _) = addr else { return false };
    let is_loopback = match Host::parse(host) {
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Ok(Host::Domain(name)) => name == "localhost",
        Err(_) => host.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
    };
    !is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_whom_to_connect_to_and_as_whom() {
        // (address, server, user, password, database, over TLS)
        let rows = [
            ("redis://localhost", "localhost:6379", None, None, 0, false),
            ("rediss://u:p%40@redis.example:7/3", "redis.example:7", Some("u"), Some("p@"), 3, true),
            ("valkeys://:p@[::1]:7", "::1:7", None, Some("p"), 0, true),
            ("valkey://10.0.0.1", "10.0.0.1:6379", None, None, 0, false),
            ("unix:///run/redis.sock?db=2&user=u&pass=p", "/run/redis.sock", Some("u"), Some("p"), 2, false),
        ];
        for (text, server, user, password, database, encrypted) in rows {
            let info = parse(1, text).unwrap();
            let redis = info.redis_settings();
            assert_eq!(info.addr().to_string(), server);
            assert_eq!((redis.username(), redis.password(), redis.db()), (user, password, database), "{text}");
            assert_eq!(is_encrypted(info.addr()), encrypted, "{text}");
            assert!(info.tcp_settings().nodelay());
        }
    }

    #[test]
    fn what_is_no_address_is_named_and_not_repeated_threat_29() {
        for text in [
            "",
            "hunter2",
            "redis:",
            "redis://",
            "redis://u:hunter2@",
            "redis://u:hunter2@host:99999",
            "http://u:hunter2@host",
            "redis://u:hunter2@host/x",
            "redis://u:hunter2@host/-1",
            "redis://u:hunter2@0.0.0.0",
            "redis://u:%ffhunter2@host",
            "redis://hunter2@host",
            "rediss://u:hunter2@host#insecure",
            "redis://u:hunter2@host?protocol=resp3",
            "redis://host?hunter2",
            "unix:///run/x?db=hunter2",
        ] {
            let error = parse(2, text).unwrap_err();
            assert!(matches!(error, RedisConfigError::Address { number: 2, .. }), "{text}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn what_leaves_the_machine_unencrypted_is_exposed() {
        let rows = [
            ("redis://localhost", false),
            ("redis://127.0.0.9", false),
            ("redis://[::1]", false),
            ("rediss://redis.example", false),
            ("unix:///run/redis.sock", false),
            ("redis://redis.example", true),
            ("redis://localhost.example", true),
            ("redis://10.0.0.1", true),
            ("redis://[fe80::1]", true),
            ("redis://[::ffff:10.0.0.1]", true),
        ];
        for (text, exposed) in rows {
            assert_eq!(is_exposed(parse(1, text).unwrap().addr()), exposed, "{text}");
        }
    }

    #[test]
    fn whom_others_name_is_reached_as_they_are() {
        let over_tls = parse(1, "rediss://s1").unwrap();
        assert!(is_encrypted(&beside(over_tls.addr(), "m", 7)));
        let plain = parse(1, "redis://s1").unwrap();
        assert_eq!(beside(plain.addr(), "m", 7), ConnectionAddr::Tcp("m".to_owned(), 7));
    }
}
