//! The logic over the model, beside epoll over the same kind of sockets: whatever a script does, both tell what it says.
#![allow(clippy::unwrap_used, reason = "for tests only")]

use super::model::Model;
use super::model::probe::tcp_info;
use super::*;
use crate::reactor::LISTENER;
use crate::reactor::epoll::Epoll;
use proptest::prelude::*;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Instant;

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
/// For what must come; a wait that takes it all has failed.
const LONG: Duration = Duration::from_secs(5);

fn kqueue(user_events: bool) -> Kqueue<Model> {
    Kqueue::over(Model::new(user_events).unwrap()).unwrap()
}

/// epoll, and kqueue with either way to wake it.
fn all() -> [(&'static str, Box<dyn Pollset>); 3] {
    [
        ("epoll", Box::new(Epoll::new().unwrap())),
        ("kqueue", Box::new(kqueue(true))),
        ("kqueue with a pipe", Box::new(kqueue(false))),
    ]
}

/// Two ends with small buffers: filling them takes no time.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    // A window that has been offered is not taken back: the size is set before.
    sockopt::set_socket_recv_buffer_size(&far, 8 << 10).unwrap();
    rustix::net::connect(&far, &listener.local_addr().unwrap()).unwrap();
    let near = listener.accept().unwrap().0;
    near.set_nonblocking(true).unwrap();
    sockopt::set_socket_send_buffer_size(&near, 8 << 10).unwrap();
    (near, far.into())
}

fn await_that(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "it does not come");
        std::thread::yield_now();
    }
}

fn writable(stream: &TcpStream) -> bool {
    let mut polled = [PollFd::new(stream, PollFlags::OUT)];
    rustix::event::poll(&mut polled, Some(&Timespec::default())).unwrap() > 0
}

fn waited(pollset: &dyn Pollset, timeout: Option<Duration>) -> Vec<(u64, u8)> {
    let mut events = Vec::new();
    pollset.wait(&mut events, timeout).unwrap();
    events.iter().map(|e| (e.token, e.edges)).collect()
}

/// What a script does, to one of a few connections or to the listener.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A new connection in the place of the one that was there, with or without input, output asked for or not.
    Connect { early: bool, armed: bool },
    /// The peer sends so many bytes.
    Send(usize),
    /// So many bytes are read, or all.
    Read(Option<usize>),
    /// The peer's FIN.
    Finish,
    /// The peer's RST.
    Reset,
    /// Output edges from now on.
    Arm,
    /// Input edges only, looked at anew.
    Renew,
    /// Output until nothing more can be sent.
    Fill,
    /// The peer reads all of it.
    Drain,
    /// The registration ends.
    Delete,
    /// The connection is closed as it is.
    Close,
    /// Somebody knocks at the listener.
    Knock,
    /// Somebody who has knocked is let in.
    Accept,
    /// Another thread wakes who waits.
    Wake,
    /// Events are taken out: all at once, or one by one.
    Look { singly: bool },
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        2 => (any::<bool>(), any::<bool>()).prop_map(|(early, armed)| Step::Connect { early, armed }),
        4 => (1usize..200).prop_map(Step::Send),
        2 => Just(Step::Read(None)),
        2 => (1usize..50).prop_map(|n| Step::Read(Some(n))),
        1 => Just(Step::Finish),
        1 => Just(Step::Reset),
        2 => Just(Step::Arm),
        2 => Just(Step::Renew),
        2 => Just(Step::Fill),
        2 => Just(Step::Drain),
        1 => Just(Step::Delete),
        1 => Just(Step::Close),
        1 => Just(Step::Knock),
        1 => Just(Step::Accept),
        1 => Just(Step::Wake),
        8 => any::<bool>().prop_map(|singly| Step::Look { singly }),
    ];
    proptest::collection::vec((0usize..3, step), 1..60)
}

/// A connection, and what its script has done to it.
struct Connection {
    near: TcpStream,
    far: TcpStream,
    token: u64,
    armed: bool,
    unread: usize,
    /// Bytes that the peer has not read, after output was full.
    stuck: usize,
    finished: bool,
    reset: bool,
    registered: bool,
    /// What has happened since the last look.
    news: u8,
}

