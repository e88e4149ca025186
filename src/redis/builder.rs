//! Addresses and settings → a [`Redis`], or why there cannot be one.

use std::{fmt, time::Duration};

use ::redis::ConnectionInfo;

use super::{
    Redis, RedisConfigError,
    address::{is_encrypted, is_exposed, parse},
    connection::Settings,
    locate::Place,
    tls::{Certificates, provide_crypto},
};

/// A [`Redis`] being configured.
#[must_use]
pub struct RedisBuilder {
    place: Place,
    addresses: Vec<ConnectionInfo>,
    prefix: String,
    timeout: Duration,
    allows_plaintext: bool,
    certificates: Certificates,
    credentials: Option<(String, String)>,
    database: Option<u32>,
}

impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.addresses.iter().map(|address| address.addr().to_string()).collect();
        f.debug_struct("RedisBuilder").field("servers", &servers).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Redis {
    /// One server, at `rediss://user:password@host:6380/0`: over TLS; as that user of its ACL; its database 0.
    ///
    /// Understood are `redis`, `rediss`, `valkey`, `valkeys`, and `unix:///path?user=…&pass=…&db=…`.
    ///
    /// # Errors
    /// Where it is no such URL.
    pub fn at(url: &str) -> Result<RedisBuilder, RedisConfigError> {
        RedisBuilder::new(Place::Server, &[url])
    }

    /// The master of that name, as these Sentinels say; they are asked whenever a connection is made. What stands in their
    /// URLs is for them: see [`RedisBuilder::credentials`]. The servers are reached over TLS if the Sentinels are.
    ///
    /// # Errors
    /// Where one is no URL as in [`at`](Self::at), or there is none.
    pub fn sentinel(urls: &[&str], master: &str) -> Result<RedisBuilder, RedisConfigError> {
        RedisBuilder::new(Place::Sentinel(master.into()), urls)
    }

    /// The cluster that these are some nodes of. All our keys are in one slot, so that it is the one master of that slot
    /// which does the work: the log is as large and as fast as one server. Other nodes are spoken to with the credentials
    /// of the first address.
    ///
    /// # Errors
    /// Where one is no URL as in [`at`](Self::at), or there is none.
    pub fn cluster(urls: &[&str]) -> Result<RedisBuilder, RedisConfigError> {
        RedisBuilder::new(Place::Cluster, urls)
    }
}

impl RedisBuilder {
    fn new(place: Place, urls: &[&str]) -> Result<Self, RedisConfigError> {
        let addresses: Result<Vec<_>, _> = urls.iter().zip(1..).map(|(url, number)| parse(number, url)).collect();
        Ok(Self {
            place,
            addresses: addresses?,
            prefix: "portcullis".to_owned(),
            timeout: Duration::from_secs(2),
            allows_plaintext: false,
            certificates: Certificates::default(),
            credentials: None,
            database: None,
        })
    }

    /// With what the names of our keys begin: two logs in one database want two. Default: `portcullis`, for keys such as
    /// `{portcullis}:log`. The braces keep them in one slot of a cluster, since they change together.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Nobody waits longer than this for an answer, a new connection included. Default: 2 seconds; from 10 milliseconds to
    /// one minute.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Allows connections to other machines that are not encrypted. Whoever can read and write these can un-revoke a
    /// token, and read the password.
    pub const fn allow_plaintext(mut self) -> Self {
        self.allows_plaintext = true;
        self
    }

    /// Certificates in PEM whose holders are trusted, instead of the system's.
    pub fn root_certificates(mut self, pem: &[u8]) -> Self {
        self.certificates.roots = Some(pem.to_vec());
        self
    }

    /// Our certificate and its key in PEM, for a server that wants one.
    pub fn client_certificate(mut self, certificate: &[u8], key: &[u8]) -> Self {
        self.certificates.own = Some((certificate.to_vec(), key.to_vec()));
        self
    }

