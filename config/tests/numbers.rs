//! The numeric ones of the 21 directives of old: what is no number, out of range or in the wrong place is an error at its
//! very column; what is only unwise is corrected, and the correction names the remedy.
use parkade_config::{Diagnostic, LoadOptions, MemorySource, Severity, load};

/// What is found in a configuration whose first line is a Listen; errors and notes alike.
fn found(text: &str) -> Vec<Diagnostic> {
    let source = MemorySource::new().with("/p.conf", format!("Listen 80\n{text}\n"));
    let options = LoadOptions {
        file: Some("/p.conf".into()),
        cores: 2,
        ..LoadOptions::default()
    };
    load(options, &source).map_or_else(|errors| errors, |(_, notes)| notes)
}

const NUMERIC: [&str; 12] = [
    "ListenBacklog",
    "MaxClients",
    "MaxMemFree",
    "MaxRequestsPerChild",
    "MaxSpareThreads",
    "MinSpareThreads",
    "SendBufferSize",
    "ServerLimit",
    "StartServers",
    "ThreadLimit",
    "ThreadStackSize",
    "ThreadsPerChild",
];

#[test]
fn what_is_no_number_is_an_error_at_its_column() {
    for name in NUMERIC {
        for value in [
            "abc",
            "1k",
            "+1",
            "1.5",
            "0x10",
            "-",
            "99999999999999999999",
        ] {
            let all = found(&format!("{name} {value}"));
            let error = all.iter().find(|d| d.severity == Severity::Error);
            let place = error.map(|d| (d.file(), d.line(), d.column()));
            let column = name.len() as u32 + 2;
            let expected = (Some("/p.conf"), Some(2), Some(column));
            assert_eq!(place, Some(expected), "{name} {value}: {all:?}");
            assert!(
                error.is_some_and(|d| d.message.contains(name)),
                "{name} {value}: {all:?}"
            );
        }
    }
}

#[test]
fn none_of_the_21_may_stand_in_a_virtual_host() {
    let others = [
        "AcceptMutex flock",
        "CoreDumpDirectory /",
        "EnableExceptionHook On",
        "Group a",
        "Listen 81",
        "LockFile a",
        "PidFile a",
        "ScoreBoardFile a",
        "User a",
    ];
    let numeric = NUMERIC.map(|name| format!("{name} 5"));
    let lines = others.iter().map(|l| (*l).to_owned()).chain(numeric);
    for line in lines {
        let name = line.split(' ').next().unwrap_or_default();
        let all = found(&format!("<VirtualHost *>\n{line}\n</VirtualHost>"));
        let text = format!("{name} cannot occur within <VirtualHost> section");
        let error = all.iter().find(|d| d.message == text);
        assert_eq!(error.and_then(Diagnostic::line), Some(3), "{all:?}");
    }
}

#[test]
fn corrections_name_the_remedy() {
    for (text, part) in [
        ("ThreadsPerChild 100", "please set \"ThreadLimit 100\""),
        ("ThreadsPerChild 1", "leaves no thread in reserve"),
        ("StartServers 0", "increasing to 1"),
        ("ServerLimit 0", "increasing to 1"),
        ("ThreadLimit 0", "increasing to 1"),
        ("MinSpareThreads 0", "almost certain server failure"),
        ("ThreadStackSize 4096", "inappropriate, using default"),
        ("MaxClients 17\nThreadsPerChild 5", "nearest multiple 15"),
        ("MaxClients 3\nThreadsPerChild 5", "increasing to 5"),
    ] {
        let all = found(text);
        assert!(
            all.iter().any(|d| d.message.contains(part)),
            "{text}: {all:?}"
        );
        assert!(all.iter().all(|d| d.severity < Severity::Error), "{all:?}");
    }
}
