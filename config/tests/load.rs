//! What a user sees: whole configurations from memory, and the messages they give.
#![allow(
    clippy::unwrap_used,
    reason = "a test helper fails its test by panicking"
)]
use parkade_config::{Config, Diagnostic, LoadOptions, MemorySource, Require, load};
use std::time::Duration;

fn source(text: &str) -> MemorySource {
    MemorySource::new()
        .with("/srv/www/index.html", "")
        .with("/etc/p/p.conf", text)
}

fn read(source: &MemorySource) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    let env = |name: &str| (name == "HOME_PORT").then(|| "8081".to_owned());
    let options = LoadOptions {
        server_root: "/etc/p".into(),
        file: Some("p.conf".into()),
        cores: 2,
        env: &env,
        ..LoadOptions::default()
    };
    load(options, source)
}

fn config(text: &str) -> Config {
    read(&source(text))
        .map_err(|e| e.iter().map(Diagnostic::render).collect::<String>())
        .unwrap()
        .0
}

#[test]
fn each_mistake_has_its_message_line_and_column() {
    let cases = [
        (
            "ThredsPerChild 4",
            "Invalid command 'ThredsPerChild', perhaps misspelled",
            1,
        ),
        (
            "ThreadStackSize abc",
            "ThreadStackSize: \"abc\" is not a number",
            17,
        ),
        ("ListenBacklog 0", "ListenBacklog must be > 0", 15),
        (
            "SendBufferSize 100",
            "SendBufferSize must be >= 512 bytes, or 0 for system default.",
            16,
        ),
        ("MaxMemFree -1", "Invalid MaxMemFree value: -1", 12),
        ("AcceptMutex foo", "foo is an invalid mutex mechanism", 13),
        ("KeepAlive maybe", "KeepAlive must be On or Off", 11),
        (
            "KeepAliveTimeout -3",
            "KeepAliveTimeout has wrong format",
            18,
        ),
        ("MaxClients 1 2", "MaxClients takes one argument, ", 14),
        ("Listen 99999", "Invalid address or port", 8),
        ("Listen foo", "Port must be specified", 8),
        (
            "Listen 8080",
            "Cannot define multiple Listeners on the same IP:port",
            8,
        ),
        ("Require all granted", "Require not allowed here", 1),
        (
            "<VirtualHost *>\nMaxClients 1\n</VirtualHost>",
            "MaxClients cannot occur within <VirtualHost> section",
            1,
        ),
        (
            "<Directory /a>\n</Location>",
            "Expected </Directory> but saw </Location>",
            1,
        ),
        (
            "</Directory>",
            "</Directory> without matching <Directory> section",
            1,
        ),
        (
            "<Directory>\n</Directory>",
            "<Directory> directive requires additional arguments",
            1,
        ),
        ("<VirtualHost *>", "<VirtualHost> was not closed.", 1),
        ("ServerName \"a", "Missing closing quote", 12),
        (
            "DocumentRoot /x",
            "DocumentRoot '/x' is not a directory, or is not readable",
            14,
        ),
        (
            "Include none.conf",
            "Could not open configuration file /etc/p/none.conf: No such file or directory",
            9,
        ),
        (
            "Include x/*.conf",
            "Include: No matches for the wildcard",
            9,
        ),
        ("Include p.conf", "includes itself", 9),
        ("Listen [x]:80", "Invalid address or port", 8),
        ("Listen ::1", "Invalid address or port", 8),
        ("Mutex foo:/x", "Invalid Mutex argument foo:/x", 7),
        ("SSLEngine On", "connections would not be encrypted", 1),
        (
            "<FilesMatch ^x>\nRequire all denied\n</FilesMatch>",
            "its Require would not be enforced",
            1,
        ),
        (
            "CoreDumpDirectory /x",
            "CoreDumpDirectory /x does not exist",
            19,
        ),
        (
            "ThreadStackSize -1",
            "Invalid ThreadStackSize value: -1",
            17,
        ),
        ("LimitRequestLine -1", "must be a non-negative integer", 18),
        ("LogLevel loud", "Log level keyword must be one of", 10),
        (
            "EnableExceptionHook 1",
            "parameter must be 'on' or 'off'",
            21,
        ),
        (
            "AsyncRequestWorkerFactor 0",
            "must be a positive number",
            26,
        ),
        ("HostnameLookups On", "HostnameLookups must be Off", 17),
        ("Group #x", "bad group name #x", 7),
        (
            "ServerRoot /nowhere",
            "ServerRoot must be a valid directory",
            12,
        ),
        ("RequestReadTimeout header=x", "is not of the form", 20),
        (
            "MaxRequestsPerChild -1",
            "must be a non-negative integer",
            21,
        ),
        (
            "<Directory /a>\nRequire all granted\nRequire not ip 10\n</Directory>",
            "Require not has no effect outside <RequireAll>",
            1,
        ),
        ("Define a:b", "Variable name must not contain ':'", 8),
        (
            "LoadModule php_module x.so",
            "Module php_module is not built in",
            12,
        ),
        ("User root", "User root is refused", 6),
        (
            "<Location /d>\nSetHandler parkade-diagnostics\n</Location>",
            "needs Require ip or Require local",
            12,
        ),
        (
            "<Directory /a>\nOptions +Indexes None\n</Directory>",
            "Either all Options must start with + or -",
            18,
        ),
    ];
    for (text, message, column) in cases {
        let errors = read(&source(&format!("Listen 8080\n{text}\n"))).expect_err(text);
        let found = errors.iter().find(|e| e.message.contains(message));
        let found = found.unwrap_or_else(|| panic!("{text}: {errors:?}"));
        assert_eq!(found.column(), Some(column), "{text}");
        assert!(found.line() >= Some(2), "{text}");
        assert!(!found.render().is_empty());
    }
}

