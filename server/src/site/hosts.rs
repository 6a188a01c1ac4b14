//! Which virtual host a request is for: first by the address it came to, then by name; and the limits each one has.

use super::pattern::{host_name, wildcard};
use super::tree::Tree;
use parkade::Conn;
use parkade_config::{Config, HostSettings, RangeTimeout, Require, Section};
use parkade_http::{Head, HeadLimits, Hosts, Limits, Pace};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// Set in a host's number when the client's address is our own: what `Require local` wants to know.
const SELF: u32 = 1 << 31;

/// The host and whether the client has our address, as packed into one number.
pub(crate) fn unpack(number: u32) -> (usize, bool) {
    ((number & !SELF) as usize, number & SELF != 0)
}

/// What one host answers to. Number 0 is the main server.
struct Names {
    /// `ServerName` as it is compared; none matches nothing.
    name: Option<String>,
    aliases: Vec<String>,
    addresses: Vec<(Option<IpAddr>, Option<u16>)>,
}

/// All hosts with their names and limits.
pub(crate) struct Table {
    names: Vec<Names>,
    limits: Vec<Limits>,
    /// Some section asks whether the client is local.
    local: bool,
}

impl Table {
    pub(crate) fn new(config: &Config, tree: &Tree) -> Arc<Self> {
        let mut names = vec![Names::new(&config.main, Vec::new())];
        let mut all = vec![&config.main];
        for host in &config.virtual_hosts {
            let addresses = host
                .addresses
                .iter()
                .flat_map(|a| resolve(&a.value.0, a.value.1))
                .collect();
            names.push(Names::new(&host.settings, addresses));
            all.push(&host.settings);
        }
        let limits = all
            .iter()
            .enumerate()
            .map(|(number, host)| limits(host, tree.most_body(number)))
            .collect();
        let local = all
            .iter()
            .flat_map(|h| &h.sections)
            .any(|s: &Section| asks_local(s));
        Arc::new(Self {
            names,
            limits,
            local,
        })
    }

    /// The hosts of an address, in file order: of all that name it those that name it best.
    fn at(&self, ip: IpAddr, port: u16) -> Vec<u32> {
        let ip = ip.to_canonical();
        let best = self.names.iter().filter_map(|n| n.fits(ip, port)).max();
        let fits = |n: &Names| best.is_some() && n.fits(ip, port) == best;
        (0..)
            .zip(&self.names)
            .filter(|(_, n)| fits(n))
            .map(|(i, _)| i)
            .collect()
    }

    /// Among candidates the one with a name; else the first; without any, the main server.
    fn named(&self, candidates: &[u32], host: Option<&str>) -> u32 {
        let Some(first) = candidates.first() else {
            return 0;
        };
        let Some(host) = host.filter(|_| candidates.len() > 1) else {
            return *first;
        };
        let name = host_name(host);
        let found = candidates
            .iter()
            .find(|i| self.names[**i as usize].answers(&name));
        *found.unwrap_or(first)
    }
}

impl Names {
    fn new(host: &HostSettings, addresses: Vec<(Option<IpAddr>, Option<u16>)>) -> Self {
        Self {
            name: host.server_name.as_ref().map(|n| host_name(&n.value)),
            aliases: host
                .server_aliases
                .iter()
                .map(|a| a.value.to_ascii_lowercase())
                .collect(),
            addresses,
        }
    }

    /// How well it names an address: exact, then the IP, then the port, then everything.
    fn fits(&self, ip: IpAddr, port: u16) -> Option<u8> {
        let fit = |(host, at): &(Option<IpAddr>, Option<u16>)| match (host, at) {
            (Some(h), Some(p)) if *h == ip && *p == port => Some(3),
            (Some(h), None) if *h == ip => Some(2),
            (None, Some(p)) if *p == port => Some(1),
            (None, None) => Some(0),
            _ => None,
        };
        self.addresses.iter().filter_map(fit).max()
    }

