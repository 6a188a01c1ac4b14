//! Arithmetic of processes, threads and request slots.
//!
//! Apache's rules and warnings where MaxClients fits into ServerLimit x ThreadsPerChild; above that MaxClients is
//! kept and threads multiplex over more slots. With nothing set there is one child sized to the machine.

/// The numbers as written; `None` if not written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the directive of that name")]
pub struct Asked {
    pub start_servers: Option<i64>,
    pub server_limit: Option<i64>,
    pub thread_limit: Option<i64>,
    pub threads_per_child: Option<i64>,
    pub max_clients: Option<i64>,
    pub min_spare_threads: Option<i64>,
    pub max_spare_threads: Option<i64>,
    pub max_requests_per_child: Option<i64>,
}

/// The numbers in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Children forked at start.
    pub start_servers: u32,
    /// Children that may be active.
    pub children: u32,
    /// `ServerLimit`.
    pub server_limit: u32,
    /// `ThreadLimit`.
    pub thread_limit: u32,
    /// Worker threads of a child.
    pub threads_per_child: u32,
    /// Request slots of a child (S), at most: [`Limits::slots_of_next`].
    pub slots_per_child: u32,
    /// Request slots of the server: `MaxClients`.
    pub max_clients: u32,
    /// `MinSpareThreads`.
    pub min_spare_threads: u32,
    /// `MaxSpareThreads`.
    pub max_spare_threads: u32,
    /// `MaxRequestsPerChild`; 0 is never.
    pub max_requests_per_child: u32,
    /// The number of children never changes (nothing was set).
    pub fixed: bool,
    /// `MinSpareThreads` was set.
    pub spare_asked: bool,
}

impl Limits {
    /// Request slots of a child that joins others, `full` of which have [`Limits::slots_per_child`]: where MaxClients is no
    /// multiple of the number of children, some have one fewer, and all together never have more than MaxClients.
    pub fn slots_of_next(&self, full: u32) -> u32 {
        let most = u64::from(self.slots_per_child);
        let fewer = u64::from(self.children) * most.saturating_sub(1);
        if u64::from(full) + fewer < u64::from(self.max_clients) {
            self.slots_per_child
        } else {
            self.slots_per_child.saturating_sub(1).max(1)
        }
    }
}

/// A correction: the directive concerned, whether it is only information, and the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Directive whose value was corrected.
    pub directive: &'static str,
    /// Information rather than a warning.
    pub info: bool,
    /// The sentence.
    pub message: String,
}

const MAX_SERVER_LIMIT: i64 = 20_000;
const MAX_THREAD_LIMIT: i64 = 100_000;

struct Notes(Vec<Note>);

impl Notes {
    fn warn(&mut self, directive: &'static str, message: String) {
        self.0.push(Note {
            directive,
            info: false,
            message,
        });
    }
    fn info(&mut self, directive: &'static str, message: String) {
        self.0.push(Note {
            directive,
            info: true,
            message,
        });
    }
    /// Into 1..=max, saying so.
    fn clamp(&mut self, directive: &'static str, value: i64, max: i64) -> i64 {
        if value < 1 {
            self.warn(
                directive,
                format!("{directive} of {value} not allowed, increasing to 1."),
            );
        } else if value > max {
            let text = format!(
                "{directive} of {value} exceeds compile-time limit of {max}, decreasing to {max}."
            );
            self.warn(directive, text);
        }
        value.clamp(1, max)
    }
}