#[test]
fn a_misspelled_name_brings_a_suggestion_and_a_caret() {
    let errors = read(&source("Listen 80\nThredsPerChild 4")).unwrap_err();
    assert_eq!(
        errors[0].help.as_deref(),
        Some("did you mean ThreadsPerChild?")
    );
    assert!(
        errors[0]
            .one_line()
            .starts_with("Syntax error on line 2 of /etc/p/p.conf: Invalid command")
    );
    if cfg!(feature = "pretty") {
        assert!(
            errors[0].render().contains("^^^^^^^^^^^^^^"),
            "{}",
            errors[0].render()
        );
    }
}

#[test]
fn several_mistakes_are_told_at_once() {
    assert_eq!(
        read(&source("Listen x\nKeepAlive 7\nFoo 1"))
            .unwrap_err()
            .len(),
        3,
        "what was written wrongly is not missing as well"
    );
}

#[test]
fn a_file_without_listen_is_refused() {
    let errors = read(&source("")).unwrap_err();
    assert_eq!(
        errors[0].message,
        "no listening sockets available, shutting down"
    );
}

#[test]
fn a_file_without_user_is_refused_to_root() {
    let options = LoadOptions {
        file: Some("/etc/p/p.conf".into()),
        is_root: true,
        ..LoadOptions::default()
    };
    let errors = load(options, &source("Listen 80")).unwrap_err();
    assert!(errors[0].message.contains("names no User"));
}

#[test]
fn grammar_continues_quotes_expands_and_chooses() {
    let c = config(concat!(
        "# comment \\\nKeepAlive Off\nListen [::1]:${HOME_PORT}\nDefine HOST a.example\nserverNAME \\\n ${HOST}:80\n",
        "<IfDefine !NOPE>\nTimeout 7\n</IfDefine>\n<IfModule mod_ssl.c>\nBogus\n</IfModule>\n",
        "<IfModule mod_mime.c>\nKeepAliveTimeout 500ms\n</IfModule>\nLogFormat \"%h \\\"%r\\\"\" n\nCustomLog log n\n",
    ));
    assert!(*c.main.keep_alive, "the comment swallowed the line");
    assert_eq!(
        (c.listens[0].host.as_deref(), c.listens[0].port),
        (Some("::1"), 8081)
    );
    assert_eq!(c.main.server_name.as_ref().unwrap().value, "a.example:80");
    assert_eq!(*c.main.timeout, Duration::from_secs(7));
    assert_eq!(*c.main.keep_alive_timeout, Duration::from_millis(500));
    assert_eq!(c.main.custom_logs[0].format.value, "%h \"%r\"");
}

#[test]
fn include_reads_a_wildcard_in_order() {
    let s = source("Include conf.d/*.conf\nIncludeOptional none/*.conf");
    let s = s
        .with("/etc/p/conf.d/b.conf", "Listen 2")
        .with("/etc/p/conf.d/a.conf", "Listen 1");
    let (c, _) = read(&s).unwrap();
    assert_eq!(c.listens.iter().map(|l| l.port).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        c.listens[0].at.as_ref().unwrap().to_string(),
        "/etc/p/conf.d/a.conf:1:8"
    );
}