    /// As whom to speak to the servers that hold the keys, instead of what the addresses say. Of Sentinels the addresses
    /// say how to speak to the Sentinels themselves. The user of servers that know only a password is `default`.
    pub fn credentials(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Which database of the servers, instead of the one that the addresses say; of those that Sentinels name, instead of 0.
    pub const fn database(mut self, database: u32) -> Self {
        self.database = Some(database);
        self
    }

    /// Checks it. Nobody is connected to yet.
    ///
    /// TLS needs a crypto provider of `rustls`: where none is installed as the default of the process, that of aws-lc-rs
    /// is, by the first of these calls with an address over TLS. Whoever wants another installs it earlier.
    ///
    /// # Errors
    /// Where something is out of bounds, cannot be read, or does not fit together; and where a way would be unencrypted
    /// that leaves the machine.
    pub fn build(self) -> Result<Redis, RedisConfigError> {
        let first = self.addresses.first().ok_or(RedisConfigError::NoAddress)?;
        let is_plain_text = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}');
        if !(1..=64).contains(&self.prefix.len()) || !self.prefix.bytes().all(is_plain_text) {
            return Err(RedisConfigError::Prefix(self.prefix));
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.timeout) {
            return Err(RedisConfigError::Timeout(self.timeout));
        }
        let is_over_tls = is_encrypted(first.addr());
        if self.addresses.iter().any(|address| is_encrypted(address.addr()) != is_over_tls) {
            return Err(RedisConfigError::Addresses("some are over TLS and some are not"));
        }
        self.place.check(&self.addresses, self.database)?;
        let exposed = self.addresses.iter().find(|address| is_exposed(address.addr()));
        if let Some(address) = exposed.filter(|_| !self.allows_plaintext) {
            return Err(RedisConfigError::Plaintext(address.addr().to_string()));
        }
        self.certificates.check()?;
        if is_over_tls {
            provide_crypto();
        } else if !self.certificates.is_empty() {
            return Err(RedisConfigError::Tls("certificates, and no address over TLS"));
        }
        let mut node = self.place.node(first);
        if let Some((user, password)) = self.credentials {
            node = node.set_username(user).set_password(password);
        }
        if let Some(database) = self.database {
            node = node.set_db(database.into());
        }
        Ok(Redis::new(Settings {
            place: self.place,
            addresses: self.addresses,
            node,
            prefix: self.prefix.into(),
            timeout: self.timeout,
            allows_plaintext: self.allows_plaintext,
            certificates: self.certificates,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_work_is_refused_when_it_is_configured_threat_32() {
        let local = || Redis::at("redis://localhost").unwrap();
        let rows: [(&str, Result<RedisBuilder, RedisConfigError>); 20] = [
            ("no address", Redis::sentinel(&[], "m")),
            ("no address", Redis::cluster(&[])),
            ("prefix", Ok(local().prefix(""))),
            ("prefix", Ok(local().prefix("a{b"))),
            ("prefix", Ok(local().prefix("a}b"))),
            ("prefix", Ok(local().prefix("a b"))),
            ("prefix", Ok(local().prefix(&"a".repeat(65)))),
            ("timeout", Ok(local().timeout(Duration::ZERO))),
            ("timeout", Ok(local().timeout(Duration::from_secs(61)))),
            ("encrypted", Redis::at("redis://redis.example")),
            ("encrypted", Redis::sentinel(&["redis://localhost", "redis://s2.example"], "m")),
            ("together", Redis::sentinel(&["redis://localhost", "rediss://localhost"], "m")),
            ("together", Redis::sentinel(&["unix:///run/sentinel.sock"], "m")),
            ("together", Redis::sentinel(&["redis://localhost"], "")),
            ("together", Redis::cluster(&["unix:///run/redis.sock"])),
            ("together", Redis::cluster(&["redis://localhost/1"])),
            ("together", Redis::cluster(&["redis://localhost"]).map(|builder| builder.database(1))),
            ("TLS", Ok(local().root_certificates(b"x"))),
            ("TLS", Redis::at("rediss://redis.example").map(|builder| builder.client_certificate(b"x", b"y"))),
            ("address 2", Redis::cluster(&["redis://localhost", "http://localhost"])),
        ];
        for (word, builder) in rows {
            let error = builder.and_then(RedisBuilder::build).unwrap_err();
            assert!(error.to_string().contains(word), "{word}: {error}");
        }
        let plain = Redis::at("redis://redis.example").unwrap().allow_plaintext();
        assert!(plain.build().is_ok());
        assert!(Redis::at("rediss://redis.example").unwrap().build().is_ok());
    }

    #[test]
    fn no_debug_text_holds_a_credential_threat_29() {
        let builder = Redis::at("redis://user:hunter2@localhost/3").unwrap().credentials("user", "hunter2");
        let builder_text = format!("{builder:?}");
        let text = format!("{builder_text} {:?}", builder.build().unwrap());
        assert!(text.contains("localhost:6379") && !text.contains("hunter2"), "{text}");
    }
}
