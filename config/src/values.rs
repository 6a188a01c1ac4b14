//! Reads single arguments: numbers, times, addresses.
use crate::typed::{Listen, RangeTimeout};
use std::net::IpAddr;
use std::time::Duration;

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// Leading bits that count.
    pub bits: u8,
}

impl Cidr {
    /// `10`, `10.1`, `10.1.2.3`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `::1`, `fe80::/10`.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, tail) = text
            .split_once('/')
            .map_or((text, None), |(head, tail)| (head, Some(tail)));
        let (address, full): (IpAddr, u8) = match head.parse() {
            Ok(address @ IpAddr::V4(_)) => (address, 32),
            Ok(address) => (address, 128),
            Err(_) => {
                let parts: Vec<&str> = head.trim_end_matches('.').split('.').collect();
                if parts.len() > 3 || tail.is_some() {
                    return None;
                }
                let mut bytes = [0u8; 4];
                for (byte, part) in bytes.iter_mut().zip(&parts) {
                    *byte = part.parse().ok()?;
                }
                return Some(Self {
                    address: IpAddr::from(bytes),
                    bits: parts.len() as u8 * 8,
                });
            }
        };
        let bits = match (tail, address) {
            (None, _) => full,
            (Some(mask), IpAddr::V4(_)) if mask.contains('.') => {
                let mask = u32::from(mask.parse::<std::net::Ipv4Addr>().ok()?);
                (mask.leading_ones() + mask.trailing_zeros() >= 32)
                    .then_some(mask.leading_ones() as u8)?
            }
            (Some(bits), _) => bits.parse().ok().filter(|bits| *bits <= full)?,
        };
        Some(Self { address, bits })
    }

    /// Whether `address` lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| {
            let shift = width - u32::from(self.bits).min(width);
            a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
        };
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
            _ => false,
        }
    }
}

/// A whole number, strictly decimal; one that is too big is the biggest (or the least) there is, beyond every range.
pub(crate) fn number(text: &str) -> Option<i128> {
    let (digits, beyond) = match text.strip_prefix('-') {
        Some(digits) => (digits, i128::MIN),
        None => (text, i128::MAX),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(beyond))
}

/// A time: digits with `ms`, `s`, `min`, `h` or nothing (seconds).
pub(crate) fn time(text: &str) -> Option<Duration> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let n: u32 = digits.parse().ok()?;
    let n = u64::from(n);
    match unit.to_ascii_lowercase().as_str() {
        "" | "s" => Some(Duration::from_secs(n)),
        "ms" => Some(Duration::from_millis(n)),
        "min" | "mi" => Some(Duration::from_secs(n * 60)),
        "h" => Some(Duration::from_secs(n * 3600)),
        _ => None,
    }
}

/// `WakeCoalescing`: `Off`, `On`, or digits with `us` or `ms`.
pub(crate) fn coalescing(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    let bound = match (text.as_str(), text.strip_suffix("us")) {
        ("off" | "0", _) => return Some(Duration::ZERO),
        ("on", _) => Duration::from_micros(500),
        (_, Some(us)) => Duration::from_micros(us.parse().ok()?),
        (ms, None) => Duration::from_millis(ms.strip_suffix("ms")?.parse().ok()?),
    };
    let sensible = Duration::from_micros(100)..=Duration::from_millis(10);
    sensible.contains(&bound).then_some(bound)
}

/// The address of `Listen`.
pub(crate) fn listen(text: &str, protocol: Option<&str>) -> Result<Listen, String> {
    let (host, port) = match text.rsplit_once(':') {
        None if text.bytes().all(|b| b.is_ascii_digit()) => (None, text),
        Some((host, port)) if !host.starts_with('[') || host.ends_with(']') => (Some(host), port),
        _ => return Err("Port must be specified".to_owned()),
    };
    let port: u16 = port
        .parse()
        .ok()
        .filter(|p| *p > 0)
        .ok_or("Invalid address or port")?;
    if let Some(host) = host.filter(|host| host.contains([':', '['])) {
        let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let address = inner.map(|h| h.split_once('%').map_or(h, |(address, _scope)| address));
        let valid = address.is_some_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok());
        if !valid {
            return Err("Invalid address or port".to_owned());
        }
    }
    let host = host
        .filter(|host| *host != "*")
        .map(|host| host.trim_matches(['[', ']']).to_owned());
    if host.as_deref() == Some("") {
        return Err("Invalid address or port".to_owned());
    }
    let default = if port == 443 { "https" } else { "http" };
    Ok(Listen {
        host,
        port,
        protocol: protocol.unwrap_or(default).to_ascii_lowercase(),
    })
}