#[test]
fn virtual_hosts_inherit_what_comes_later_in_the_main_server() {
    let c = config(
        "Listen 80\n<VirtualHost *:80>\nServerName v\n</VirtualHost>\nTimeout 9\nDocumentRoot /srv/www",
    );
    assert_eq!(*c.virtual_hosts[0].settings.timeout, Duration::from_secs(9));
}

#[test]
fn require_lines_of_a_section_let_in_whom_any_of_them_lets_in() {
    let c = config("Listen 80\n<Location /d>\nRequire ip 10.0.0.0/8\nRequire local\n</Location>");
    let require: &Require = c.main.sections[0].settings.require.as_ref().unwrap();
    for (ip, expected) in [
        ("10.1.2.3", true),
        ("127.0.0.1", true),
        ("::ffff:10.0.0.1", true),
        ("11.0.0.1", false),
    ] {
        assert_eq!(require.permits(ip.parse().unwrap(), None), expected, "{ip}");
    }
}

#[test]
fn extended_status_is_on_where_there_is_a_status_page_unless_it_is_said() {
    let page = "<Location /s>\nSetHandler server-status\n</Location>";
    let nested =
        "<Directory /srv/www>\n<Files s>\nSetHandler server-status\n</Files>\n</Directory>";
    for (text, expected) in [
        (String::new(), false),
        (page.into(), true),
        (nested.into(), true),
        (format!("<VirtualHost *:80>\n{page}\n</VirtualHost>"), true),
        (format!("ExtendedStatus Off\n{page}"), false),
        ("ExtendedStatus On".into(), true),
        ("<Location /s>\nSetHandler none\n</Location>".into(), false),
    ] {
        let (c, found) = read(&source(&format!("Listen 80\n{text}"))).unwrap();
        assert_eq!(c.extended_status(), expected, "{text}");
        assert!(
            found.iter().all(|d| !d.message.contains("later version")),
            "{found:?}"
        );
    }
}

#[test]
fn what_comes_later_says_so() {
    let (_, found) = read(&source(
        "Listen 80\nServerAdmin a@b\nMaxClients 17\nThreadsPerChild 5",
    ))
    .unwrap();
    let text = "ServerAdmin takes effect in a later version";
    assert!(
        found
            .iter()
            .any(|d| d.message == text && d.line() == Some(2))
    );
    assert!(
        found
            .iter()
            .any(|d| d.message.contains("nearest multiple 15"))
    );
}

#[test]
fn builtin_configuration_listens_on_loopback_and_names_no_file() {
    let c = Config::builtin(2);
    assert_eq!(
        (c.listens[0].host.as_deref(), c.listens[0].port),
        (Some("127.0.0.1"), 8080)
    );
    assert!(c.pid_file.is_none() && c.types_config.is_none());
    assert_eq!(
        (c.limits.threads_per_child, c.limits.slots_per_child),
        (4, 256)
    );
}

#[test]
fn a_comment_after_a_directive_brings_help() {
    let errors = read(&source("Listen 80\nMaxClients 5 # many")).unwrap_err();
    let help = errors[0].help.as_deref();
    assert_eq!(help, Some("a comment needs a line of its own"));
    assert_eq!(errors[0].column(), Some(14));
}

#[test]
fn a_define_that_doubles_itself_is_stopped() {
    let text = "Define A xxxxxxxxxxxxxxxx\n".to_owned() + &"Define A ${A}${A}\n".repeat(40);
    let errors = read(&source(&text)).unwrap_err();
    assert!(errors[0].message.starts_with("Line is longer than"));
}

#[test]
fn files_that_include_each_other_twice_come_to_an_end() {
    let mut files = source("Include 0.conf");
    for n in 0..100 {
        let text = format!("Include {0}.conf\nInclude {0}.conf", n + 1);
        files = files.with(format!("/etc/p/{n}.conf"), text);
    }
    let errors = read(&files.with("/etc/p/100.conf", "")).unwrap_err();
    let bound = |e: &Diagnostic| e.message == "More than 10000 files are included";
    assert!(errors.iter().any(bound));
}

