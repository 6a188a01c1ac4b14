//! A shutdown answers what has been asked.

use crate::wire::{Wire, get, text};
use axum::Router;
use axum::routing::get as on_get;
use parkade_http::tower::Sleep;
use parkade_tests::client;
use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn a_shutdown_waits_for_requests_in_progress_and_ends_idle_connections() {
    let (tell, begun) = mpsc::channel();
    let slow = on_get(move || {
        let tell = tell.clone();
        async move {
            tell.send(()).unwrap();
            Sleep::new(Duration::from_millis(200)).await;
            "finished"
        }
    });
    let wire = Wire::new(Router::new().route("/slow", slow));
    let mut idle = wire.connect();
    assert_eq!(crate::wire::talk(&mut idle, get("/")).status, 404);
    let mut busy = wire.connect();
    busy.write_all(get("/slow").as_bytes()).unwrap();
    begun.recv_timeout(Duration::from_secs(20)).unwrap();
    wire.runtime.handle().shutdown(Duration::from_secs(20));
    let answer = client::read(&mut busy, false).unwrap();
    assert_eq!(
        (text(&answer), answer.header("connection")),
        ("finished", Some("close"))
    );
    assert!(client::read(&mut idle, false).is_err());
    wire.runtime.wait();
}