/// `t[-max][,MinRate=r]`.
pub(crate) fn range_timeout(text: &str) -> Option<RangeTimeout> {
    let mut parts = text.split(',');
    let times = parts.next()?;
    let (initial, max) = times
        .split_once('-')
        .map_or((times, None), |(a, b)| (a, Some(b)));
    let seconds = |text: &str| {
        text.parse::<u32>()
            .ok()
            .map(|n| Duration::from_secs(n.into()))
    };
    let mut out = RangeTimeout {
        initial: seconds(initial)?,
        max: None,
        min_rate: None,
    };
    if let Some(max) = max {
        out.max = Some(seconds(max).filter(|max| *max >= out.initial)?);
    }
    if let Some(rate) = parts.next() {
        let (key, value) = rate.split_once('=')?;
        key.eq_ignore_ascii_case("MinRate").then_some(())?;
        out.min_rate = Some(value.parse().ok().filter(|rate| *rate > 0)?);
    } else if out.max.is_some() {
        out.min_rate = Some(500);
    }
    parts.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_in_every_notation_contain_what_they_should() {
        let cases = [
            ("10", "10.255.0.1", "11.0.0.1"),
            ("10.1", "10.1.9.9", "10.2.0.0"),
            ("192.168.1.", "192.168.1.7", "192.168.2.7"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("172.16.0.0/12", "172.31.255.255", "172.32.0.0"),
            ("172.16.0.0/255.240.0.0", "172.31.255.255", "172.32.0.0"),
            ("fe80::/10", "febf::1", "fec0::1"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
        ];
        for (net, inside, outside) in cases {
            let cidr = Cidr::parse(net).expect(net);
            assert!(cidr.contains(inside.parse().expect(inside)), "{net}");
            assert!(!cidr.contains(outside.parse().expect(outside)), "{net}");
        }
        for bad in [
            "",
            "a",
            "10.1.2.3.4",
            "10.0.0.0/33",
            "::/129",
            "10/8",
            "256",
            "10.0.0.0/255.0.255.0",
        ] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_strictly_decimal() {
        let cases = [
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("007", Some(7)),
            ("99999999999999999999", Some(99_999_999_999_999_999_999)),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text), expected, "{text}");
        }
        let huge = "9".repeat(99);
        assert_eq!(number(&huge), Some(i128::MAX));
        assert_eq!(number(&format!("-{huge}")), Some(i128::MIN));
        for bad in ["", "-", "+1", "1k", "0x1", "1.5", " 1"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_have_units() {
        let millis = |text| time(text).map(|t| t.as_millis());
        let cases = [
            ("5", 5_000),
            ("500ms", 500),
            ("2min", 120_000),
            ("1H", 3_600_000),
            ("3s", 3_000),
            ("0", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for bad in ["", "-1", "ms", "5 s", "5d", "99999999999"] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }

    #[test]
    fn naps_are_bounded() {
        let us = |text| coalescing(text).map(|b| b.as_micros());
        assert_eq!(us("Off"), Some(0));
        assert_eq!(
            (us("on"), us("250us"), us("2ms")),
            (Some(500), Some(250), Some(2_000))
        );
        for bad in [
            "",
            "1",
            "50us",
            "11ms",
            "1s",
            "-1ms",
            "x",
            "999999999999999999999us",
        ] {
            assert_eq!(us(bad), None, "{bad}");
        }
    }

    #[test]
    fn listen_addresses_split_into_host_and_port() {
        let host = |text| listen(text, None).map(|l| (l.host, l.port));
        let some = |host: &str| Some(host.to_owned());
        assert_eq!(host("80"), Ok((None, 80)));
        assert_eq!(host("*:80"), Ok((None, 80)));
        assert_eq!(host("1.2.3.4:80"), Ok((some("1.2.3.4"), 80)));
        assert_eq!(host("[::]:80"), Ok((some("::"), 80)));
        assert_eq!(host("[fe80::1%eth0]:80"), Ok((some("fe80::1%eth0"), 80)));
        assert_eq!(host("a.example:80"), Ok((some("a.example"), 80)));
        let protocol = |text, given| listen(text, given).map(|l| l.protocol);
        assert_eq!(protocol("443", None), Ok("https".to_owned()));
        assert_eq!(protocol("80", None), Ok("http".to_owned()));
        assert_eq!(protocol("80", Some("HTTPS")), Ok("https".to_owned()));
        for bad in [
            "", "0", "65536", ":80", "a", "a:", "a:b", "[::1]", "[::1:80", "::1:80",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn read_timeouts_have_a_range_and_a_rate() {
        let parts = |text| {
            range_timeout(text)
                .map(|r| (r.initial.as_secs(), r.max.map(|m| m.as_secs()), r.min_rate))
        };
        assert_eq!(parts("20"), Some((20, None, None)));
        assert_eq!(parts("20-40,MinRate=9"), Some((20, Some(40), Some(9))));
        assert_eq!(parts("20-40"), Some((20, Some(40), Some(500))));
        assert_eq!(parts("0"), Some((0, None, None)));
        for bad in [
            "",
            "a",
            "40-20",
            "20,MinRate=0",
            "20,Rate=1",
            "20,MinRate=1,x",
        ] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
