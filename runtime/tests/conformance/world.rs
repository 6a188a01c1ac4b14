//! Two runtimes of one backend, a handful of clients, and what may happen to them.

use super::client::Client;
use super::service::{Verb, serve};
use super::signals::interrupt;
use parkade::{Backend, Runtime, Workers};
use proptest::prelude::*;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

const CLIENTS: usize = 6;
const LONG: Duration = Duration::from_secs(20);

/// All that this machine has. Where io_uring is not allowed this is epoll again.
pub(crate) fn backends() -> Vec<Backend> {
    let mut all = vec![Backend::Epoll, Backend::EpollOneShot, Backend::IoUring];
    if cfg!(as_bsd) {
        all.push(Backend::Kqueue);
    }
    all
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// So many times, in one write.
    Ask(usize, Verb, usize),
    AskHalf(usize),
    Hear(usize),
    Finish(usize),
    Reset(usize),
    /// Gone, and another one in its place.
    Replace(usize),
    /// Everybody speaks before anybody is heard.
    AskAll(Verb),
    HearAll,
    /// So many more clients.
    Crowd(usize),
    /// What is parked goes to the other runtime.
    Move,
    /// Signals interrupt the workers' waits.
    Interrupt,
    Pause,
}

impl Step {
    pub(crate) fn any() -> impl Strategy<Value = Step> {
        let one = || 0..CLIENTS;
        // Rarely one that is never answered: it ends what a script can say of its client.
        let verb = || {
            prop_oneof![
                20 => prop::sample::select(&Verb::ALL[..5]),
                2 => prop::sample::select(&Verb::ALL[5..9]),
                1 => Just(Verb::Never),
            ]
        };
        prop_oneof![
            10 => (one(), verb(), 1..4usize).prop_map(|(n, verb, times)| Step::Ask(n, verb, times)),
            2 => one().prop_map(Step::AskHalf),
            5 => one().prop_map(Step::Hear),
            1 => one().prop_map(Step::Finish),
            1 => one().prop_map(Step::Reset),
            2 => one().prop_map(Step::Replace),
            3 => verb().prop_map(Step::AskAll),
            2 => Just(Step::HearAll),
            2 => Just(Step::Move),
            1 => Just(Step::Interrupt),
            1 => Just(Step::Pause),
        ]
    }
}

pub(crate) struct World {
    /// The first one listens, either serves.
    runtimes: [Runtime; 2],
    address: SocketAddr,
    clients: Vec<Client>,
    moves: usize,
    /// Connections of clients that have gone, whose handlers never end.
    held: usize,
}

impl World {
    pub(crate) fn new(backend: Backend) -> Self {
        let runtime = |_| {
            let builder = Runtime::builder().workers(Workers::Count(2)).reserves(1);
            builder.backend(backend).build().unwrap()
        };
        let runtimes = [0, 1].map(runtime);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        runtimes[0]
            .listen(listener, parkade::bursts(serve))
            .unwrap();
        let adopting = parkade::bursts(serve);
        runtimes[1].handle().serve_adopted(adopting).unwrap();
        Self {
            runtimes,
            address,
            clients: (0..CLIENTS).map(|_| Client::connect(address)).collect(),
            moves: 0,
            held: 0,
        }
    }

    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Ask(n, verb, times) => self.clients[n].ask(verb, times),
            Step::AskHalf(n) => self.clients[n].ask_half(),
            Step::Hear(n) => self.hear(n),
            Step::Finish(n) => self.clients[n].finish(),
            Step::Reset(n) => self.replace(n).reset(),
            Step::Replace(n) => drop(self.replace(n)),
            Step::AskAll(verb) => self.clients.iter_mut().for_each(|c| c.ask(verb, 1)),
            Step::HearAll => (0..self.clients.len()).for_each(|n| self.hear(n)),
            Step::Crowd(more) => {
                let more = (0..more).map(|_| Client::connect(self.address));
                self.clients.extend(more);
            }
            Step::Move => self.give(),
            Step::Interrupt => interrupt(),
            Step::Pause => std::thread::sleep(Duration::from_millis(3)),
        }
    }

    fn replace(&mut self, n: usize) -> Client {
        let gone = std::mem::replace(&mut self.clients[n], Client::connect(self.address));
        self.held += usize::from(gone.stuck);
        gone
    }

    fn hear(&mut self, n: usize) {
        if !self.clients[n].hear() {
            drop(self.replace(n));
        }
    }

    /// What is parked now, from one runtime to the other.
    fn give(&mut self) {
        let [from, to] = [self.moves % 2, 1 - self.moves % 2].map(|n| self.runtimes[n].handle());
        self.moves += 1;
        let mut departing = Vec::new();
        from.take_parked(usize::MAX, &mut departing);
        for departing in departing {
            let socket = departing.socket().try_clone_to_owned().unwrap();
            let arriving = to.adopt(socket, departing.record().clone()).unwrap();
            departing.arrived();
            arriving.start().unwrap();
        }
    }

    /// Everybody hears what is due. Then either all clients go, and so must all connections, or the runtimes go first.
    pub(crate) fn end(mut self) {
        for client in &mut self.clients {
            client.hear();
        }
        if self.moves.is_multiple_of(2) {
            self.held += self.clients.iter().filter(|c| c.stuck).count();
            self.clients.clear();
            self.settle();
        }
        drop(self.runtimes);
    }

    /// All clients have gone. A handler that never answers holds its connection: their end does not show.
    fn settle(&self) {
        let end = Instant::now() + LONG;
        let count = || {
            self.runtimes
                .iter()
                .map(|r| r.handle().connections())
                .sum::<usize>()
        };
        while count() > self.held {
            assert!(
                Instant::now() < end,
                "{} connections, {} are held",
                count(),
                self.held
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// How many descriptors this process has, when it has so many again.
pub(crate) fn settled_descriptors(until: Option<usize>) -> usize {
    let end = Instant::now() + LONG;
    loop {
        let count = std::fs::read_dir("/proc/self/fd").unwrap().count();
        if until.is_none_or(|until| count == until) {
            return count;
        }
        assert!(
            Instant::now() < end,
            "{count} descriptors, {until:?} before"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