/// Resolves what was asked on a machine with `cores` cores.
pub fn resolve(asked: &Asked, cores: u32) -> (Limits, Vec<Note>) {
    let mut notes = Notes(Vec::new());
    let any = asked
        .server_limit
        .or(asked.threads_per_child)
        .or(asked.max_clients)
        .or(asked.start_servers);
    let fixed = any.is_none();
    let thread_limit = notes.clamp(
        "ThreadLimit",
        asked.thread_limit.unwrap_or(64),
        MAX_THREAD_LIMIT,
    );
    let (mut start, threads, slots, children, server_limit);
    if fixed {
        threads = (i64::from(cores) + 2).min(
            asked
                .thread_limit
                .map_or(MAX_THREAD_LIMIT, |_| thread_limit),
        );
        slots = 64 * threads;
        (start, children, server_limit) = (1, 1, 1);
    } else {
        server_limit = notes.clamp(
            "ServerLimit",
            asked.server_limit.unwrap_or(16),
            MAX_SERVER_LIMIT,
        );
        let wanted = asked.threads_per_child.unwrap_or(25);
        threads = wanted.clamp(1, thread_limit);
        if wanted < 1 {
            let text = format!("ThreadsPerChild of {wanted} not allowed, increasing to 1.");
            notes.warn("ThreadsPerChild", text);
        } else if wanted > thread_limit {
            let text = format!(
                "ThreadsPerChild of {wanted} exceeds ThreadLimit of {thread_limit} threads, decreasing to \
                 {thread_limit}. To increase, please set \"ThreadLimit {wanted}\"."
            );
            notes.warn("ThreadsPerChild", text);
        }
        if threads == 1 {
            let text = "ThreadsPerChild of 1 leaves no thread in reserve: a handler that blocks or computes holds up \
                        every connection of its child. Set \"ThreadsPerChild 2\" or more.";
            notes.info("ThreadsPerChild", text.to_owned());
        }
        (children, slots) = workers(asked.max_clients, threads, server_limit, &mut notes);
        start = asked.start_servers.unwrap_or(3);
        if start < 1 {
            notes.warn(
                "StartServers",
                format!("StartServers of {start} not allowed, increasing to 1."),
            );
            start = 1;
        }
        if start > children {
            if asked.start_servers.is_some() {
                let mut remedy = String::new();
                if slots == threads {
                    let all = start.saturating_mul(threads);
                    remedy = format!("\"MaxRequestWorkers {all}\"");
                }
                if start > server_limit {
                    let and = if remedy.is_empty() { "" } else { " and " };
                    remedy += &format!("{and}\"ServerLimit {start}\"");
                }
                let text = format!(
                    "StartServers of {start} exceeds the {children} children allowed, decreasing to {children}. To \
                     increase, please set {remedy}."
                );
                notes.info("StartServers", text);
            }
            start = children;
        }
    }
    // Small children: a small server that nobody asked to grow does not begin with that.
    let least = match start.saturating_mul(threads) {
        few if threads < 25 && few < DEFAULT_MIN_SPARE => (few / 2).max(1),
        _ => DEFAULT_MIN_SPARE,
    };
    let mut min_spare = asked.min_spare_threads.unwrap_or(least);
    if min_spare < 1 {
        let text = format!(
            "MinSpareThreads of {min_spare} not allowed, increasing to 1 to avoid almost certain server failure. \
             Please read the documentation."
        );
        notes.warn("MinSpareThreads", text);
        min_spare = 1;
    }
    let mut max_spare = asked.max_spare_threads.unwrap_or(250);
    let floor = min_spare.saturating_add(threads + 1);
    if max_spare < floor {
        if asked.max_spare_threads.is_some() {
            let text = format!(
                "MaxSpareThreads of {max_spare} is too close to MinSpareThreads, increasing to {floor}: it must be more \
                 than MinSpareThreads of {min_spare} and ThreadsPerChild of {threads} together."
            );
            notes.info("MaxSpareThreads", text);
        }
        max_spare = floor;
    }
    let n = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
    let total = children.saturating_mul(slots);
    let max_clients = match asked.max_clients {
        Some(wanted) if !fixed && slots > threads => wanted,
        None if !fixed && slots > threads => DEFAULT_MAX_CLIENTS,
        _ => total,
    };
    let limits = Limits {
        start_servers: n(start),
        children: n(children),
        server_limit: n(server_limit),
        thread_limit: n(thread_limit.max(threads)),
        threads_per_child: n(threads),
        slots_per_child: n(slots),
        max_clients: n(max_clients),
        min_spare_threads: n(min_spare),
        max_spare_threads: n(max_spare),
        max_requests_per_child: n(asked.max_requests_per_child.unwrap_or(0)),
        fixed,
        spare_asked: asked.min_spare_threads.is_some(),
    };
    (limits, notes.0)
}

/// `MinSpareThreads` where it is not set; half of the threads at the start if children are small and these are fewer.
const DEFAULT_MIN_SPARE: i64 = 75;
const DEFAULT_MAX_CLIENTS: i64 = 400;

