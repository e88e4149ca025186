//! Addresses that are known → the one server that is the master of our keys now.

use ::redis::{ConnectionAddr, ConnectionInfo, FromRedisValue, Pipeline, RedisConnectionInfo, Value, pipe};
use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::{
    RedisConfigError, RedisError,
    address::{beside, is_exposed},
    connection::Settings,
};

/// What the addresses are of.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// One, the server itself.
    Server,
    /// Sentinels, and the name of the master that they watch.
    Sentinel(Box<str>),
    /// Nodes of a cluster.
    Cluster,
}

impl Place {
    pub(super) fn check(&self, addresses: &[ConnectionInfo], database: Option<u32>) -> Result<(), RedisConfigError> {
        let wrong = |reason| Err(RedisConfigError::Addresses(reason));
        let is_on_socket = addresses.iter().any(|address| matches!(address.addr(), ConnectionAddr::Unix(_)));
        let is_in_other = addresses.iter().any(|address| address.redis_settings().db() != 0);
        match self {
            Self::Server => Ok(()),
            _ if is_on_socket => wrong("a socket, where others name the server"),
            Self::Sentinel(name) if name.is_empty() => wrong("the name of the master is empty"),
            Self::Sentinel(_) if is_in_other => wrong("a Sentinel has no databases: see RedisBuilder::database"),
            Self::Cluster if is_in_other || database.is_some_and(|database| database != 0) => {
                wrong("a cluster has one database, 0")
            }
            Self::Sentinel(_) | Self::Cluster => Ok(()),
        }
    }

    /// As whom to speak to the server, if nothing else is said.
    pub(super) fn node(&self, first: &ConnectionInfo) -> RedisConnectionInfo {
        let ours = first.redis_settings().clone();
        match self {
            Self::Server | Self::Cluster => ours,
            Self::Sentinel(_) => RedisConnectionInfo::default()
                .set_lib_name(ours.lib_name().unwrap_or_default(), ours.lib_ver().unwrap_or_default()),
        }
    }

