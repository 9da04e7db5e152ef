//! When a side that was asked counts as gone.

use std::time::Duration;

use tokio::time::{Instant, advance};

use super::super::keepalive::Keepalive;
use super::super::relay::Relay;
use super::super::tally::Tally;
use super::frames::{PONG, frame};
use super::terms;
use crate::websocket::{Extensions, Side};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A client that has just been asked: what it sends, and the Pings.
fn asked() -> (Relay, Keepalive) {
    let [mut from, mut towards] =
        [Side::Client, Side::Backend].map(|sender| Relay::new(sender, Extensions::None));
    let mut keepalive = Keepalive::default();
    let stream = super::turns::endless();
    assert!(keepalive.ask(Side::Client, &stream, &mut towards, &mut from));
    (from, keepalive)
}

#[tokio::test(start_paused = true)]
async fn a_side_is_overdue_when_its_time_is_over() {
    let (mut from, mut keepalive) = asked();
    advance(TIMEOUT - Duration::from_millis(1)).await;
    assert!(!keepalive.is_overdue(Side::Client, &mut from, TIMEOUT, || None));
    advance(Duration::from_millis(20)).await;
    assert!(keepalive.is_overdue(Side::Client, &mut from, TIMEOUT, || None));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_comes_late_gives_a_moment_more() {
    let (mut from, mut keepalive) = asked();
    advance(TIMEOUT * 3).await;
    assert!(!keepalive.is_overdue(Side::Client, &mut from, TIMEOUT, || None));
    let due = keepalive.first_since().expect("it waits still") + TIMEOUT;
    assert_eq!(due - Instant::now(), Duration::from_secs(1));
    advance(Duration::from_secs(1)).await;
    assert!(keepalive.is_overdue(Side::Client, &mut from, TIMEOUT, || None));
}

/// The Ping is behind what it takes.
#[tokio::test(start_paused = true)]
async fn a_side_that_takes_what_the_kernel_holds_is_not_overdue() {
    let (mut from, mut keepalive) = asked();
    keepalive.put_behind(Side::Client, 1000);
    let mut is_overdue = async |acknowledged| {
        advance(TIMEOUT + Duration::from_millis(20)).await;
        keepalive.is_overdue(Side::Client, &mut from, TIMEOUT, || Some(acknowledged))
    };
    assert!(!is_overdue(300).await);
    assert!(!is_overdue(1000).await);
    assert!(is_overdue(5000).await, "it has got the Ping");
}

#[tokio::test(start_paused = true)]
async fn a_round_trip_is_as_long_as_it_was() {
    let (mut from, mut keepalive) = asked();
    advance(TIMEOUT * 3).await;
    assert!(!keepalive.is_overdue(Side::Client, &mut from, TIMEOUT, || None));
    let pong = frame(Side::Client, PONG, &from.follower.await_pong());
    from.begin(&pong, &terms(), &mut Tally::default());
    let answered = keepalive.answered(Side::Client, &mut from);
    assert_eq!(answered, Some(TIMEOUT * 3));
}
