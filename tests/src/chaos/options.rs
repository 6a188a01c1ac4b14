//! What a run is asked to do.

use std::path::PathBuf;
use std::time::Duration;

/// A fault planted to see that the checks find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A child is killed, and nobody is told.
    Kill,
    /// A client takes a file for another.
    Answer,
    /// A parked connection is closed behind its client's back.
    Close,
    /// A file is left behind.
    File,
    /// A process is left behind.
    Process,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Fixes the order of events and what each client does.
    pub seed: u64,
    /// How long events happen.
    pub time: Duration,
    /// The most events; 0: as many as the time allows.
    pub events: u64,
    /// How many clients at a time.
    pub clients: usize,
    /// Where the error log goes at the end.
    pub keep: Option<PathBuf>,
    /// To prove the checks.
    pub plant: Option<Fault>,
}

const USAGE: &str = "usage: parkade-chaos [--seed N] [--seconds S] [--events N] [--clients N] [--keep FILE] \
[--plant kill|answer|close|file|process]";

impl Options {
    /// Reads a command line without the program's name.
    ///
    /// # Errors
    /// What is wrong with it, and how it should be.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            seed: 1,
            time: Duration::from_secs(90),
            events: 0,
            clients: 32,
            keep: None,
            plant: None,
        };
        while let Some(name) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| format!("{name}: a value is missing\n{USAGE}"))?;
            let number = || {
                value
                    .parse::<u64>()
                    .map_err(|e| format!("{name} {value}: {e}\n{USAGE}"))
            };
            match name.as_str() {
                "--seed" => options.seed = number()?,
                "--seconds" => options.time = Duration::from_secs(number()?.clamp(1, 86_400)),
                "--events" => options.events = number()?,
                "--clients" => options.clients = number()?.clamp(1, 256) as usize,
                "--keep" => options.keep = Some(PathBuf::from(&value)),
                "--plant" => options.plant = Some(Fault::named(&value).ok_or(USAGE)?),
                _ => return Err(format!("{name}: there is no such option\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

impl Fault {
    fn named(name: &str) -> Option<Fault> {
        Some(match name {
            "kill" => Fault::Kill,
            "answer" => Fault::Answer,
            "close" => Fault::Close,
            "file" => Fault::File,
            "process" => Fault::Process,
            _ => return None,
        })
    }
}
