//! Static files, seen from outside: what is served, what is not, and how soon a change is seen.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade_tests::client::{self, Response};
use parkade_tests::ready;
use parkade_tests::server::Server;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn start(more: &str, files: &[(&str, &[u8])]) -> Server {
    let text = format!(
        "ServerRoot {{root}}\nServerName localhost\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\n\
         ErrorLog {{root}}/error.log\nStartServers 1\nThreadsPerChild 3\nDocumentRoot {{root}}/site\n{more}\n"
    );
    Server::start(&text, files).unwrap()
}

fn ask(server: &Server, line: &str, fields: &str) -> Response {
    let text = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    server.exchange(text.as_bytes()).unwrap()
}

fn is_root() -> bool {
    // SAFETY: no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// RFC 9110 section 13.2.2: every row of the table is a request, once against the file and once against the memory.
#[test]
fn preconditions_by_the_table() {
    let server = start("", &[("site/a.txt", b"0123456789")]);
    let got = server.get("/a.txt").unwrap();
    let etag = got.header("ETag").unwrap().to_owned();
    let equal = got.header("Last-Modified").unwrap().to_owned();
    let (older, newer) = (
        "Thu, 01 Jan 2015 00:00:00 GMT",
        "Fri, 01 Jan 2100 00:00:00 GMT",
    );
    let range = "Range: bytes=2-4\r\n";
    let rows = [
        (
            format!("If-None-Match: {etag}\r\nIf-Modified-Since: {older}\r\n"),
            304,
        ),
        (
            format!("If-Match: {etag}\r\nIf-Unmodified-Since: {older}\r\n"),
            200,
        ),
        (
            format!("If-Unmodified-Since: {newer}\r\nIf-Modified-Since: {equal}\r\n"),
            304,
        ),
        (
            format!("{range}If-Range: {etag}\r\nIf-None-Match: {etag}\r\n"),
            304,
        ),
        ("If-Match: \"other\"\r\n".to_owned(), 412),
        (
            format!("If-Match: \"other\"\r\nIf-None-Match: {etag}\r\n"),
            412,
        ),
        (
            format!("If-Match: \"other\"\r\nIf-Modified-Since: {equal}\r\n"),
            412,
        ),
        (format!("If-Match: \"other\"\r\n{range}"), 412),
        (format!("If-Unmodified-Since: {older}\r\n"), 412),
        ("If-Unmodified-Since: not a date\r\n".to_owned(), 200),
        (
            format!("If-None-Match: \"a\"\r\nIf-None-Match: {etag}\r\n"),
            304,
        ),
        (format!("If-None-Match: \"a\", W/{etag}\r\n"), 304),
        ("If-None-Match: *\r\n".to_owned(), 304),
        ("If-None-Match: \"a\"\r\n".to_owned(), 200),
        (
            format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {newer}\r\n"),
            200,
        ),
        (format!("If-Modified-Since: {equal}\r\n"), 304),
        (format!("If-Modified-Since: {older}\r\n"), 200),
        ("If-Modified-Since: nonsense\r\n".to_owned(), 200),
        (format!("{range}If-Range: \"other\"\r\n"), 200),
        (format!("{range}If-Range: W/{etag}\r\n"), 200),
        (format!("{range}If-Range: {etag}\r\n"), 206),
        (format!("{range}If-Range: {equal}\r\n"), 206),
        (format!("{range}If-Range: {newer}\r\n"), 200),
        (format!("If-Match: W/{etag}\r\n"), 412),
        ("If-Match: *\r\n".to_owned(), 200),
    ];
    // A file is kept once it has rested a moment.
    for path in ["/a.txt?fresh", "/./a.txt", "/a.txt"] {
        for (fields, status) in &rows {
            let got = ask(&server, &format!("GET {path}"), fields);
            assert_eq!(got.status, *status, "{path} {fields:?}");
            if got.status == 304 {
                assert_eq!(got.header("ETag"), Some(&*etag), "{fields:?}");
                assert_eq!(got.header("Last-Modified"), Some(&*equal), "{fields:?}");
                assert!(got.header("Date").is_some());
                assert_eq!(got.header("Content-Length"), None);
            }
        }
    }
}

#[test]
fn ranges_by_the_table() {
    let big: Vec<u8> = (0..200_000u32).map(|i| (i / 3) as u8).collect();
    let server = start("", &[("site/a.txt", b"0123456789"), ("site/big", &big)]);
    let whole = b"0123456789";
    for (range, status, body, content_range) in [
        ("bytes=2-4", 206, &b"234"[..], Some("bytes 2-4/10")),
        ("bytes=-3", 206, b"789", Some("bytes 7-9/10")),
        ("bytes=8-", 206, b"89", Some("bytes 8-9/10")),
        (
            "bytes=1-18446744073709551615",
            206,
            b"123456789",
            Some("bytes 1-9/10"),
        ),
        ("bytes=0-9,30-20", 200, whole, None),
        ("bytes=x", 200, whole, None),
        ("lines=1-2", 200, whole, None),
        ("bytes=4-2", 200, whole, None),
    ] {
        let got = ask(&server, "GET /a.txt", &format!("Range: {range}\r\n"));
        assert_eq!((got.status, &got.body[..]), (status, body), "{range}");
        assert_eq!(got.header("Content-Range"), content_range, "{range}");
    }
    let got = ask(&server, "GET /a.txt", "Range: bytes=20-\r\n");
    assert_eq!(
        (got.status, got.header("Content-Range")),
        (416, Some("bytes */10"))
    );
    let mut stream = client::connect(server.address()).unwrap();
    stream
        .write_all(b"HEAD /a.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\n\r\n")
        .unwrap();
    let head = client::read(&mut stream, true).unwrap();
    assert_eq!(
        (head.status, head.header("Content-Length")),
        (200, Some("10"))
    );
    let got = ask(
        &server,
        "POST /a.txt",
        "Range: bytes=2-4\r\nContent-Length: 0\r\n",
    );
    assert_eq!(got.status, 405);
    let got = ask(&server, "GET /big", "Range: bytes=70000-190000\r\n");
    assert!(got.status == 206 && got.body == big[70_000..=190_000]);
    let many = "0-0,".repeat(3000);
    let got = ask(
        &server,
        "GET /a.txt",
        &format!("Range: bytes={}\r\n", &many[..8000]),
    );
    assert_eq!(got.status, 200, "bounded work");
}

#[test]
fn paths_methods_and_directories() {
    let server = start(
        "DirectoryIndex none.html first.html second.html /shared.html\n\
         <Location /post>\nLimitRequestBody 10\n</Location>\n<Location /more>\nLimitRequestBody 2000\n</Location>\n\
         LimitRequestBody 1000\n<Directory {root}/site/off>\nDirectoryIndex disabled\n</Directory>",
        &[
            ("site/f.txt", b"f"),
            ("site/post", b"p"),
            ("site/more", b"m"),
            ("site/shared.html", b"shared"),
            ("site/two/first.html", b"first"),
            ("site/two/second.html", b"second"),
            ("site/one/second.html", b"second"),
            ("site/off/first.html", b"first"),
            ("site/empty/x", b"x"),
            ("site/sp ace/first.html", b"space"),
        ],
    );
    for (line, fields, status, what) in [
        ("GET /f.txt/", "", 404, ""),
        ("GET /f.txt/x", "", 404, ""),
        ("GET /two/", "", 200, "first"),
        ("GET /one/", "", 200, "second"),
        ("GET /empty/", "", 200, "shared"),
        ("GET /off/", "", 403, ""),
        ("GET /sp%20ace/", "", 200, "space"),
        ("GET /%2e%2e/parkade.conf", "", 400, ""),
        ("GET /two%2ffirst.html", "", 404, ""),
        ("GET /two%5cfirst.html", "", 404, ""),
        ("GET /f.txt%00", "", 404, ""),
        ("GET /%c0%ae%c0%ae/x", "", 404, ""),
        ("OPTIONS /f.txt", "", 200, ""),
        ("POST /f.txt", "Content-Length: 3\r\n\r\nabc", 405, ""),
        (
            "POST /post",
            "Content-Length: 11\r\n\r\nabcdefghijk",
            413,
            "",
        ),
        (
            "PUT /post",
            "Content-Length: 11\r\n\r\nabcdefghijk",
            413,
            "",
        ),
        (
            "GET /post",
            "Content-Length: 11\r\n\r\nabcdefghijk",
            413,
            "",
        ),
        (
            "POST /post",
            "Transfer-Encoding: chunked\r\n\r\nb\r\nabcdefghijk\r\n0\r\n\r\n",
            413,
            "",
        ),
        (
            "POST /post",
            "Content-Length: 10\r\n\r\nabcdefghij",
            405,
            "",
        ),
        ("POST /f.txt", "Content-Length: 1001\r\n", 413, ""),
        ("PUT /more", "Content-Length: 2001\r\n", 413, ""),
        ("DELETE /f.txt", "", 405, ""),
        ("BREW /f.txt", "", 501, ""),
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}");
        let text = if fields.contains("\r\n\r\n") {
            text
        } else {
            format!("{text}\r\n")
        };
        let got = server.exchange(text.as_bytes()).unwrap();
        assert_eq!(got.status, status, "{line} {fields:?}");
        if !what.is_empty() {
            assert_eq!(String::from_utf8_lossy(&got.body), what, "{line}");
        }
        if [405, 501].contains(&status) || line.starts_with("OPTIONS") {
            assert!(got.header("Allow").is_some(), "{line}");
        }
    }
    let body = "x".repeat(1500);
    let text = format!(
        "POST /more HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1500\r\n\r\n{body}"
    );
    assert_eq!(
        server.exchange(text.as_bytes()).unwrap().status,
        405,
        "a section may allow more"
    );
    for (path, location) in [
        ("/two", "/two/"),
        ("//two", "/two/"),
        ("/.//two?a=b&c", "/two/?a=b&c"),
        ("/sp%20ace", "/sp%20ace/"),
        ("/x/..//two", "/two/"),
    ] {
        let got = ask(&server, &format!("GET {path}"), "");
        assert_eq!(
            (got.status, got.header("Location")),
            (301, Some(location)),
            "{path}"
        );
    }
}