#[test]
fn include_reads_a_directory_to_its_depth() {
    let files = source("Include conf.d")
        .with("/etc/p/conf.d/a/b", "Listen 1")
        .with("/etc/p/conf.d/c", "Listen 2");
    let ports = read(&files).unwrap().0.listens;
    assert_eq!(ports.iter().map(|l| l.port).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_virtual_host_has_its_own_logs_and_formats_may_come_later() {
    let c = config(
        "Listen 80\nCustomLog a n\n<VirtualHost *>\nCustomLog b n\n</VirtualHost>\n\
        <VirtualHost *>\nCustomLog c n\nLogFormat %U n\n</VirtualHost>\nLogFormat %h n",
    );
    let formats = |host: &parkade_config::HostSettings| {
        let logs = host.custom_logs.iter();
        logs.map(|l| l.format.value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(formats(&c.main), ["%h"]);
    assert_eq!(formats(&c.virtual_hosts[0].settings), ["%h"]);
    assert_eq!(formats(&c.virtual_hosts[1].settings), ["%U"]);
    let written = c.main.custom_logs[0].format.at.as_ref().unwrap();
    assert_eq!(
        (written.line, written.column),
        (10, 11),
        "the format's, not the log's"
    );
}

#[test]
fn mutex_sets_the_accept_lock_only_and_knows_apaches_others_by_name() {
    let c = config("Listen 80\nMutex flock:/tmp default\nMutex sysvsem ssl-cache OmitPID");
    assert_eq!(*c.accept_mutex, parkade_config::AcceptMutex::Flock);
    assert!(c.lock_file.unwrap().ends_with("tmp/accept.lock"));
    let found = read(&source("Listen 80\nMutex sysvsem mpm-accept ssl-cach")).unwrap_err();
    let error = &found[0];
    assert_eq!(error.message, "Mutex type ssl-cach is not valid");
    assert_eq!((error.line(), error.column()), (Some(2), Some(26)));
    let help = error.help.as_deref().unwrap();
    assert!(
        help.contains("mpm-accept") && help.contains("ssl-stapling"),
        "{help}"
    );
}

#[test]
fn the_dump_names_each_value_with_its_origin() {
    let text = parkade_config::dump::text(&config(
        "Listen [::1]:8443 https\nKeepAliveTimeout 500ms\n<VirtualHost *:80>\nServerName v\n</VirtualHost>",
    ));
    let line = |start: &str| {
        let found = text.lines().find(|line| line.starts_with(start));
        let found = found.unwrap_or_else(|| panic!("{start}: {text}"));
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("Listen "),
        "Listen [::1]:8443 https # /etc/p/p.conf:1:8"
    );
    assert_eq!(
        line("KeepAliveTimeout"),
        "KeepAliveTimeout 500ms # /etc/p/p.conf:2:18"
    );
    assert_eq!(line("Timeout"), "Timeout 60 # default");
    assert_eq!(
        line("<VirtualHost"),
        "<VirtualHost *:80> # /etc/p/p.conf:3:1"
    );
    assert_eq!(line("    ServerName"), "ServerName v # /etc/p/p.conf:4:12");
}

#[test]
fn require_all_takes_addresses_away() {
    let c = config(
        "Listen 80\n<Location /d>\n<RequireAll>\nRequire all granted\nRequire not ip 10.1\n</RequireAll>\n</Location>",
    );
    let require: &Require = c.main.sections[0].settings.require.as_ref().unwrap();
    assert!(!require.permits("10.1.0.9".parse().unwrap(), None));
    assert!(require.permits("10.2.0.9".parse().unwrap(), None));
    assert!(!require.is_by_address());
}

#[cfg(feature = "pretty")]
#[test]
fn a_rendered_error_shows_the_line_and_a_caret_below_the_word() {
    let errors = read(&source("Listen 80\n  KeepAlive  Maybe")).unwrap_err();
    let expected = [
        "error: KeepAlive must be On or Off",
        " --> /etc/p/p.conf:2:14",
        "  |",
        "2 |   KeepAlive  Maybe",
        "  |              ^^^^^",
    ];
    assert_eq!(errors[0].render().trim_end(), expected.join("\n"));
}

#[test]
fn a_file_that_names_no_log_and_no_pid_file_has_them_below_the_server_root() {
    let c = config("Listen 80");
    let expected = parkade_config::LogTarget::File("/etc/p/logs/error_log".into());
    assert_eq!(c.main.error_log.unwrap().value, expected);
    assert!(c.pid_file.unwrap().ends_with("p/logs/httpd.pid"));
    assert!(Config::builtin(1).main.error_log.is_none());
}