    fn answers(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
            || self
                .aliases
                .iter()
                .any(|a| wildcard(a.as_bytes(), name.as_bytes()))
    }
}

/// The addresses that a `<VirtualHost>` argument stands for.
fn resolve(host: &str, port: Option<u16>) -> Vec<(Option<IpAddr>, Option<u16>)> {
    if host == "*" {
        return vec![(None, port)];
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return vec![(Some(ip.to_canonical()), port)];
    }
    match (host, 0).to_socket_addrs() {
        Ok(found) => found.map(|a| (Some(a.ip().to_canonical()), port)).collect(),
        Err(e) => {
            let text = format!("<VirtualHost {host}>: the name cannot be resolved ({e}); ignored");
            crate::log::write("core", crate::log::Level::Error, &text);
            Vec::new()
        }
    }
}

fn asks_local(section: &Section) -> bool {
    fn asks(require: &Require) -> bool {
        match require {
            Require::Local => true,
            Require::Not(one) => asks(one),
            Require::Any(all) | Require::All(all) | Require::None(all) => all.iter().any(asks),
            Require::Granted | Require::Denied | Require::Ip(_) => false,
        }
    }
    let own = section.settings.require.as_ref();
    own.is_some_and(|r| asks(&r.value)) || section.children.iter().any(asks_local)
}

fn limits(host: &HostSettings, body: u64) -> Limits {
    let pace = |t: &RangeTimeout| Pace {
        initial: t.initial,
        max: t.max,
        min_rate: t.min_rate.unwrap_or(0),
    };
    Limits {
        head: HeadLimits {
            line: *host.limit_request_line as usize,
            field: *host.limit_request_field_size as usize,
            fields: match *host.limit_request_fields {
                0 => usize::MAX,
                n => n as usize,
            },
        },
        head_pace: pace(&host.request_read_timeout.header),
        body_pace: pace(&host.request_read_timeout.body),
        body,
        keep_alive: *host.keep_alive_timeout,
        requests: if *host.keep_alive {
            *host.max_keep_alive_requests
        } else {
            1
        },
        write: *host.timeout,
        linger: Duration::from_secs(30),
    }
}

/// One listener's view of the table.
pub(crate) struct Front {
    table: Arc<Table>,
    address: SocketAddr,
    /// Hosts of the address, or of what a wildcard address stands for where no host names it.
    candidates: Vec<u32>,
    /// The hosts of single addresses that a wildcard listener also hears.
    single: Vec<(IpAddr, Vec<u32>)>,
}

impl Front {
    pub(crate) fn new(table: &Arc<Table>, address: SocketAddr) -> Self {
        let port = address.port();
        let mut single = Vec::new();
        if address.ip().is_unspecified() {
            let named = table.names.iter().flat_map(|n| &n.addresses);
            for (ip, at) in named {
                if let Some(ip) = ip
                    && at.is_none_or(|p| p == port)
                    && !single.iter().any(|(known, _)| known == ip)
                {
                    single.push((*ip, table.at(*ip, port)));
                }
            }
        }
        Self {
            table: table.clone(),
            address,
            candidates: table.at(address.ip(), port),
            single,
        }
    }

    /// The limits that hold before a request is known: those of the address's default host.
    pub(crate) fn limits(&self) -> &Limits {
        let first = self.candidates.first().copied().unwrap_or(0);
        &self.table.limits[first as usize]
    }

    /// Whether every request is the main server's, and nobody asks more.
    pub(crate) fn is_plain(&self) -> bool {
        self.candidates.is_empty() && self.single.is_empty() && !self.asks_own_address()
    }

    fn asks_own_address(&self) -> bool {
        self.table.local && !self.address.ip().is_loopback()
    }
}

