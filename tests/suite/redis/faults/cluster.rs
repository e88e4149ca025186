//! Servers → a cluster of three masters and a replica of the one that has our keys.

use crate::redis::server::{IN_MEMORY, RedisServer, free_port};

/// The slot of all our keys, with the default prefix.
fn slot(server: &RedisServer) -> String {
    server.cli(&["CLUSTER", "KEYSLOT", "{portcullis}:head"])
}

/// Four nodes, each with its id.
pub struct Cluster {
    pub nodes: Vec<RedisServer>,
    ids: Vec<String>,
}

impl Cluster {
    pub async fn start() -> Option<Self> {
        let (mut nodes, mut ids, mut buses) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..4 {
            let bus = free_port().to_string();
            let options = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "3000"];
            let node = RedisServer::start_with(&[&IN_MEMORY[..], &options].concat()).await?;
            ids.push(node.cli(&["CLUSTER", "MYID"]));
            nodes.push(node);
            buses.push(bus);
        }
        for (node, (first, last)) in nodes.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
            node.cli(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus]);
        }
        let cluster = Self { nodes, ids };
        for node in &cluster.nodes {
            node.until("it knows the others", |node| {
                let state = node.cli(&["CLUSTER", "INFO"]);
                state.contains("cluster_state:ok")
                    && cluster.ids.iter().all(|id| node.cli(&["CLUSTER", "NODES"]).contains(id))
            })
            .await;
        }
        let owner = cluster.owner();
        cluster.nodes[3].cli(&["CLUSTER", "REPLICATE", &cluster.ids[owner]]);
        cluster.nodes[owner].until_followed_by(&cluster.nodes[3]).await;
        let replica = &cluster.ids[3];
        cluster.nodes[owner]
            .until("it knows its replica", |node| {
                node.cli(&["CLUSTER", "REPLICAS", &cluster.ids[owner]]).contains(replica)
            })
            .await;
        Some(cluster)
    }

    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// Who has our keys, as the first node that runs sees it.
    pub fn owner(&self) -> usize {
        let node = self.nodes.iter().find(|node| node.id().is_some()).unwrap();
        self.owner_for(node).unwrap()
    }

    fn owner_for(&self, node: &RedisServer) -> Option<usize> {
        let slot: u16 = slot(node).parse().unwrap();
        let nodes = node.cli(&["CLUSTER", "NODES"]);
        let has = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            (first.parse().is_ok_and(|first: u16| first <= slot)) && last.parse().is_ok_and(|last: u16| slot <= last)
        };
        let line = nodes.lines().find(|line| line.split(' ').skip(8).any(has))?;
        self.ids.iter().position(|id| line.starts_with(id.as_str()))
    }

    /// Waits until all nodes that run say that it is that one.
    pub async fn until_owned_by(&self, owner: usize) {
        for node in self.nodes.iter().filter(|node| node.id().is_some()) {
            node.until("our keys have moved", |node| self.owner_for(node) == Some(owner)).await;
        }
    }

    /// Moves our keys, one by one, as an operator would.
    pub async fn move_slot(&self, to: usize) {
        let from = self.owner();
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let (slot, port) = (slot(source), target.port().to_string());
        target.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.ids[from]]);
        source.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.ids[to]]);
        loop {
            let keys = source.cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "2"]);
            let keys: Vec<_> = keys.lines().collect();
            if keys.is_empty() {
                break;
            }
            source.cli(&[&["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"][..], &keys].concat());
        }
        for node in [target, source] {
            node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &self.ids[to]]);
        }
        self.until_owned_by(to).await;
    }
}
