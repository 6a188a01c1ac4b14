//! The command line: single letters, as Apache's.

use parkade_config::LogLevel;
use std::ffi::OsString;
use std::path::PathBuf;

/// Name and version.
pub(crate) const VERSION: &str = concat!("Parkade/", env!("CARGO_PKG_VERSION"));

/// What `-h` says.
pub(crate) const USAGE: &str = "\
Usage: parkade [-D name] [-d directory] [-f file] [-C \"directive\"] [-c \"directive\"]
               [-k start|restart|graceful|graceful-stop|stop]
               [-t] [-T] [-S] [-M] [-l] [-L] [-v] [-V]
               [-e level] [-E file] [-X] [-h]
Options:
  -D name         define a name for <IfDefine name> (FOREGROUND and NO_DETACH: -k start
                  does not detach; ONE_PROCESS and DEBUG: as -X)
  -d directory    the ServerRoot to begin with
  -f file         the configuration file; without it the built-in configuration is used
  -C \"directive\"  process a directive before the configuration file
  -c \"directive\"  process a directive after the configuration file
  -k start        start in the background
  -k restart      read the configuration anew; requests in progress are cut, idle connections are kept
  -k graceful     read the configuration anew; requests in progress are finished
  -k graceful-stop  stop when the requests in progress are finished
  -k stop         stop the server whose PidFile is configured
  -t              check the configuration and exit, whatever -k says; -D DUMP_VHOSTS, DUMP_RUN_CFG,
                  DUMP_MODULES, DUMP_INCLUDES and DUMP_CONFIG show what it says, also without -t
  -T              do not check that DocumentRoot exists
  -S              show the virtual hosts and the settings of a run, and exit
  -M              show the modules, as a configuration names them, and exit
  -l              show the compiled-in modules
  -L              show every directive, with its help and where it may stand
  -e level        of the messages about the configuration, show those of this LogLevel
  -E file         append messages of the start to a file instead of standard error
  -v              show the version
  -V              show the version and build settings
  -X              one process, in the foreground
  -h              show this text
Without -k the server runs in the foreground until it is interrupted.
";

/// What `-k` asks of the server that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    Stop,
    GracefulStop,
    Restart,
    Graceful,
}

/// The names that ask for a dump.
const DUMPS: &[&str] = &[
    "DUMP_VHOSTS",
    "DUMP_RUN_CFG",
    "DUMP_MODULES",
    "DUMP_INCLUDES",
    "DUMP_CONFIG",
];

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Command {
    Run,
    Test,
    /// What the `DUMP_` names ask for, and no word about the syntax.
    Dump,
    Modules,
    Directives,
    Signal(Ask),
    Version,
    BuildSettings,
    Usage,
}

/// The command line, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) command: Command,
    pub(crate) file: Option<PathBuf>,
    pub(crate) root: Option<PathBuf>,
    pub(crate) defines: Vec<String>,
    pub(crate) before: Vec<String>,
    pub(crate) after: Vec<String>,
    pub(crate) skip_root_check: bool,
    pub(crate) detach: bool,
    pub(crate) one_process: bool,
    /// `-e`.
    pub(crate) level: Option<LogLevel>,
    /// `-E`.
    pub(crate) errors: Option<PathBuf>,
}

/// Reads the arguments behind the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, String> {
    use lexopt::prelude::*;
    let mut options = Options {
        command: Command::Run,
        file: None,
        root: None,
        defines: Vec::new(),
        before: Vec::new(),
        after: Vec::new(),
        skip_root_check: false,
        detach: false,
        one_process: false,
        level: None,
        errors: None,
    };
    let (mut test, mut show) = (false, false);
    let mut ask = None;
    let mut parser = lexopt::Parser::from_args(args);
    parser.set_short_equals(false);
    let text = |v: OsString| {
        v.into_string()
            .map_err(|v| format!("{} is not UTF-8", v.display()))
    };
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        let arg = match arg {
            Short(letter) => letter,
            other => return Err(other.unexpected().to_string()),
        };
        let mut value = || parser.value().map_err(|e| e.to_string());
        match arg {
            'f' => options.file = Some(value()?.into()),
            'd' => options.root = Some(value()?.into()),
            'D' => options.defines.push(text(value()?)?),
            'C' => options.before.push(text(value()?)?),
            'c' => options.after.push(text(value()?)?),
            't' => test = true,
            'S' | 'M' => {
                show = true;
                let names: &[&str] = match arg {
                    'S' => &["DUMP_VHOSTS", "DUMP_RUN_CFG"],
                    _ => &["DUMP_MODULES"],
                };
                options.defines.extend(names.iter().map(|&n| n.into()));
            }
            'l' => options.command = Command::Modules,
            'L' => options.command = Command::Directives,
            'e' => {
                let name = text(value()?)?;
                let level = LogLevel::parse(&name);
                options.level = Some(level.ok_or_else(|| format!("illegal level -- e {name}"))?);
            }
            'E' => options.errors = Some(value()?.into()),
            'T' => options.skip_root_check = true,
            'v' => options.command = Command::Version,
            'V' => options.command = Command::BuildSettings,
            'h' | '?' => options.command = Command::Usage,
            'X' => options.one_process = true,
            'k' => match value()?.to_str() {
                Some("start") => options.detach = true,
                Some("stop") => ask = Some(Ask::Stop),
                Some("graceful-stop") => ask = Some(Ask::GracefulStop),
                Some("restart") => ask = Some(Ask::Restart),
                Some("graceful") => ask = Some(Ask::Graceful),
                other => return Err(format!("illegal option -- k {}", other.unwrap_or("?"))),
            },
            letter => return Err(format!("illegal option -- {letter}")),
        }
    }
    let defined = |names: &[&str]| options.defines.iter().any(|d| names.contains(&d.as_str()));
    options.one_process |= defined(&["ONE_PROCESS", "DEBUG"]);
    // Who looks does not act: a dump or a check goes before `-k`.
    options.command = match options.command {
        Command::Run if show || !test && defined(DUMPS) => Command::Dump,
        Command::Run if test => Command::Test,
        Command::Run => ask.map_or(Command::Run, Command::Signal),
        said => said,
    };
    options.detach &= options.may_detach();
    Ok(options)
}