impl Hosts for Front {
    fn choose(&self, head: &Head, conn: &Conn) -> u32 {
        let peer = conn.peer_ip().to_canonical();
        let mut own = None;
        // A system call, only where the answer depends on it.
        if !self.single.is_empty() || (self.asks_own_address() && !peer.is_loopback()) {
            own = conn.local_addr().ok().map(|a| a.ip().to_canonical());
        }
        let candidates = own
            .and_then(|ip| self.single.iter().find(|(known, _)| *known == ip))
            .map_or(&self.candidates, |(_, hosts)| hosts);
        let host = self.table.named(candidates, head.host());
        if own == Some(peer) { host | SELF } else { host }
    }

    fn limits(&self, host: u32) -> Option<&Limits> {
        self.table.limits.get(unpack(host).0)
    }
}

/// The view of a listener that exists no more: one request of each connection is answered.
pub(crate) struct Goodbye {
    front: Front,
    limits: Vec<Limits>,
}

impl Goodbye {
    pub(crate) fn new(front: Front) -> Self {
        let mut limits = front.table.limits.clone();
        for limits in &mut limits {
            limits.requests = 1;
        }
        Self { front, limits }
    }
}

impl Hosts for Goodbye {
    fn choose(&self, head: &Head, conn: &Conn) -> u32 {
        self.front.choose(head, conn)
    }

    fn limits(&self, host: u32) -> Option<&Limits> {
        self.limits.get(unpack(host).0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use parkade_config::{LoadOptions, MemorySource, load};

    fn table(text: &str) -> Arc<Table> {
        let source = MemorySource::new()
            .with("/srv/x", "")
            .with("/etc/p.conf", format!("Listen 80\nUser nobody\n{text}"));
        let env = |_: &str| None;
        let options = LoadOptions {
            server_root: "/etc".into(),
            file: Some("p.conf".into()),
            cores: 1,
            env: &env,
            ..LoadOptions::default()
        };
        let (config, _) = load(options, &source).unwrap();
        let tree = Tree::new(&config, false);
        Table::new(&config, &tree)
    }

    const HOSTS: &str = "
        ServerName main
        <VirtualHost *:80>
            ServerName any
            ServerAlias *.any.example a?b
        </VirtualHost>
        <VirtualHost 10.0.0.1:80>
            ServerName exact
            KeepAliveTimeout 7
        </VirtualHost>
        <VirtualHost 10.0.0.1>
            ServerName whole
        </VirtualHost>
        <VirtualHost 10.0.0.1:80 [::1]:80>
            ServerName second
        </VirtualHost>";

    #[test]
    fn the_address_comes_before_the_name() {
        let table = table(HOSTS);
        for (ip, port, host, number) in [
            ("10.0.0.1", 80, "exact", 2),
            ("10.0.0.1", 80, "SECOND:80", 4),
            ("10.0.0.1", 80, "second.", 4),
            ("10.0.0.1", 80, "any", 2),
            ("10.0.0.1", 80, "whole", 2),
            ("10.0.0.1", 81, "exact", 3),
            ("10.0.0.2", 80, "exact", 1),
            ("10.0.0.2", 80, "x.ANY.example", 1),
            ("10.0.0.2", 81, "any", 0),
            ("::1", 80, "exact", 4),
            ("::ffff:10.0.0.1", 80, "second", 4),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            let candidates = table.at(ip, port);
            assert_eq!(
                table.named(&candidates, Some(host)),
                number,
                "{ip}:{port} {host}"
            );
        }
    }

    #[test]
    fn a_wildcard_listener_looks_at_single_addresses_only_where_hosts_name_them() {
        let table = table(HOSTS);
        let all = Front::new(&table, "[::]:80".parse().unwrap());
        assert_eq!(all.single.len(), 2);
        assert_eq!(all.candidates, [1]);
        let one = Front::new(&table, "10.0.0.1:80".parse().unwrap());
        assert!(one.single.is_empty());
        assert_eq!(one.limits().keep_alive, Duration::from_secs(7));
        let other = Front::new(&table, "10.0.0.2:81".parse().unwrap());
        assert!(other.is_plain());
    }
}
