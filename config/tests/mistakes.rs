//! What a stranger tries: names of today, words that are missing or too many, numbers that are too big, bytes that are no
//! text. Each case is a configuration behind `Listen 80`, the beginning of what is said, and line and column.
use parkade_config::{Diagnostic, LoadOptions, MemorySource, Severity, load};

fn found(text: &str) -> Vec<Diagnostic> {
    let source = MemorySource::new()
        .with("/p.conf", text)
        .with("/a/b", "User x");
    let options = LoadOptions {
        file: Some("/p.conf".into()),
        cores: 2,
        is_root: true,
        ..LoadOptions::default()
    };
    load(options, &source).map_or_else(|errors| errors, |(_, notes)| notes)
}

/// What is said about `text`, which stands behind a Listen and a User.
fn about(text: &str) -> Vec<Diagnostic> {
    found(&format!("Listen 80\nUser x\n{text}\n"))
}

fn says(text: &str, severity: Severity, message: &str, line: u32, column: u32) {
    let all = about(text);
    let place = all
        .iter()
        .find(|d| d.message.starts_with(message))
        .map(|d| (d.severity, d.line(), d.column()));
    let expected = (severity, Some(line), Some(column));
    assert_eq!(place, Some(expected), "{text:?}: {all:#?}");
}

#[test]
fn a_message_names_the_directive_as_it_was_written() {
    for (text, message) in [
        ("MaxRequestWorkers abc", "MaxRequestWorkers: \"abc\" is not"),
        ("maxrequestworkers 1 2", "MaxRequestWorkers takes one argu"),
        ("MaxClients abc", "MaxClients: \"abc\" is not a number"),
        (
            "MaxConnectionsPerChild -1",
            "MaxConnectionsPerChild \"-1\" must",
        ),
    ] {
        let first = about(text).remove(0).message;
        assert!(first.starts_with(message), "{text}: {first}");
    }
    let text = "<VirtualHost *>\nMaxRequestWorkers 9\n</VirtualHost>";
    let message = "MaxRequestWorkers cannot occur within <VirtualHost> section";
    says(text, Severity::Error, message, 4, 1);
}

#[test]
fn a_number_that_is_too_big_is_a_number() {
    let huge = "99999999999999999999";
    for (name, message) in [
        ("ServerLimit", "ServerLimit must be at most"),
        ("MaxRequestWorkers", "MaxRequestWorkers must be at most"),
        ("SendBufferSize", "SendBufferSize must be at most"),
        ("LimitRequestBody", "LimitRequestBody must be at most"),
        ("MaxMemFree", "Invalid MaxMemFree value: 9999"),
        ("ThreadStackSize", "Invalid ThreadStackSize value: 9999"),
    ] {
        let column = name.len() as u32 + 2;
        says(
            &format!("{name} {huge}"),
            Severity::Error,
            message,
            3,
            column,
        );
    }
    says(
        "ServerLimit -99999999999999999999",
        Severity::Error,
        "ServerLimit must be at least",
        3,
        13,
    );
    let text = "ThreadStackSize 9223372036854775807";
    says(
        text,
        Severity::Error,
        "Invalid ThreadStackSize value",
        3,
        17,
    );
}

#[test]
fn an_empty_word_is_no_argument() {
    for name in [
        "PidFile",
        "ScoreBoardFile",
        "LockFile",
        "CoreDumpDirectory",
        "ErrorLog",
        "DocumentRoot",
        "ServerRoot",
        "User",
        "ThreadsPerChild",
        "AcceptMutex",
    ] {
        let column = name.len() as u32 + 2;
        let message = format!("{name} takes one argument, ");
        says(
            &format!("{name} \"\""),
            Severity::Error,
            &message,
            3,
            column,
        );
    }
    says(
        "Include \"\"",
        Severity::Error,
        "Include needs an argument",
        3,
        9,
    );
}

#[test]
fn the_place_of_an_unknown_filter_is_the_filter() {
    says(
        "AcceptFilter http foo",
        Severity::Error,
        "AcceptFilter \"foo\" is not known",
        3,
        19,
    );
}

#[test]
fn flags_take_no_notice_of_further_words_but_say_so() {
    for flag in [
        "KeepAlive",
        "EnableMMAP",
        "EnableSendfile",
        "ExtendedStatus",
    ] {
        let column = flag.len() as u32 + 5;
        let text = format!("{flag} On # x");
        let all = about(&text);
        assert!(all.iter().all(|d| d.severity < Severity::Error), "{all:?}");
        says(
            &text,
            Severity::Warning,
            &format!("{flag} is On or Off"),
            3,
            column,
        );
        says(
            flag,
            Severity::Error,
            &format!("{flag} takes one argument"),
            3,
            1,
        );
    }
    let text = "EnableExceptionHook On # x";
    says(
        text,
        Severity::Error,
        "EnableExceptionHook takes one argument",
        3,
        24,
    );
}

#[test]
fn error_refuses_the_configuration_where_it_is_reached() {
    says(
        "Error \"no such host\"",
        Severity::Error,
        "no such host",
        3,
        1,
    );
    assert!(about("<IfDefine X>\nError no\n</IfDefine>").is_empty());
}

#[test]
fn a_module_loaded_twice_is_loaded_once() {
    let text = "LoadModule mime_module a\nLoadModule mime_module a";
    says(
        text,
        Severity::Warning,
        "module mime_module is already loaded, skipping",
        4,
        12,
    );
    assert_eq!(about(text).len(), 1);
}

#[test]
fn only_the_blanks_of_c_separate_words() {
    let text = "ServerName a\u{a0}b\u{3000}c";
    assert!(about(text).is_empty(), "{:?}", about(text));
    says(
        "\u{b}ThreadsPerChild\u{c}abc",
        Severity::Error,
        "ThreadsPerChild: \"abc\"",
        3,
        18,
    );
}

#[test]
fn bytes_that_are_no_text_are_shown_unless_in_a_comment() {
    says("ServerName a\0b", Severity::Error, "NUL byte", 3, 13);
    says(
        "ServerName caf\u{fffd}",
        Severity::Warning,
        "Bytes that are not UTF-8",
        3,
        15,
    );
    assert!(about("# caf\u{fffd} \0").is_empty());
}

#[test]
fn what_was_written_wrongly_is_not_missing_as_well() {
    for text in [
        "Listen foo\nUser x",
        "Listen 80\nUser a b",
        "Listen 80\nUser #x",
        "Listen\nUser x",
    ] {
        let all = found(text);
        assert_eq!(all.len(), 1, "{text}: {all:#?}");
    }
    assert_eq!(found("Include /none").len(), 1, "it may be in there");
    assert_eq!(found("").len(), 2, "neither Listen nor User");
}

#[test]
fn corrections_name_the_value_and_the_way_out() {
    for (text, part) in [
        (
            "StartServers 20",
            "decreasing to 16. To increase, please set \"MaxRequestWorkers 500\" and \"ServerLimit 20\".",
        ),
        (
            "StartServers 3\nMaxClients 50",
            "decreasing to 2. To increase, please set \"MaxRequestWorkers 75\".",
        ),
        (
            "StartServers 3\nServerLimit 2\nMaxClients 500",
            "decreasing to 2. To increase, please set \"ServerLimit 3\".",
        ),
        (
            "ThreadsPerChild 25\nMinSpareThreads 50\nMaxSpareThreads 60",
            "increasing to 76: it must be more than MinSpareThreads of 50 and ThreadsPerChild of 25 together.",
        ),
    ] {
        let all = about(text);
        assert!(all.iter().any(|d| d.message.contains(part)), "{all:#?}");
    }
}
