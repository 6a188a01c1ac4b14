//! An async runtime that parks idle connections: epoll reactor, per-core executors, no tokio