    /// What each address is asked; nothing where there is nothing to ask.
    fn question(&self, key: &str) -> Option<Pipeline> {
        let mut question = pipe();
        match self {
            Self::Server => return None,
            Self::Sentinel(name) => question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&**name),
            Self::Cluster => question.cmd("CLUSTER").arg("KEYSLOT").arg(key).cmd("CLUSTER").arg("SLOTS"),
        };
        Some(question)
    }

    /// The host and port that an answer names; nothing where that is not known there. An empty host is the one asked.
    fn named(&self, answer: Vec<Value>) -> Result<Option<(String, u16)>, RedisError> {
        match (self, <[Value; 2]>::try_from(answer)) {
            (Self::Cluster, Ok([slot, ranges])) => of_slot(number(slot)?, read(ranges)?),
            (Self::Sentinel(_), Err(answer)) => {
                let [address] = <[Value; 1]>::try_from(answer).map_err(|_| RedisError::Malformed)?;
                let address: Option<(String, Value)> = read(address)?;
                address.map(|(host, port)| Ok((host, number(port)?))).transpose()
            }
            _ => Err(RedisError::Malformed),
        }
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, RedisError> {
    T::from_redis_value(value).map_err(|_| RedisError::Malformed)
}

/// The client cuts off what does not fit.
fn number(value: Value) -> Result<u16, RedisError> {
    u16::try_from(read::<i64>(value)?).map_err(|_| RedisError::Malformed)
}

/// The master of a slot: a range is its ends, its master and its replicas, and a server is its host, its port, and more.
fn of_slot(slot: u16, ranges: Vec<Vec<Value>>) -> Result<Option<(String, u16)>, RedisError> {
    for range in ranges {
        let [first, last, master, ..] = &*range else { return Err(RedisError::Malformed) };
        if (number(first.clone())?..=number(last.clone())?).contains(&slot) {
            let master: Vec<Value> = read(master.clone())?;
            let [host, port, ..] = &*master else { return Err(RedisError::Malformed) };
            let host: Option<String> = read(host.clone())?;
            return Ok(Some((host.unwrap_or_default(), number(port.clone())?)));
        }
    }
    Ok(None)
}

impl Settings {
    /// Whom to connect to now. All addresses are asked at once, and the first that knows is believed.
    pub(super) async fn locate(&self) -> Result<ConnectionInfo, RedisError> {
        let first = self.addresses.first().ok_or_else(nobody_knows)?;
        let Some(question) = self.place.question(&self.key("head")) else {
            return Ok(first.clone().set_redis_settings(self.node.clone()));
        };
        let mut answers: FuturesUnordered<_> =
            self.addresses.iter().map(|address| self.ask(address, &question)).collect();
        let mut trouble = None;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(Some(server)) => return Ok(server),
                // Says more than that another one is not there.
                Ok(None) => trouble = Some(nobody_knows()),
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        Err(trouble.unwrap_or_else(nobody_knows))
    }

    async fn ask(&self, address: &ConnectionInfo, question: &Pipeline) -> Result<Option<ConnectionInfo>, RedisError> {
        let mut connection = self.open(address.clone(), self.timeout).await?;
        let answer = question.query_async(&mut connection).await;
        let answer = answer.map_err(|error| RedisError::new(&error, self.timeout))?;
        let Some((host, port)) = self.place.named(answer)? else { return Ok(None) };
        let host = match (&*host, address.addr()) {
            ("", ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. }) => host.clone(),
            // What a node is called is not known.
            ("?", _) => return Ok(None),
            _ => host,
        };
        let server = beside(address.addr(), &host, port);
        if is_exposed(&server) && !self.allows_plaintext {
            return Err(RedisError::Unreachable(format!("the way to {server} is not encrypted")));
        }
        Ok(Some(address.clone().set_addr(server).set_redis_settings(self.node.clone())))
    }
}

fn nobody_knows() -> RedisError {
    RedisError::Unreachable("none of the addresses knows of a master".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let master = Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(vec![])]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master.clone(), master])
    }

    #[test]
    fn a_cluster_says_who_has_the_slot_of_our_keys() {
        let ranges =
            Value::Array(vec![range(0, 5, text("a"), 1), range(6, 6, text("b"), 2), range(7, 9, Value::Nil, 3)]);
        let of = |slot| Place::Cluster.named(vec![Value::Int(slot), ranges.clone()]);
        assert_eq!(of(5), Ok(Some(("a".to_owned(), 1))));
        assert_eq!(of(6), Ok(Some(("b".to_owned(), 2))));
        assert_eq!(of(7), Ok(Some((String::new(), 3))));
        assert_eq!(of(10), Ok(None), "nobody has it");
        for bad in [
            vec![],
            vec![Value::Int(5)],
            vec![Value::Int(5), Value::Int(5)],
            vec![Value::Int(-1), ranges.clone()],
            vec![Value::Int(5), Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(9)])])],
            vec![Value::Int(5), Value::Array(vec![range(0, 9, text("a"), 70_000)])],
            vec![Value::Int(5), ranges.clone(), Value::Nil],
        ] {
            assert_eq!(Place::Cluster.named(bad.clone()), Err(RedisError::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_sentinel_says_who_is_master() {
        let sentinel = Place::Sentinel("m".into());
        let address = Value::Array(vec![text("10.0.0.1"), text("6379")]);
        assert_eq!(sentinel.named(vec![address.clone()]), Ok(Some(("10.0.0.1".to_owned(), 6379))));
        assert_eq!(sentinel.named(vec![Value::Nil]), Ok(None), "it does not know the name");
        for bad in [vec![], vec![text("x")], vec![address.clone(), address]] {
            assert_eq!(sentinel.named(bad.clone()), Err(RedisError::Malformed), "{bad:?}");
        }
    }
}
