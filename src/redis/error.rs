//! What Redis or the way to it says → an error without a secret: no password, no key, no argument of a command.

use std::time::Duration;

use ::redis::{ErrorKind, RedisError as Said};

/// Why Redis did not do what it was asked.
///
/// Of what the server says only the code is kept: its texts repeat what it was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// Nobody answers, or somebody who is not the master of our keys at the moment.
    #[error("Redis cannot be reached: {0}")]
    Unreachable(String),
    /// No answer within the time that [`RedisBuilder::timeout`](super::RedisBuilder::timeout) gives it.
    #[error("Redis did not answer within {0:?}")]
    Timeout(Duration),
    /// Our credentials, or what they are good for.
    #[error("Redis refuses us: {0}")]
    Refused(String),
    /// It is there and cannot do it: no memory, too few replicas.
    #[error("Redis cannot do it: {0}")]
    Failed(String),
    /// Its answer is not as it should be.
    #[error("an answer of Redis that is not as it should be")]
    Malformed,
}

impl RedisError {
    /// Whether another connection may do better: the one it came over is used no more.
    pub(crate) const fn is_of_connection(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Timeout(_) | Self::Malformed)
    }

    /// What `said` comes to, where an answer was given `timeout`.
    pub(super) fn new(said: &Said, timeout: Duration) -> Self {
        match said.kind() {
            ErrorKind::Io if said.is_timeout() => Self::Timeout(timeout),
            // Of the system, or of TLS; neither knows more than names and certificates.
            ErrorKind::Io => Self::Unreachable(said.to_string()),
            ErrorKind::AuthenticationFailed => Self::Refused("it does not take our credentials".to_owned()),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Malformed,
            ErrorKind::InvalidClientConfig => Self::Unreachable("what it offers cannot be used".to_owned()),
            ErrorKind::Server(_) | ErrorKind::Extension => {
                let of_pipeline = said.clone().into_server_errors();
                let first = of_pipeline.as_ref().and_then(|errors| errors.first()).map(|(_, error)| error.code());
                Self::of_code(first.or_else(|| said.code()).unwrap_or_default())
            }
            _ => Self::Failed(said.category().to_owned()),
        }
    }

    /// What an error of the server comes to, by its first word.
    fn of_code(code: &str) -> Self {
        let with = |words: &str| format!("{words} ({code})");
        match code {
            "NOAUTH" => Self::Refused(with("it wants credentials")),
            "WRONGPASS" => Self::Refused(with("it does not take our credentials")),
            "NOPERM" => Self::Refused(with("our user may not do that, or not with our keys")),
            "DENIED" => Self::Refused(with("it is in protected mode")),
            "READONLY" => Self::Unreachable(with("it is a replica")),
            "MOVED" | "ASK" | "TRYAGAIN" | "CROSSSLOT" => Self::Unreachable(with("our keys are moving or have moved")),
            "CLUSTERDOWN" | "MASTERDOWN" => Self::Unreachable(with("it has no master")),
            "LOADING" => Self::Unreachable(with("it is loading its data")),
            "OOM" => Self::Failed(with("it has no memory left")),
            "MISCONF" => Self::Failed(with("it cannot write to its disk")),
            "NOREPLICAS" => Self::Failed(with("it has too few replicas")),
            "BUSY" => Self::Failed(with("a script keeps it busy")),
            "WRONGTYPE" => Self::Failed(with("one of our keys holds something else")),
            _ if is_code(code) => Self::Failed(with("it says so")),
            _ => Self::Failed("it does not say why".to_owned()),
        }
    }
}