#[test]
fn links_are_followed_where_options_say_so() {
    let server = start(
        "<Directory {root}/site>\nOptions None\n</Directory>\n<Directory {root}/site/follow>\nOptions FollowSymLinks\n</Directory>\n\
         <Directory {root}/site/owner>\nOptions SymLinksIfOwnerMatch\n</Directory>\n\
         <Directory {root}/site/private>\nRequire all denied\n</Directory>",
        &[
            ("outside/secret", b"secret"),
            ("site/a.txt", b"a"),
            ("site/private/p.txt", b"p"),
            ("site/follow/x", b"x"),
            ("site/owner/x", b"x"),
            ("site/plain/x", b"x"),
        ],
    );
    let site = server.root().join("site");
    let secret = server.root().join("outside/secret");
    let outside = server.root().join("outside");
    for directory in ["follow", "owner", "plain"] {
        let at = site.join(directory);
        symlink(&secret, at.join("out")).unwrap();
        symlink(&outside, at.join("dir")).unwrap();
        symlink("../a.txt", at.join("in")).unwrap();
        symlink("../private/p.txt", at.join("private")).unwrap();
        symlink("loop", at.join("loop")).unwrap();
        symlink("nothing", at.join("dangling")).unwrap();
    }
    // A directory that is itself a link stands in a place where links are not followed.
    symlink("../outside", site.join("linked")).unwrap();
    for (path, status) in [
        ("/follow/out", 200),
        ("/follow/dir/secret", 200),
        ("/follow/in", 200),
        ("/follow/loop", 403),
        ("/follow/dangling", 404),
        ("/owner/out", 200),
        ("/owner/dir/secret", 200),
        ("/owner/loop", 403),
        ("/plain/out", 403),
        ("/plain/dir/secret", 403),
        ("/plain/in", 200),
        ("/plain/private", 403),
        ("/plain/loop", 403),
        ("/plain/dangling", 404),
        ("/linked/secret", 403),
    ] {
        // Twice: the second may come from memory.
        for _ in 0..2 {
            assert_eq!(server.get(path).unwrap().status, status, "{path}");
        }
    }
    if !is_root() {
        return eprintln!("the rest is skipped: only root can give a file away");
    }
    lchown(site.join("owner/out"), Some(12345), None).unwrap();
    lchown(site.join("owner/dir"), Some(12345), None).unwrap();
    for path in ["/owner/out", "/owner/dir/secret"] {
        assert_eq!(
            server.get(path).unwrap().status,
            403,
            "{path}: somebody else's link"
        );
    }
    chown(&secret, Some(12345), None).unwrap();
    assert_eq!(
        server.get("/owner/out").unwrap().status,
        200,
        "link and file are theirs"
    );
    assert_eq!(
        server.get("/owner/dir/secret").unwrap().status,
        403,
        "the directory is not"
    );
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let server = start("", &[("site/a", b"a")]);
    let site = server.root().join("site");
    let fifo = std::ffi::CString::new(site.join("fifo").to_str().unwrap()).unwrap();
    // SAFETY: a string that ends with NUL.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o644) }, 0);
    let _socket = std::os::unix::net::UnixListener::bind(site.join("socket")).unwrap();
    fs::set_permissions(site.join("socket"), fs::Permissions::from_mode(0o666)).unwrap();
    symlink("/dev/zero", site.join("device")).unwrap();
    symlink("/proc/self/root", site.join("magic")).unwrap();
    fs::write(site.join("unreadable"), "x").unwrap();
    fs::set_permissions(site.join("unreadable"), fs::Permissions::from_mode(0o000)).unwrap();
    let began = Instant::now();
    for path in [
        "/fifo",
        "/socket",
        "/device",
        "/magic/etc/passwd",
        "/unreadable",
    ] {
        let status = server.get(path).unwrap().status;
        assert!(status == 403 || status == 404, "{path}: {status}");
    }
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn every_change_is_seen_within_a_second() {
    let server = start(
        "DirectoryIndex better.html index.html",
        &[("site/a.txt", b"one"), ("site/d/index.html", b"index")],
    );
    let site = server.root().join("site");
    let file = site.join("a.txt");
    /// Asks until the answer is the expected one, all the time, so that it is in memory; not longer than a second.
    fn becomes(server: &Server, path: &str, status: u16, body: &[u8], what: &str) {
        let end = Instant::now() + Duration::from_secs(1);
        loop {
            let got = server.get(path).unwrap();
            if got.status == status && (status != 200 || got.body == body) {
                return;
            }
            assert!(
                Instant::now() < end,
                "{what}: still {} {:?}",
                got.status,
                got.body
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    // Long enough for it to be kept.
    let rest = || {
        std::thread::sleep(Duration::from_millis(100));
        for _ in 0..3 {
            let _ = server.get("/a.txt");
            let _ = server.get("/d/");
        }
    };
    rest();
    fs::write(&file, "two").unwrap();
    becomes(&server, "/a.txt", 200, b"two", "edited, same length");
    rest();
    fs::write(site.join("new"), "three").unwrap();
    fs::rename(site.join("new"), &file).unwrap();
    becomes(&server, "/a.txt", 200, b"three", "replaced by rename");
    rest();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if is_root() {
        becomes(&server, "/a.txt", 403, b"", "no longer readable");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    becomes(&server, "/a.txt", 200, b"three", "readable again");
    rest();
    fs::remove_file(&file).unwrap();
    becomes(&server, "/a.txt", 404, b"", "deleted");
    fs::create_dir(&file).unwrap();
    becomes(&server, "/a.txt", 301, b"", "now a directory");
    becomes(&server, "/d/", 200, b"index", "an index");
    rest();
    fs::write(site.join("d/better.html"), "better").unwrap();
    becomes(&server, "/d/", 200, b"better", "a better index appears");
    rest();
    fs::remove_file(site.join("d/better.html")).unwrap();
    becomes(&server, "/d/", 200, b"index", "and goes");
}

/// Large bodies arrive whole by either way, and a file that shrinks meanwhile ends in a close.
#[test]
fn large_files_with_and_without_sendfile() {
    let big: Vec<u8> = (0..40_000_000u32).map(|i| (i / 7) as u8).collect();
    for sendfile in ["On", "Off"] {
        let server = start(&format!("EnableSendfile {sendfile}"), &[("site/big", &big)]);
        assert!(
            server.get("/big").unwrap().body == big,
            "EnableSendfile {sendfile}"
        );
        let mut slow = client::connect(server.address()).unwrap();
        slow.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        let mut some = vec![0; 1000];
        slow.read_exact(&mut some).unwrap();
        fs::OpenOptions::new()
            .write(true)
            .open(server.root().join("site/big"))
            .unwrap()
            .set_len(500_000)
            .unwrap();
        let mut rest = Vec::new();
        // An end or a reset, in time; never more than was announced.
        let _ = slow.read_to_end(&mut rest);
        assert!(rest.len() < big.len());
    }
}

#[test]
fn types_and_forced_types() {
    let server = start(
        "TypesConfig {root}/types\nAddType text/x-added .added html\n\
         <Directory {root}/site/forced>\nForceType text/x-forced\n</Directory>\n\
         <Files special.*>\nForceType text/x-special\n</Files>",
        &[
            ("types", b"text/x-mine mine\n"),
            ("site/a.mine", b""),
            ("site/a.added", b""),
            ("site/a.html", b""),
            ("site/a.css", b"."),
            ("site/a", b""),
            ("site/forced/a.css", b""),
            ("site/special.css", b""),
        ],
    );
    for (path, kind) in [
        ("/a.mine", Some("text/x-mine")),
        ("/a.added", Some("text/x-added")),
        ("/a.html", Some("text/x-added")),
        ("/a.css", Some("text/css")),
        ("/a", None),
        ("/forced/a.css", Some("text/x-forced")),
        ("/special.css", Some("text/x-special")),
    ] {
        let got = server.get(path).unwrap();
        assert_eq!(
            (got.status, got.header("Content-Type")),
            (200, kind),
            "{path}"
        );
    }
}

/// Sections in Apache's order: Directory from short to long, Files, Location; the last one that speaks decides.
#[test]
fn sections_are_merged_in_order() {
    let server = start(
        "<Location /loc>\nRequire all granted\n</Location>\n\
         <Directory {root}/site/deny/allow>\nRequire all granted\n</Directory>\n\
         <Directory {root}/site/deny>\nRequire all denied\n</Directory>\n\
         <Directory {root}/site/*/wild>\nRequire all denied\n</Directory>\n\
         <Files *.secret>\nRequire all denied\n</Files>\n\
         <Files index.html>\nRequire all denied\n</Files>\n\
         <Directory {root}/site/loc>\nRequire all denied\n</Directory>\n\
         <Location /ip>\nRequire ip 10.0.0.0/8 192.168\n</Location>\n\
         <Location /home>\nRequire ip 127.0.0.0/8\n</Location>\n\
         <Location /local>\nRequire local\n</Location>\n\
         <Location /several>\nRequire ip 10.0.0.0/8\nRequire local\n</Location>\n\
         <Location /all>\n<RequireAll>\nRequire all granted\nRequire not ip 127.0.0.1\n</RequireAll>\n</Location>\n\
         <Location /any>\n<RequireAny>\nRequire ip 10.0.0.0/8\nRequire local\n</RequireAny>\n</Location>",
        &[
            ("site/deny/a", b"a"),
            ("site/deny/allow/a", b"a"),
            ("site/deny/allow/x.secret", b"a"),
            ("site/x/wild/a", b"a"),
            ("site/loc/a", b"a"),
            ("site/loc/x.secret", b"a"),
            ("site/index.html", b"i"),
            ("site/ip", b"a"),
            ("site/home", b"a"),
            ("site/local", b"a"),
            ("site/several", b"a"),
            ("site/all", b"a"),
            ("site/any", b"a"),
        ],
    );
    for (path, status) in [
        ("/deny/a", 403),
        ("/deny/allow/a", 200),
        ("/deny/allow/x.secret", 403),
        ("/x/wild/a", 403),
        ("/loc/a", 200),
        ("/loc/x.secret", 200),
        ("/", 403),
        ("/index.html", 403),
        ("/ip", 403),
        ("/home", 200),
        ("/local", 200),
        ("/several", 200),
        ("/all", 403),
        ("/any", 200),
    ] {
        assert_eq!(server.get(path).unwrap().status, status, "{path}");
    }
    let log = server.root().join("error.log");
    ready::until("a refusal in the log", PATIENCE, || {
        fs::read_to_string(&log).is_ok_and(|t| {
            t.contains("[authz_core:error]")
                && t.contains("client denied by server configuration: /deny/a")
        })
    })
    .unwrap();
}
