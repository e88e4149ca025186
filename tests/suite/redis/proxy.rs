//! A line to a server → the same line, which can be cut, frozen, and lose what is said on it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis::clock::{Clock, SystemClock};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinSet,
};

use crate::process::within;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// They arrive.
    Open,
    /// Connections stay, and nothing arrives: what TCP sees of a partition. What was said arrives when it is over.
    Frozen,
    /// The same with connections up to that number; the next ones are open.
    Held(usize),
    /// The same with what the server says; one piece of it may be [let through](Proxy::step).
    Mute,
    /// Connections are closed, and new ones at once.
    Cut,
}

impl Line {
    const fn keeps(self, connection: usize, is_answer: bool) -> bool {
        match self {
            Self::Frozen => true,
            Self::Held(last) => connection <= last,
            Self::Mute => is_answer,
            Self::Open | Self::Cut => false,
        }
    }
}

/// A line through this process. It ends with this.
pub struct Proxy {
    port: u16,
    line: watch::Sender<Line>,
    seen: Arc<Seen>,
    _serving: JoinSet<()>,
}

/// What happened on the line, and is to happen to the next answer.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    loses_next: AtomicBool,
    answers_lost: AtomicUsize,
    /// The answer that is kept back, and how many were.
    kept: Mutex<(Vec<u8>, usize)>,
    let_through: Notify,
}

impl Proxy {
    /// Listens on a port of its own, for whoever wants to reach that one.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().port();
        let (line, seen) = (watch::Sender::new(Line::Open), Arc::<Seen>::default());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, port, line.subscribe(), Arc::clone(&seen)));
        Self { port: here, line, seen, _serving: serving }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    pub fn freeze(&self) {
        self.line.send_replace(Line::Frozen);
    }

    /// Freezes the connections that there are; those that are made from now on are open.
    pub fn hold(&self) {
        self.line.send_replace(Line::Held(self.connections()));
    }

    /// Keeps back what the server says, from now on.
    pub fn mute(&self) {
        self.line.send_replace(Line::Mute);
    }

    /// Lets the answer through that is kept back, if one is, and waits until the next one is. Returns that.
    pub async fn step(&self) -> String {
        let kept = || self.seen.kept.lock().unwrap().clone();
        let (answer, before) = kept();
        if !answer.is_empty() {
            self.seen.let_through.notify_one();
        }
        let clock = SystemClock::new();
        within("an answer", async {
            while kept().1 == before {
                clock.sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        String::from_utf8_lossy(&kept().0).into_owned()
    }

    pub fn heal(&self) {
        self.line.send_replace(Line::Open);
    }

    /// The next question arrives; of its answer nothing, since the connection breaks.
    pub fn lose_next_answer(&self) {
        self.seen.loses_next.store(true, Ordering::SeqCst);
    }

    /// How many answers were lost.
    pub fn answers_lost(&self) -> usize {
        self.seen.answers_lost.load(Ordering::SeqCst)
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, port: u16, line: watch::Receiver<Line>, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                if *line.borrow() != Line::Cut {
                    connections.spawn(connect(client, port, line.clone(), Arc::clone(&seen)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(mut client: TcpStream, port: u16, line: watch::Receiver<Line>, seen: Arc<Seen>) {
    let number = seen.connections.fetch_add(1, Ordering::SeqCst) + 1;
    let Ok(mut server) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let mut until_cut = line.clone();
    tokio::select! {
        () = pump(number, from_client, to_server, line.clone(), None) => {}
        () = pump(number, from_server, to_client, line, Some(&seen)) => {}
        _ = until_cut.wait_for(|line| *line == Line::Cut) => {}
    }
}

impl Seen {
    fn is_to_be_lost(&self) -> bool {
        let is_lost = self.loses_next.swap(false, Ordering::SeqCst);
        self.answers_lost.fetch_add(usize::from(is_lost), Ordering::SeqCst);
        is_lost
    }

    fn keep(&self, answer: &[u8]) {
        let mut kept = self.kept.lock().unwrap();
        *kept = (answer.to_vec(), kept.1 + 1);
    }
}

/// Hands bytes on until one side has ended, or some are to be lost.
async fn pump(
    number: usize,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut line: watch::Receiver<Line>,
    answers: Option<&Seen>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if answers.is_some_and(Seen::is_to_be_lost) {
            return;
        }
        if let Some(answers) = answers
            && *line.borrow() == Line::Mute
        {
            answers.keep(&buffer[..read]);
            tokio::select! {
                () = answers.let_through.notified() => {}
                _ = line.wait_for(|line| *line != Line::Mute) => {}
            }
        } else if line.wait_for(|line| !line.keeps(number, answers.is_some())).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// A server that says what it hears.
async fn echo() -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::task::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    (port, serving)
}

#[tokio::test]
async fn a_line_is_as_bad_as_it_is_told_to_be() {
    let (port, _serving) = echo().await;
    let proxy = Proxy::to(port).await;
    let connect = async || TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    let mut answer = [0; 4];
    let mut stream = connect().await;
    stream.write_all(b"open").await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"open");

    proxy.freeze();
    stream.write_all(b"late").await.unwrap();
    let mut other = connect().await;
    other.write_all(b"here").await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(stream.try_read(&mut answer).is_err() && other.try_read(&mut answer).is_err(), "nothing arrives");
    proxy.heal();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"late", "and then it does");

    proxy.hold();
    stream.write_all(b"held").await.unwrap();
    let mut other = connect().await;
    other.write_all(b"open").await.unwrap();
    other.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"open");
    assert!(stream.try_read(&mut answer).is_err());
    proxy.heal();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"held");

    proxy.mute();
    stream.write_all(b"1st.").await.unwrap();
    assert_eq!(proxy.step().await, "1st.");
    assert!(stream.try_read(&mut answer).is_err());
    let (next, ()) = tokio::join!(proxy.step(), async {
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"1st.");
        stream.write_all(b"2nd.").await.unwrap();
    });
    assert_eq!(next, "2nd.");
    proxy.heal();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"2nd.");

    proxy.lose_next_answer();
    stream.write_all(b"lost").await.unwrap();
    assert!(!matches!(stream.read(&mut answer).await, Ok(1..)), "the connection is gone");
    assert_eq!(proxy.answers_lost(), 1);

    proxy.cut();
    assert!(!matches!(connect().await.read(&mut answer).await, Ok(1..)));
    proxy.heal();
    let mut stream = connect().await;
    stream.write_all(b"back").await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"back");
}