/// Whether that is a code and not somebody's text.
fn is_code(code: &str) -> bool {
    (1..=32).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Why a [`Redis`](super::Redis) cannot be made of what was configured. No text holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisConfigError {
    /// Not a URL of the forms that are understood. It is not repeated, since it may hold a password.
    #[error("address {number} is no URL of a Redis: {reason}")]
    Address {
        /// Which of them, counted from one.
        number: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Whoever is on the way could un-revoke.
    #[error("the way to {0} is not encrypted: use rediss://, or allow_plaintext() where the network is trusted")]
    Plaintext(String),
    /// Nobody to ask.
    #[error("no address of a Redis")]
    NoAddress,
    /// Addresses that contradict each other, or the kind of Redis they are of.
    #[error("the addresses do not fit together: {0}")]
    Addresses(&'static str),
    /// A prefix of keys that could not be one.
    #[error("the prefix {0:?} is empty, over 64 bytes, or holds a brace, a space or a control character")]
    Prefix(String),
    /// A time in which nobody could answer, or without end.
    #[error("a timeout of {0:?} is not between 10 milliseconds and one minute")]
    Timeout(Duration),
    /// Certificates or a key that cannot be read, or where there is no TLS.
    #[error("TLS: {0}")]
    Tls(&'static str),
    /// A number of the log that could not work.
    #[error("{0}")]
    Setting(String),
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use ::redis::{Value, parse_redis_value};

    use super::*;

    /// What the crate makes of a line of the server.
    fn said(line: &str) -> Said {
        let Ok(Value::ServerError(error)) = parse_redis_value(format!("-{line}\r\n").as_bytes()) else {
            panic!("{line}")
        };
        error.into()
    }

    #[test]
    fn what_the_server_repeats_of_us_is_in_no_error_threat_29() {
        for line in [
            "ERR unknown command 'XSECRET', with args beginning with: 'hunter2' ",
            "WRONGPASS invalid username-password pair hunter2",
            "NOPERM User hunter2 has no permissions to run the 'eval' command",
            "hunter2 is no code",
            "HUNTER2",
            "READONLY hunter2",
            "OOM hunter2 script",
        ] {
            let error = RedisError::new(&said(line), Duration::ZERO);
            assert!(!format!("{error} {error:?}").to_lowercase().contains("hunter2"), "{error:?}");
        }
        let failed = Said::from((ErrorKind::AuthenticationFailed, "x", "hunter2".to_owned()));
        assert!(!format!("{:?}", RedisError::new(&failed, Duration::ZERO)).contains("hunter2"));
    }

    #[test]
    fn every_code_means_something() {
        use RedisError::{Failed, Refused, Unreachable};
        for (line, expected) in [
            ("NOAUTH Authentication required.", Refused(String::new())),
            ("WRONGPASS no", Refused(String::new())),
            ("NOPERM no", Refused(String::new())),
            ("READONLY no", Unreachable(String::new())),
            ("MOVED 5 127.0.0.1:7", Unreachable(String::new())),
            ("LOADING no", Unreachable(String::new())),
            ("CLUSTERDOWN no", Unreachable(String::new())),
            ("TRYAGAIN no", Unreachable(String::new())),
            ("OOM no", Failed(String::new())),
            ("MISCONF no", Failed(String::new())),
            ("NOREPLICAS no", Failed(String::new())),
            ("ERR no", Failed(String::new())),
        ] {
            let error = RedisError::new(&said(line), Duration::ZERO);
            assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&expected), "{line}");
            assert!(error.to_string().contains(line.split(' ').next().unwrap()), "{error}");
        }
    }

    #[test]
    fn a_timeout_is_told_from_a_broken_connection() {
        let (second, late) = (Duration::from_secs(1), io::ErrorKind::TimedOut);
        assert_eq!(RedisError::new(&io::Error::from(late).into(), second), RedisError::Timeout(second));
        let broken = RedisError::new(&io::Error::other(Arc::new(io::Error::other("gone"))).into(), second);
        assert_eq!(broken, RedisError::Unreachable("gone".to_owned()));
        assert!(broken.is_of_connection() && RedisError::Timeout(second).is_of_connection());
        assert!(!RedisError::Failed(String::new()).is_of_connection());
        assert!(!RedisError::Refused(String::new()).is_of_connection());
    }
}