/// Children and slots per child.
fn workers(asked: Option<i64>, threads: i64, server_limit: i64, notes: &mut Notes) -> (i64, i64) {
    let mut wanted = asked.unwrap_or(DEFAULT_MAX_CLIENTS);
    if wanted < threads {
        if asked.is_some() {
            let text = format!(
                "MaxRequestWorkers of {wanted} is less than ThreadsPerChild of {threads}, increasing to {threads}. \
                 MaxRequestWorkers must be at least as large as the number of threads in a single server."
            );
            notes.warn("MaxClients", text);
        }
        wanted = threads;
    }
    if wanted > server_limit.saturating_mul(threads) {
        let slots = wanted / server_limit + i64::from(wanted % server_limit != 0);
        let text = format!(
            "MaxRequestWorkers of {wanted} exceeds ServerLimit {server_limit} x ThreadsPerChild {threads}: each child \
             has {slots} request slots shared by its {threads} threads."
        );
        notes.info("MaxClients", text);
        return (server_limit, slots);
    }
    let children = wanted / threads;
    if wanted % threads != 0 && asked.is_some() {
        let text = format!(
            "MaxRequestWorkers of {wanted} is not an integer multiple of ThreadsPerChild of {threads}, decreasing to \
             nearest multiple {}, for a maximum of {children} servers.",
            children * threads
        );
        notes.warn("MaxClients", text);
    }
    (children, threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_gives_one_child_sized_to_the_machine() {
        let (l, notes) = resolve(&Asked::default(), 4);
        assert_eq!(
            (
                l.start_servers,
                l.threads_per_child,
                l.slots_per_child,
                l.fixed
            ),
            (1, 6, 384, true)
        );
        assert!(notes.is_empty());
    }

    #[test]
    fn all_children_together_have_max_clients_slots() {
        for (clients, servers, threads) in [
            (32, 3, 10),
            (1000, 16, 25),
            (400, 7, 5),
            (30, 3, 10),
            (17, 16, 5),
            (5, 4, 1),
            (2, 2, 1),
        ] {
            let asked = Asked {
                max_clients: Some(clients),
                server_limit: Some(servers),
                threads_per_child: Some(threads),
                ..Asked::default()
            };
            let (limits, _) = resolve(&asked, 2);
            let (mut full, mut all) = (0, 0);
            for _ in 0..limits.children {
                let slots = limits.slots_of_next(full);
                full += u32::from(slots == limits.slots_per_child);
                all += slots;
            }
            assert_eq!(all, limits.max_clients, "{asked:?}");
        }
        // The built-in size.
        let (limits, _) = resolve(&Asked::default(), 2);
        assert_eq!(limits.slots_of_next(0), limits.max_clients);
    }

    #[test]
    fn clamp_matrix() {
        const PER_CHILD: &str = "MaxRequestWorkers must be at least as large as the number of threads in a single server.";
        let shared = |asked: u32, servers: u32, threads: u32, slots: u32| {
            format!(
                "MaxRequestWorkers of {asked} exceeds ServerLimit {servers} x ThreadsPerChild {threads}: each child has \
                 {slots} request slots shared by its {threads} threads."
            )
        };
        let alone = "ThreadsPerChild of 1 leaves no thread in reserve: a handler that blocks or computes holds up every \
                     connection of its child. Set \"ThreadsPerChild 2\" or more.";
        let too_many = |threads: u32, limit: u32| {
            format!(
                "ThreadsPerChild of {threads} exceeds ThreadLimit of {limit} threads, decreasing to {limit}. To \
                 increase, please set \"ThreadLimit {threads}\"."
            )
        };
        let uneven = |asked: u32, threads: u32, to: u32, servers: u32| {
            format!(
                "MaxRequestWorkers of {asked} is not an integer multiple of ThreadsPerChild of {threads}, decreasing to \
                 nearest multiple {to}, for a maximum of {servers} servers."
            )
        };
        let too_few = |asked: u32, threads: u32| {
            format!(
                "MaxRequestWorkers of {asked} is less than ThreadsPerChild of {threads}, increasing to {threads}. \
                 {PER_CHILD}"
            )
        };
        let none = Vec::new;
        // ThreadsPerChild, ThreadLimit, MaxClients, ServerLimit as written (0 for a zero, -1 for not at all) ->
        // children, threads, slots of each, MaxClients, ServerLimit, ThreadLimit in force; every message in its order.
        type Case = ([i64; 4], [u32; 6], Vec<String>);
        let cases: Vec<Case> = vec![
            ([25, -1, -1, -1], [16, 25, 25, 400, 16, 64], none()),
            // The default fits in by whole children, without a word.
            ([64, -1, -1, -1], [6, 64, 64, 384, 16, 64], none()),
            ([5, -1, 20, -1], [4, 5, 5, 20, 16, 64], none()),
            ([5, -1, 17, -1], [3, 5, 5, 15, 16, 64], vec![uneven(17, 5, 15, 3)]),
            ([5, -1, 3, -1], [1, 5, 5, 5, 16, 64], vec![too_few(3, 5)]),
            ([9, 8, 16, -1], [2, 8, 8, 16, 16, 8], vec![too_many(9, 8)]),
            ([9, 9, 18, -1], [2, 9, 9, 18, 16, 9], none()),
            ([100, -1, 128, -1], [2, 64, 64, 128, 16, 64], vec![too_many(100, 64)]),
            // ThreadLimit first: what is lowered to it is then compared with MaxClients.
            (
                [9, 8, 7, -1],
                [1, 8, 8, 8, 16, 8],
                vec![too_many(9, 8), too_few(7, 8)],
            ),
            (
                [0, -1, 4, -1],
                [4, 1, 1, 4, 16, 64],
                vec!["ThreadsPerChild of 0 not allowed, increasing to 1.".into(), alone.into()],
            ),
            (
                [2, 0, 4, -1],
                [4, 1, 1, 4, 16, 1],
                vec![
                    "ThreadLimit of 0 not allowed, increasing to 1.".into(),
                    too_many(2, 1),
                    alone.into(),
                ],
            ),
            (
                [2, 100_001, 4, -1],
                [2, 2, 2, 4, 16, 100_000],
                vec!["ThreadLimit of 100001 exceeds compile-time limit of 100000, decreasing to 100000.".into()],
            ),
            (
                [2, -1, 4, 20_001],
                [2, 2, 2, 4, 20_000, 64],
                vec!["ServerLimit of 20001 exceeds compile-time limit of 20000, decreasing to 20000.".into()],
            ),
            // Above ServerLimit x ThreadsPerChild MaxClients is not lowered: slots share threads.
            (
                [-1, -1, 1000, -1],
                [16, 25, 63, 1000, 16, 64],
                vec![shared(1000, 16, 25, 63)],
            ),
            ([2, -1, 7, 2], [2, 2, 4, 7, 2, 64], vec![shared(7, 2, 2, 4)]),
            ([2, -1, 4, 2], [2, 2, 2, 4, 2, 64], none()),
            (
                [2, -1, 4, 0],
                [1, 2, 4, 4, 1, 64],
                vec![
                    "ServerLimit of 0 not allowed, increasing to 1.".into(),
                    shared(4, 1, 2, 4),
                ],
            ),
            (
                [9, 8, 1000, 4],
                [4, 8, 250, 1000, 4, 8],
                vec![too_many(9, 8), shared(1000, 4, 8, 250)],
            ),
        ];
        for (written, expected, messages) in cases {
            let [tpc, tl, mc, sl] = written.map(|n| (n >= 0).then_some(n));
            let asked = Asked {
                threads_per_child: tpc,
                thread_limit: tl,
                max_clients: mc,
                server_limit: sl,
                ..Asked::default()
            };
            let (l, notes) = resolve(&asked, 2);
            let got = [
                l.children,
                l.threads_per_child,
                l.slots_per_child,
                l.max_clients,
                l.server_limit,
                l.thread_limit,
            ];
            assert_eq!(got, expected, "{written:?}");
            let said: Vec<_> = notes.into_iter().map(|n| n.message).collect();
            assert_eq!(said, messages, "{written:?}");
        }
    }

    #[test]
    fn single_values_are_corrected_with_their_message() {
        fn with(change: impl Fn(&mut Asked)) -> (Limits, String) {
            let mut asked = Asked::default();
            change(&mut asked);
            let (limits, notes) = resolve(&asked, 2);
            let all: Vec<_> = notes.into_iter().map(|n| n.message).collect();
            (limits, all.join("; "))
        }
        let (l, notes) = with(|a| a.start_servers = Some(0));
        assert_eq!((l.start_servers, l.fixed), (1, false));
        assert_eq!(notes, "StartServers of 0 not allowed, increasing to 1.");

        let (l, notes) = with(|a| a.start_servers = Some(40));
        assert_eq!((l.start_servers, l.children), (16, 16));
        let remedy = "decreasing to 16. To increase, please set \"MaxRequestWorkers";
        assert!(notes.contains(remedy), "{notes}");

        let (l, notes) = with(|a| a.server_limit = Some(20_001));
        assert_eq!(l.server_limit, 20_000);
        assert!(notes.contains("compile-time limit of 20000"), "{notes}");

        let (l, notes) = with(|a| a.thread_limit = Some(100_001));
        assert_eq!(l.thread_limit, 100_000);
        assert!(notes.contains("compile-time limit of 100000"), "{notes}");

        let (l, notes) = with(|a| a.min_spare_threads = Some(0));
        assert_eq!(l.min_spare_threads, 1);
        assert!(notes.contains("almost certain server failure"), "{notes}");

        let (l, notes) = with(|a| {
            a.threads_per_child = Some(8);
            a.min_spare_threads = Some(10);
            a.max_spare_threads = Some(15);
        });
        assert_eq!(l.max_spare_threads, 19);
        assert!(notes.contains("increasing to 19"), "{notes}");
    }

    #[test]
    fn apaches_defaults_hold_as_soon_as_one_number_is_set() {
        let asked = Asked {
            start_servers: Some(2),
            ..Asked::default()
        };
        let (l, notes) = resolve(&asked, 2);
        assert!(notes.is_empty(), "{notes:?}");
        let expected = Limits {
            start_servers: 2,
            children: 16,
            server_limit: 16,
            thread_limit: 64,
            threads_per_child: 25,
            slots_per_child: 25,
            max_clients: 400,
            min_spare_threads: 75,
            max_spare_threads: 250,
            max_requests_per_child: 0,
            fixed: false,
            spare_asked: false,
        };
        assert_eq!(l, expected);
    }
}