impl Options {
    /// The same for a server that takes another one's place, where that one is.
    pub(crate) fn taking_over(mut self) -> Self {
        self.detach = false;
        if matches!(self.command, Command::Signal(_)) {
            self.command = Command::Run;
        }
        self
    }

    /// Whether the server may leave the terminal.
    pub(crate) fn may_detach(&self) -> bool {
        let stays = |d: &String| d == "FOREGROUND" || d == "NO_DETACH";
        !self.one_process && !self.defines.iter().any(stays)
    }
}

/// When the program was built.
pub(crate) fn built() -> String {
    let seconds = env!("PARKADE_BUILT").parse::<i64>().unwrap_or(0);
    jiff::Timestamp::from_second(seconds)
        .map(|at| at.strftime("%Y-%m-%dT%H:%M:%S").to_string())
        .unwrap_or_default()
}

/// What `-v` says.
pub(crate) fn version() -> String {
    format!("Server version: {VERSION}\nServer built:   {}\n", built())
}

/// What `-V` says.
pub(crate) fn build_settings() -> String {
    let version = version();
    format!(
        "{version}Server MPM:     event\n  threaded:     yes (fixed thread count)\n    forked:     yes (variable process count)\nServer compiled with....\n -D REACTOR=\"epoll\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_may_be_glued_and_repeated() {
        let args = [
            "-t",
            "-DFOO",
            "-D",
            "BAR",
            "-f",
            "x.conf",
            "-cListen 1",
            "-c",
            "Listen 2",
        ];
        let options = parse(args.map(OsString::from)).unwrap();
        assert_eq!(options.command, Command::Test);
        assert_eq!(options.defines, ["FOO", "BAR"]);
        assert_eq!(options.after, ["Listen 1", "Listen 2"]);
        assert!(parse(["-k", "bogus"].map(OsString::from)).is_err());
        assert!(parse(["--long"].map(OsString::from)).is_err());
        assert!(parse(["-e", "loud"].map(OsString::from)).is_err());
    }

    #[test]
    fn who_looks_does_not_act() {
        let command = |args: &[&str]| parse(args.iter().map(OsString::from)).unwrap().command;
        for (args, wanted) in [
            (&["-t", "-k", "stop"][..], Command::Test),
            (&["-k", "stop", "-t"], Command::Test),
            (&["-k", "graceful", "-S"], Command::Dump),
            (&["-D", "DUMP_VHOSTS"], Command::Dump),
            (&["-k", "stop", "-D", "DUMP_RUN_CFG"], Command::Dump),
            (&["-t", "-D", "DUMP_RUN_CFG"], Command::Test),
            (&["-D", "DUMP_NOTHING"], Command::Run),
            (&["-k", "stop", "-v"], Command::Version),
            (&["-k", "stop"], Command::Signal(Ask::Stop)),
        ] {
            assert_eq!(command(args), wanted, "{args:?}");
        }
    }

    #[test]
    fn names_say_that_the_server_stays_where_it_is() {
        for (name, detach, one) in [
            ("FOREGROUND", false, false),
            ("NO_DETACH", false, false),
            ("ONE_PROCESS", false, true),
            ("DEBUG", false, true),
            ("OTHER", true, false),
        ] {
            let options = parse(["-k", "start", "-D", name].map(OsString::from)).unwrap();
            assert_eq!(
                (options.detach, options.one_process),
                (detach, one),
                "{name}"
            );
        }
    }

    #[test]
    fn a_dump_is_asked_for_by_defining_its_name() {
        for args in [["-S", "-t"], ["-t", "-S"]] {
            let options = parse(args.map(OsString::from)).unwrap();
            assert_eq!(options.command, Command::Dump);
            assert_eq!(options.defines, ["DUMP_VHOSTS", "DUMP_RUN_CFG"]);
        }
    }
}