impl Connection {
    fn connect(pollset: &dyn Pollset, token: u64, early: bool, armed: bool) -> Self {
        let (near, far) = pair();
        let mut new = Self {
            near,
            far,
            token,
            armed,
            unread: 0,
            stuck: 0,
            finished: false,
            reset: false,
            registered: true,
            news: OUT,
        };
        if early {
            new.send(3);
        }
        pollset
            .add(new.near.as_fd(), token, new.interest())
            .unwrap();
        new
    }

    fn interest(&self) -> Interest {
        match self.armed {
            true => Interest::ConnectionOut,
            false => Interest::Connection,
        }
    }

    fn send(&mut self, bytes: usize) {
        if self.finished || self.reset {
            return;
        }
        self.far.write_all(&vec![7; bytes]).unwrap();
        self.unread += bytes;
        self.news |= IN;
        // It has arrived: what is looked at next is not a matter of luck.
        await_that(|| rustix::io::ioctl_fionread(&self.near).unwrap() >= self.unread as u64);
    }

    fn read(&mut self, most: usize) {
        if self.reset {
            return;
        }
        let bytes = most.min(self.unread);
        self.near.read_exact(&mut vec![0; bytes]).unwrap();
        self.unread -= bytes;
    }

    fn fill(&mut self) {
        if self.reset || self.stuck > 0 {
            return;
        }
        // Until nothing is on its way any more that could make room.
        while writable(&self.near) {
            while let Ok(sent) = self.near.write(&[7; 4096]) {
                self.stuck += sent;
            }
            sockopt::set_tcp_quickack(&self.far, true).unwrap();
            await_that(|| tcp_info(self.near.as_raw_fd()).unwrap().tcpi_unacked == 0);
        }
    }

    fn drain(&mut self) {
        if self.reset || self.stuck == 0 {
            return;
        }
        self.far.read_exact(&mut vec![0; self.stuck]).unwrap();
        self.stuck = 0;
        self.news |= OUT;
    }

    fn modify(&mut self, pollset: &dyn Pollset, armed: bool) {
        if self.registered {
            self.armed = armed;
            self.news = IN | OUT | RDHUP;
            let interest = self.interest();
            pollset
                .modify(self.near.as_fd(), self.token, interest)
                .unwrap();
        }
    }

    fn reset(&mut self) {
        if !std::mem::replace(&mut self.reset, true) {
            sockopt::set_socket_linger(&self.far, Some(Duration::ZERO)).unwrap();
            // The near end keeps its number; the far one is closed by what takes its place.
            self.far = pair().1;
            self.news = IN | OUT | RDHUP;
        }
    }

    /// What a look could see.
    fn holds(&self) -> u8 {
        let mut holds = 0;
        if self.unread > 0 || self.finished || self.reset {
            holds |= IN;
        }
        if self.finished || self.reset {
            holds |= RDHUP;
        }
        if self.armed && (self.stuck == 0 || self.reset) {
            holds |= OUT;
        }
        if self.registered { holds } else { 0 }
    }
}

struct World<'a> {
    pollset: &'a dyn Pollset,
    connections: Vec<Connection>,
    listener: TcpListener,
    outside: Vec<TcpStream>,
    woken: bool,
    made: u64,
}

impl<'a> World<'a> {
    fn new(pollset: &'a dyn Pollset) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        pollset
            .add(listener.as_fd(), LISTENER, Interest::Listener)
            .unwrap();
        let connect = |n| Connection::connect(pollset, n, false, false);
        Self {
            pollset,
            connections: (1..=3).map(connect).collect(),
            listener,
            outside: Vec::new(),
            woken: false,
            made: 3,
        }
    }

