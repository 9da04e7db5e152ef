//! What open sessions get when checks call their backend down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{becomes, configuration};
use crate::backends::Backend;
use crate::harness::{Gateway, close_code, echo, open};

/// A gateway before one backend that is checked often, with this `on_unhealthy` and this window of drains.
async fn start(on_unhealthy: &str, window: &str, backend: &Backend) -> Gateway {
    let keys = format!(
        "health: {{ on_unhealthy: {on_unhealthy}, \
         active: {{ type: http, interval: 50ms, unhealthy_threshold: 1 }} }},"
    );
    let entry = format!("{{ name: a, url: \"{}\" }}", backend.url());
    let yaml = configuration(&keys, &[entry]);
    let drain = format!("window: {window}, deadline: 2h");
    Gateway::start(&yaml.replace("window: 0s, deadline: 20s", &drain)).await
}

#[tokio::test]
async fn keep_leaves_them_alone() {
    let is_well = Arc::new(AtomicBool::new(true));
    let backend = Backend::ailing(&is_well).await;
    let gateway = start("keep", "0s", &backend).await;
    let mut session = open(gateway.address(), "/").await;
    is_well.store(false, Ordering::SeqCst);
    becomes(&gateway, "a", "down").await;
    echo(&mut session, "still here").await;
}

#[tokio::test]
async fn drain_gives_them_the_window() {
    let is_well = Arc::new(AtomicBool::new(true));
    let backend = Backend::ailing(&is_well).await;
    let gateway = start("drain", "1h", &backend).await;
    let mut session = open(gateway.address(), "/").await;
    echo(&mut session, "open").await;
    is_well.store(false, Ordering::SeqCst);
    becomes(&gateway, "a", "down").await;
    echo(&mut session, "until its moment").await;
    let status = gateway.status().await;
    assert_eq!(status["drain_sessions"], 1, "{status}");
}

/// And those that come when it is well again are none of the drained.
#[tokio::test]
async fn close_ends_them_at_once_and_new_ones_are_not_drained() {
    let is_well = Arc::new(AtomicBool::new(true));
    let backend = Backend::ailing(&is_well).await;
    let gateway = start("close", "1h", &backend).await;
    for _ in 0..2 {
        let mut session = open(gateway.address(), "/").await;
        echo(&mut session, "open").await;
        is_well.store(false, Ordering::SeqCst);
        assert_eq!(close_code(&mut session).await, 1012);
        becomes(&gateway, "a", "down").await;
        is_well.store(true, Ordering::SeqCst);
        becomes(&gateway, "a", "ready").await;
    }
    let line = gateway.line("close").await;
    assert_eq!(line["close_initiator"], "gateway");
    assert_eq!(line["close_reason"], "drain");
}
