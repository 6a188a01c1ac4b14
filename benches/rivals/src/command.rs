//! The command line of every hello server.

use std::net::SocketAddr;
use std::process::exit;

use lexopt::prelude::*;

/// `--address 127.0.0.1:PORT [--threads N]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Command {
    pub address: SocketAddr,
    /// One by default.
    pub threads: usize,
}

impl Command {
    /// The arguments of this process, which ends here if they are wrong.
    pub fn get() -> Command {
        Command::parse(lexopt::Parser::from_env()).unwrap_or_else(|e| {
            eprintln!("{e}; usage: --address 127.0.0.1:PORT [--threads N]");
            exit(2)
        })
    }

    fn parse(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
        let (mut address, mut threads) = (None, 1);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("address") => address = Some(parser.value()?.parse()?),
                Long("threads") => threads = parser.value()?.parse()?,
                other => return Err(other.unexpected()),
            }
        }
        if !(1..=256).contains(&threads) {
            return Err("--threads goes from 1 to 256".into());
        }
        let address = address.ok_or("--address is missing")?;
        Ok(Command { address, threads })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Option<Command> {
        let words = [&["rival"], words].concat();
        Command::parse(lexopt::Parser::from_iter(words)).ok()
    }

    #[test]
    fn an_address_is_all_it_takes() {
        let address = ([127, 0, 0, 1], 80).into();
        let threads = 1;
        let one = Command { address, threads };
        assert_eq!(parse(&["--address", "127.0.0.1:80"]), Some(one));
        let four = Command { threads: 4, ..one };
        let words = ["--threads", "4", "--address", "127.0.0.1:80"];
        assert_eq!(parse(&words), Some(four));
    }

    #[test]
    fn mistakes_are_no_command() {
        for words in [
            &[][..],
            &["--address", "nowhere"],
            &["--address", "127.0.0.1:80", "--threads", "0"],
            &["--address", "127.0.0.1:80", "more"],
        ] {
            assert_eq!(parse(words), None, "{words:?}");
        }
    }
}