    fn take(&mut self, n: usize, step: Step) {
        let pollset = self.pollset;
        let one = &mut self.connections[n];
        match step {
            Step::Connect { early, armed } => {
                self.made += 1;
                *one = Connection::connect(pollset, self.made, early, armed);
            }
            Step::Send(bytes) => one.send(bytes),
            Step::Read(most) => one.read(most.unwrap_or(usize::MAX)),
            Step::Finish if !one.finished && !one.reset => {
                one.far.shutdown(std::net::Shutdown::Write).unwrap();
                one.finished = true;
                one.news |= IN | RDHUP;
            }
            Step::Finish => {}
            Step::Reset => one.reset(),
            Step::Arm => one.modify(pollset, true),
            Step::Renew => one.modify(pollset, false),
            Step::Fill => one.fill(),
            Step::Drain => one.drain(),
            Step::Delete => {
                if std::mem::replace(&mut one.registered, false) {
                    pollset.delete(one.near.as_fd()).unwrap();
                }
            }
            Step::Close => {
                // An unregistered one takes its place, and perhaps its number.
                self.made += 1;
                *one = Connection::connect(pollset, self.made, false, false);
                pollset.delete(one.near.as_fd()).unwrap();
                one.registered = false;
            }
            Step::Knock => {
                let to = self.listener.local_addr().unwrap();
                self.outside.push(TcpStream::connect(to).unwrap());
            }
            Step::Accept => {
                if self.outside.pop().is_some() {
                    self.listener.accept().unwrap();
                }
            }
            Step::Wake => {
                pollset.wake();
                self.woken = true;
            }
            Step::Look { singly } => self.look(singly),
        }
    }

    /// Takes events out until all that must be told has been, and once more.
    fn look(&mut self, singly: bool) {
        let mut must = BTreeMap::new();
        let mut may = BTreeMap::new();
        for one in &mut self.connections {
            let holds = one.holds();
            must.insert(one.token, one.news & holds);
            // What there is to say again with an event, and what may come though nothing has happened: output, whenever
            // bytes are acknowledged, or with a failure. For epoll that is an event too if output is full by then.
            let unasked = one.registered && (one.armed || one.reset);
            may.insert(one.token, (holds, if unasked { OUT } else { 0 }));
            one.news = 0;
        }
        must.insert(LISTENER, if self.outside.is_empty() { 0 } else { IN });
        must.insert(WAKE, if self.woken { IN } else { 0 });
        self.woken = false;
        let mut told: BTreeMap<u64, u8> = BTreeMap::new();
        let start = Instant::now();
        loop {
            let missing = |told: &BTreeMap<u64, u8>| {
                must.iter()
                    .any(|(token, edges)| edges & !told.get(token).unwrap_or(&0) != 0)
            };
            let done = !missing(&told);
            let late = start.elapsed() > LONG;
            let events = match singly {
                true => (0..16)
                    .map_while(|_| self.pollset.take().unwrap())
                    .map(|e| (e.token, e.edges))
                    .collect(),
                false if done || late => waited(self.pollset, AT_ONCE),
                false => waited(self.pollset, Some(LONG)),
            };
            for (token, edges) in events {
                *told.entry(token).or_default() |= edges;
            }
            if done || late {
                break;
            }
        }
        for (token, edges) in told {
            let must = must.remove(&token);
            let (holds, unasked) = may.get(&token).copied().unwrap_or_default();
            let event = must.unwrap_or(0) | edges & unasked;
            let allowed = if event | unasked != 0 {
                event | holds
            } else {
                0
            };
            // A listener, or the wake, is told as it is.
            let allowed = if may.contains_key(&token) {
                allowed
            } else {
                event
            };
            assert!(must.is_some(), "token {token:#x} is nobody's");
            assert_eq!(
                edges & !allowed,
                0,
                "token {token:#x}: {edges} of {allowed}"
            );
            assert_eq!(
                event & !edges,
                0,
                "token {token:#x}: {edges}, not all of {event}"
            );
        }
        must.retain(|_, edges| *edges != 0);
        assert_eq!(must, BTreeMap::new(), "was not told");
    }
}

fn run(script: &[(usize, Step)]) {
    for (name, pollset) in all() {
        let name = std::panic::AssertUnwindSafe(name);
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut world = World::new(&*pollset);
            for (n, step) in script {
                world.take(*n, *step);
            }
            world.look(false);
        }));
        if let Err(why) = ran {
            eprintln!("with {}:", *name);
            std::panic::resume_unwind(why);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_epoll_and_kqueue_tell_the_same(script in steps()) {
        run(&script);
    }
}

mod cases;
