//! What holds when nothing is written.
use crate::diagnostic::Located;
use crate::limits;
use crate::typed::*;
use std::path::PathBuf;
use std::time::Duration;

/// The common log format.
const COMMON: &str = "%h %l %u %t \"%r\" %>s %b";
/// The combined log format.
const COMBINED: &str = "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"";

pub(super) fn config(root: PathBuf) -> Config {
    let d = Located::default_value;
    Config {
        server_root: Located::default_value(root),
        listens: Vec::new(),
        listen_backlog: d(511),
        user: None,
        group: None,
        pid_file: None,
        limits: limits::resolve(&limits::Asked::default(), 1).0,
        listen_cores_buckets_ratio: d(0),
        send_buffer_size: d(0),
        receive_buffer_size: d(0),
        accept_filters: Vec::new(),
        accept_mutex: Located::default_value(AcceptMutex::Default),
        lock_file: None,
        scoreboard_file: None,
        core_dump_directory: None,
        enable_exception_hook: Located::default_value(false),
        max_mem_free: d(2048),
        thread_stack_size: Located::default_value(0),
        async_request_worker_factor: None,
        graceful_shutdown_timeout: Located::default_value(Duration::ZERO),
        term_drain_timeout: Located::default_value(Duration::ZERO),
        graceful_drain_timeout: None,
        reactor_backend: Located::default_value(ReactorBackend::Auto),
        wake_coalescing: Located::default_value(Duration::ZERO),
        extended_status: None,
        types_config: None,
        main: host(),
        virtual_hosts: Vec::new(),
        defines: Vec::new(),
        files: Vec::new(),
        notes: Vec::new(),
    }
}

fn host() -> HostSettings {
    let d = Located::default_value;
    let seconds = Duration::from_secs;
    let off = RangeTimeout {
        initial: Duration::ZERO,
        max: None,
        min_rate: None,
    };
    let header = RangeTimeout {
        initial: seconds(20),
        max: Some(seconds(40)),
        min_rate: Some(500),
    };
    let body = RangeTimeout {
        initial: seconds(20),
        max: None,
        min_rate: Some(500),
    };
    HostSettings {
        server_name: None,
        server_aliases: Vec::new(),
        server_admin: None,
        document_root: None,
        timeout: Located::default_value(seconds(60)),
        keep_alive: Located::default_value(true),
        keep_alive_timeout: Located::default_value(seconds(5)),
        max_keep_alive_requests: d(100),
        request_read_timeout: Located::default_value(RequestReadTimeout {
            handshake: off,
            header,
            body,
        }),
        limit_request_line: d(8190),
        limit_request_field_size: d(8190),
        limit_request_fields: d(100),
        error_log: None,
        log_level: Located::default_value(LogLevel::Warn),
        module_log_levels: Vec::new(),
        log_formats: vec![
            ("common".into(), Located::default_value(COMMON.into())),
            ("combined".into(), Located::default_value(COMBINED.into())),
        ],
        custom_logs: Vec::new(),
        base: DirSettings::default(),
        sections: Vec::new(),
    }
}
