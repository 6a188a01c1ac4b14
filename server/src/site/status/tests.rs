use super::*;
use crate::scoreboard::{Beginning, Size};
use crate::site::status::{auto, page};

fn board(extended: bool) -> Board {
    let size = Size {
        children: 6,
        workers: 1,
        slots: 4,
        extended,
    };
    let board = Board::new(size, 2, None).unwrap();
    board.header().planned.store(4, Relaxed);
    board
}

#[test]
fn letters_say_what_slots_do_and_spare_records_are_left_out() {
    let board = board(false);
    for state in [State::Serving, State::Starting, State::Stopping] {
        let at = board.claim(4, 0).unwrap();
        board.child(at).unwrap().set_state(state);
    }
    Doing::Writing.show(&board.slots(0)[0]);
    Doing::Reading.show(&board.slots(0)[2]);
    Doing::Writing.show(&board.slots(2)[1]);
    let figures = Figures::gather(&board, "a");
    assert_eq!(figures.letters, "W_R_SSSS.G......");
    let counts = (figures.busy(), figures.graceful(), figures.idle());
    assert_eq!(counts, (2, 1, 2));
    assert_eq!((figures.children.len(), figures.stopping()), (3, 1));
}

#[test]
fn the_keys_stand_in_their_order() {
    let keys = |extended: bool| {
        let board = board(extended);
        board.header().gone_requests.store(6, Relaxed);
        board.header().gone_user.store(1_500_000, Relaxed);
        board.header().began.store(0, Relaxed);
        let mut text = String::new();
        auto::write(&Figures::gather(&board, "a.example"), &mut text);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("a.example"));
        let key = |line: &str| line.split_once(": ").map(|(key, _)| key.to_owned());
        lines.map(|line| key(line).unwrap()).collect::<Vec<_>>()
    };
    let first = "ServerVersion,ServerMPM,Server Built,CurrentTime,RestartTime,ParentServerConfigGeneration,\
        ParentServerMPMGeneration,ServerUptimeSeconds,ServerUptime,Load1,Load5,Load15,";
    let totals = "Total Accesses,Total kBytes,Total Duration,CPUUser,CPUSystem,CPUChildrenUser,CPUChildrenSystem,\
        CPULoad,Uptime,ReqPerSec,BytesPerSec,BytesPerReq,DurationPerReq,";
    let last = "BusyWorkers,GracefulWorkers,IdleWorkers,Processes,Stopping,ConnsTotal,ConnsAsyncWaitIO,\
        ConnsAsyncWriting,ConnsAsyncKeepAlive,ConnsAsyncClosing,Scoreboard,BuffersRetainedBytes,ReactorBackend";
    assert_eq!(keys(true).join(","), format!("{first}{totals}{last}"));
    assert_eq!(keys(false).join(","), format!("{first}{last}"));
}

#[test]
fn nothing_that_a_client_sent_is_markup() {
    let board = board(true);
    let at = board.claim(4, 0).unwrap();
    board.child(at).unwrap().set_state(State::Serving);
    Doing::Writing.show(&board.slots(at)[0]);
    board.details(at)[0].begin(&Beginning {
        peer: [127, 0, 0, 1].into(),
        host: 1,
        minor: 1,
        line: b"GET /<script>\"'&\x01\xe4 HTTP/1.1",
        now: 0,
    });
    let hosts = [String::new(), "<b>".to_owned()];
    for tables in [true, false] {
        let mut text = String::new();
        let figures = Figures::gather(&board, "<i>\r\n:");
        assert_eq!(figures.host, "<i>:");
        page::write(&figures, &hosts, tables, &mut text);
        assert!(text.is_ascii());
        assert!(
            text.contains("GET /&lt;script&gt;&quot;&#39;&amp;\\x01\\xe4 HTTP/1.1"),
            "{text}"
        );
        assert!(
            text.contains("&lt;b&gt;") && text.contains("for &lt;i&gt;:"),
            "{text}"
        );
        assert!(
            !text.contains("<script") && !text.contains("<i>:"),
            "{text}"
        );
        assert_eq!(text.contains("<table>"), tables);
    }
}

#[test]
fn numbers_have_six_digits_and_no_exponent() {
    for (x, text) in [
        (0.0, "0"),
        (2.0 / 3.0, "0.666667"),
        (133_461.2, "133461"),
        (12_345_678.9, "12345679"),
        (0.000_001_234, "0.000001234"),
        (1.5, "1.5"),
        (100.0, "100"),
        (f64::NAN, "0"),
    ] {
        assert_eq!(number(x), text);
    }
}

#[test]
fn uptime_leaves_out_what_is_zero() {
    for (seconds, text) in [
        (0, "0 seconds"),
        (9, "9 seconds"),
        (61, "1 minute 1 second"),
        (86_400 + 7_200, "1 day 2 hours"),
    ] {
        assert_eq!(in_words(seconds), text);
    }
}
