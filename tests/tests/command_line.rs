//! What the command line shows and where it shows it: dumps on standard output, messages on standard error or in the
//! file of `-E`, and the exit code of each.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Prepared, Server, binary, is_root};
use std::fs;
use std::process::{Command, Stdio};

const FILES: &[(&str, &[u8])] = &[("site/a.txt", b"x")];

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         DocumentRoot {{root}}/site\n{more}\n"
    )
}

fn prepared(more: &str) -> Prepared {
    Prepared::new(&configuration(more), FILES).unwrap()
}

/// Exit code, standard output, standard error.
type Said = (Option<i32>, String, String);

fn said(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn run(prepared: &Prepared, arguments: &[&str]) -> Said {
    said(prepared.command().unwrap().args(arguments))
}

fn bare(arguments: &[&str]) -> Said {
    said(Command::new(binary().unwrap()).args(arguments))
}

const HOSTS: &str = "<VirtualHost 127.0.0.1:18471>
ServerName one.local
</VirtualHost>
<VirtualHost 127.0.0.1:18471 [::1]:*>
ServerName two.local
ServerAlias *.two.local second.local
</VirtualHost>
<VirtualHost _default_>
ServerName star.local
</VirtualHost>";

#[test]
fn virtual_hosts_are_shown_by_address_with_their_names_and_lines() {
    let prepared = prepared(HOSTS);
    let file = prepared.root().join("parkade.conf");
    let file = file.display();
    let expected = format!(
        "VirtualHost configuration:
127.0.0.1:18471        is a NameVirtualHost
         default server one.local ({file}:7)
         port 18471 namevhost one.local ({file}:7)
         port 18471 namevhost two.local ({file}:10)
                 wild alias *.two.local
                 alias second.local
[::1]:*                two.local ({file}:10)
*:*                    star.local ({file}:14)
"
    );
    let (code, out, errors) = run(&prepared, &["-t", "-D", "DUMP_VHOSTS"]);
    assert_eq!((code, out.as_str()), (Some(0), expected.as_str()));
    assert!(errors.ends_with("Syntax OK\n"), "{errors}");
    // -S shows them first, and does not speak of syntax.
    let (code, out, errors) = run(&prepared, &["-S"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with(&expected), "{out}");
    assert!(out[expected.len()..].starts_with("ServerRoot: \""), "{out}");
    assert!(!errors.contains("Syntax OK"), "{errors}");
}

#[test]
fn run_settings_are_shown_after_their_corrections() {
    let more = "User nobody\nGroup #1\nLockFile locks/accept\nAcceptMutex fcntl\nDefine OWN\nThreadsPerChild 5\n\
                MaxClients 17\nMinSpareThreads 10\nMaxSpareThreads 11";
    let prepared = prepared(more);
    let root = prepared.root().display();
    let (code, out, _) = run(&prepared, &["-t", "-D", "DUMP_RUN_CFG"]);
    assert_eq!(code, Some(0));
    for line in [
        format!("ServerRoot: \"{root}\""),
        format!("Main DocumentRoot: \"{root}/site\""),
        format!("Main ErrorLog: \"{root}/error.log\""),
        format!("Mutex default: dir=\"{root}/locks/\" mechanism=fcntl"),
        format!("PidFile: \"{root}/pid\""),
        "Define: DUMP_RUN_CFG".to_owned(),
        "Define: OWN".to_owned(),
        "ThreadsPerChild: 5".to_owned(),
        "MaxClients: 15".to_owned(),
        "MaxSpareThreads: 16".to_owned(),
    ] {
        assert!(out.lines().any(|l| l == line), "{line}: {out}");
    }
    let user = out.lines().find(|l| l.starts_with("User: ")).unwrap();
    assert!(user.starts_with("User: name=\"nobody\" id="), "{user}");
    // Who is not root stays who he is.
    assert_eq!(user.ends_with(" not_used"), !is_root(), "{user}");
    let group = out.lines().find(|l| l.starts_with("Group: ")).unwrap();
    assert!(group.contains(" id=1"), "{group}");
    assert!(!out.contains("VirtualHost configuration"), "{out}");
}

#[test]
fn nothing_is_dumped_from_a_broken_configuration() {
    let prepared = prepared("NoSuchThing");
    for arguments in [
        &["-S"][..],
        &["-M"],
        &["-t"],
        &["-t", "-D", "DUMP_RUN_CFG"],
        &["-t", "-D", "DUMP_VHOSTS"],
    ] {
        let (code, out, errors) = run(&prepared, arguments);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(errors.contains("NoSuchThing"), "{arguments:?}: {errors}");
    }
}

#[test]
fn a_dump_needs_no_server_and_leaves_none() {
    let prepared = prepared("");
    for arguments in [&["-S"][..], &["-M"], &["-l"], &["-L"]] {
        assert_eq!(run(&prepared, arguments).0, Some(0), "{arguments:?}");
    }
    for name in ["pid", "error.log"] {
        assert!(!prepared.root().join(name).exists(), "{name}");
    }
}

#[test]
fn a_dump_is_asked_for_by_its_name_alone() {
    let prepared = prepared("<VirtualHost *>\n</VirtualHost>");
    for name in ["DUMP_VHOSTS", "DUMP_RUN_CFG", "DUMP_MODULES", "DUMP_CONFIG"] {
        let (code, out, _) = run(&prepared, &["-D", name]);
        let checked = run(&prepared, &["-t", "-D", name]);
        assert_eq!((code, &out), (Some(0), &checked.1), "{name}");
        assert!(!out.is_empty(), "{name}");
    }
    assert!(!prepared.root().join("pid").exists());
}

#[test]
fn files_are_shown_behind_the_lines_that_include_them() {
    let more = "Include {root}/one.conf\nIncludeOptional {root}/more/*.conf";
    let prepared = prepared(more);
    let root = prepared.root();
    fs::create_dir(root.join("more")).unwrap();
    fs::write(root.join("one.conf"), "\nInclude two.conf\n").unwrap();
    for name in ["two.conf", "more/b.conf", "more/a.conf"] {
        fs::write(root.join(name), "").unwrap();
    }
    let root = root.display();
    let expected = format!(
        "Included configuration files:
  (*) {root}/parkade.conf
    (7) {root}/one.conf
      (2) {root}/two.conf
    (8) {root}/more/a.conf
    (8) {root}/more/b.conf
"
    );
    let (code, out, _) = run(&prepared, &["-D", "DUMP_INCLUDES"]);
    assert_eq!((code, out), (Some(0), expected));
}

#[test]
fn who_checks_stops_nothing() {
    let server = Server::start(&configuration(""), FILES).unwrap();
    let file = server.root().join("parkade.conf");
    for word in ["stop", "graceful-stop", "restart"] {
        let mut command = Command::new(binary().unwrap());
        let command = command.args(["-t", "-k", word, "-f"]).arg(&file);
        let (code, _, errors) = said(command);
        assert_eq!((code, errors.as_str()), (Some(0), "Syntax OK\n"));
    }
    assert_eq!(server.get("/a.txt").unwrap().status, 200);
    let log = server.text("error.log");
    assert_eq!(log.matches("configured -- resuming").count(), 1, "{log}");
    assert!(!log.contains("caught"), "{log}");
}

#[test]
fn what_a_start_would_fail_at_is_found_by_a_check_with_its_line() {
    for (line, message, column) in [
        ("ErrorLog no/e.log", "/no/' for main error log", 10),
        ("CustomLog no/a.log common", "/no/' for log file", 11),
        ("PidFile no/pid", "/no/' for PidFile", 9),
        ("ScoreBoardFile no/board", "/no/' for ScoreBoardFile", 16),
        ("PidFile site/a.txt/pid", "/site/a.txt/' for PidFile", 9),
        (
            "Listen no-such-host.invalid:80",
            "no-such-host.invalid has no address",
            8,
        ),
    ] {
        let prepared = prepared(line);
        for arguments in [&["-t"][..], &[]] {
            let (code, _, errors) = run(&prepared, arguments);
            assert_eq!(code, Some(1), "{line}: {errors}");
            assert!(errors.contains(message), "{line}: {errors}");
            let place = format!("parkade.conf:7:{column}");
            assert!(errors.contains(&place), "{line}: {errors}");
        }
        assert!(!prepared.root().join("error.log").exists(), "{line}");
    }
}

#[test]
fn the_version_says_when_it_was_built() {
    let (code, out, _) = bare(&["-v"]);
    let mut lines = out.lines();
    assert_eq!(code, Some(0));
    assert!(
        lines
            .next()
            .is_some_and(|l| l.starts_with("Server version: Parkade/"))
    );
    let built = lines
        .next()
        .and_then(|l| l.strip_prefix("Server built:   "));
    assert!(
        built.is_some_and(|b| b.len() == 19 && b.contains('T')),
        "{out}"
    );
    assert!(bare(&["-V"]).1.starts_with(&out));
}

#[test]
fn modules_have_a_name_for_load_module_and_one_as_a_part() {
    let (code, out, _) = bare(&["-M"]);
    assert_eq!(code, Some(0));
    assert!(
        out.starts_with("Loaded Modules:\n core_module (static)\n"),
        "{out}"
    );
    assert!(out.contains("\n mpm_event_module (static)\n"), "{out}");
    assert_eq!(bare(&["-t", "-D", "DUMP_MODULES"]).1, out);
    // Whatever is shown can be named in a configuration.
    for line in out.lines().skip(1) {
        let name = line.trim().strip_suffix(" (static)").unwrap();
        let (code, _, errors) = run(
            &prepared(&format!("<IfModule {name}>\nNoSuchThing\n</IfModule>")),
            &["-t"],
        );
        assert_eq!(code, Some(1), "{name}: {errors}");
    }
    let (code, out, _) = bare(&["-l"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("Compiled in modules:\n  core.c\n"), "{out}");
}

#[test]
fn every_directive_is_listed_with_its_context_and_help() {
    let (code, out, _) = bare(&["-L"]);
    assert_eq!(code, Some(0));
    let entry = |name: &str| {
        let mut lines = out.lines().skip_while(|l| *l != name).skip(1);
        let entry: Vec<&str> = lines.by_ref().take_while(|l| l.starts_with('\t')).collect();
        entry.join("\n")
    };
    let listen = entry("Listen");
    assert!(listen.contains("\tAllowed in: server"), "{listen}");
    assert!(listen.contains("port"), "{listen}");
    let timeout = entry("KeepAliveTimeout");
    assert!(
        timeout.contains("Allowed in: server, virtual host") && timeout.contains("Default: 5"),
        "{timeout}"
    );
    assert!(entry("MaxClients").contains("Also: MaxRequestWorkers"));
    assert!(entry("<Directory>").contains("Allowed in: server, virtual host"));
    for name in [
        "AcceptMutex",
        "CoreDumpDirectory",
        "EnableExceptionHook",
        "Group",
        "Listen",
        "ListenBacklog",
        "LockFile",
        "MaxClients",
        "MaxMemFree",
        "MaxRequestsPerChild",
        "MaxSpareThreads",
        "MinSpareThreads",
        "PidFile",
        "ScoreBoardFile",
        "SendBufferSize",
        "ServerLimit",
        "StartServers",
        "ThreadLimit",
        "ThreadStackSize",
        "ThreadsPerChild",
        "User",
        "Include",
        "<IfDefine>",
    ] {
        assert!(entry(name).contains("\tAllowed in: "), "{name}");
    }
}

#[test]
fn the_level_of_the_start_says_which_messages_are_shown() {
    // An info (a value that is kept) and a warning (one that is corrected).
    let prepared = prepared("StartServers 40\nThreadsPerChild 0");
    for (level, info, warning) in [
        (&[][..], true, true),
        (&["-e", "info"], true, true),
        (&["-e", "debug"], true, true),
        (&["-e", "WARN"], false, true),
        (&["-e", "error"], false, false),
    ] {
        let (code, _, errors) = run(&prepared, &[&["-t"], level].concat());
        assert_eq!(code, Some(0));
        let shown = |part| errors.contains(part);
        assert_eq!(
            shown("exceeds the 16 children"),
            info,
            "{level:?}: {errors}"
        );
        assert_eq!(shown("increasing to 1."), warning, "{level:?}: {errors}");
    }
    // What stops the server is said at any level.
    let broken = self::prepared("NoSuchThing");
    let (code, _, errors) = run(&broken, &["-t", "-e", "emerg"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("NoSuchThing"), "{errors}");
    let (code, _, errors) = run(&prepared, &["-t", "-e", "loud"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("Usage:"), "{errors}");
}

#[test]
fn messages_of_the_start_go_to_the_file_that_is_named() {
    let broken = prepared("NoSuchThing");
    let file = broken.root().join("start.log");
    fs::write(&file, "before\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, out, errors) = run(&broken, &["-E", file]);
    assert_eq!((code, out.as_str(), errors.as_str()), (Some(1), "", ""));
    let written = broken.text("start.log");
    assert!(
        written.starts_with("before\n") && written.contains("NoSuchThing"),
        "{written}"
    );
    let (code, _, errors) = run(&broken, &["-E", "/no/such/folder/start.log"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("/no/such/folder/start.log"), "{errors}");
}
