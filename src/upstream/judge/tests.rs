//! Whole pools through joining, leaving and flapping, with the clock in hand.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use socket2::{Domain, Socket, Type};
use tokio::time::{Instant, advance};

use super::{Evidence, State, Witness};
use crate::config::{self, Check, Health, Name, OnUnhealthy, PassiveHealth};
use crate::drain::{Plan, Stage};
use crate::telemetry::Metrics;
use crate::upstream::fixtures::refuse;
use crate::upstream::health as machine;
use crate::upstream::{Backend, Member, Pool, Purpose, Transport};

const SECOND: Duration = Duration::from_secs(1);

fn passive(max_ejected: f64) -> PassiveHealth {
    PassiveHealth {
        failures: 2,
        window: 30 * SECOND,
        eject: 30 * SECOND,
        max_ejected,
    }
}

/// A pool of `count` backends; those that `previous` has are taken over.
fn pool(count: u16, health: Health, previous: Option<&Pool>) -> Pool {
    let metrics = Metrics::new();
    let name = Name::from("chat");
    let backend = |number| config::Backend {
        name: format!("b{number}").into(),
        address: SocketAddr::from(([127, 0, 0, 1], 9000 + number)).into(),
        weight: 1,
        max_sessions: None,
        priority: 0,
    };
    let config = config::Pool {
        strategy: config::Strategy::RoundRobin,
        sticky: None,
        slow_start: Duration::ZERO,
        queue: config::Queue {
            max: 0,
            timeout: Duration::from_secs(1),
        },
        attempts: 3,
        backends: (0..count).map(backend).collect(),
        discovery: None,
        transport: config::Transport::default(),
        health,
        rebalance: None,
    };
    let queue = previous.map(Pool::queue).cloned().unwrap_or_default();
    let members = config.backends.iter().map(|backend| {
        let is_same = |member: &&Member| member.address() == &backend.address;
        let before = previous.and_then(|previous| previous.members().iter().find(is_same));
        let live = before.map_or_else(
            || Arc::new(Backend::new(backend.address.clone(), &queue)),
            |member| Arc::clone(member.backend()),
        );
        let metrics = metrics.member(&name, &backend.name);
        let transport = Arc::new(Transport::new(&config.transport, None));
        Member::new(backend, config.slow_start, live, metrics, transport)
    });
    let members = members.collect();
    Pool::new(&config, members, queue, metrics.pool(&name), previous)
}

fn health(max_ejected: f64) -> Health {
    Health {
        active: None,
        passive: Some(passive(max_ejected)),
        on_unhealthy: OnUnhealthy::Keep,
    }
}

/// An attempt at a backend that is there or not.
fn attempt(pool: &Pool, index: usize, is_there: bool) {
    let member = &pool.members()[index];
    let trial = member.begin_attempt();
    let evidence = match is_there {
        true => Evidence::Sound,
        false => Evidence::Faulty("it refused the connection".to_owned()),
    };
    pool.attempt_ended(member, trial, &evidence);
}

fn states(pool: &Pool) -> Vec<State> {
    pool.members()
        .iter()
        .map(|member| member.backend().state())
        .collect()
}

#[test]
fn no_more_are_ejected_than_may_be() {
    for (count, max_ejected, expected) in [
        (4, 0.5, 2),
        (3, 0.5, 1),
        (2, 0.5, 1),
        (1, 1.0, 0),
        (4, 1.0, 3),
        (4, 0.0, 0),
        (10, 0.3, 3),
    ] {
        let pool = pool(count, health(max_ejected), None);
        for index in (0..count.into()).chain(0..count.into()) {
            attempt(&pool, index, false);
        }
        let ejected = states(&pool)
            .into_iter()
            .filter(|state| *state == State::Ejected);
        assert_eq!(ejected.count(), expected, "{count} backends, {max_ejected}");
    }
}

/// What the gateway lacks, and clients that leave, are no fault of a backend.
#[test]
fn what_says_nothing_of_a_backend_ejects_none() {
    let pool = pool(2, health(0.5), None);
    for _ in 0..10 {
        pool.attempt_ended(&pool.members()[0], None, &Evidence::None);
    }
    assert_eq!(states(&pool), [State::Ready, State::Ready]);
}

#[test]
fn ejected_ones_are_tried_when_no_other_is_ready() {
    let pool = pool(2, health(0.5), None);
    attempt(&pool, 0, false);
    attempt(&pool, 0, false);
    assert_eq!(states(&pool), [State::Ejected, State::Ready]);
    let _drain = pool.drain(&pool.members()[1]);
    assert_eq!(states(&pool), [State::Ready, State::Drained]);
    assert!(pool.members()[0].is_ready());
}

#[test]
fn a_drained_backend_has_another_drain_when_it_is_back() {
    let pool = pool(2, health(0.5), None);
    let member = &pool.members()[0];
    let old = member.lease(Purpose::Session).unwrap().watch();
    pool.drain(member).begin(Plan::now(SECOND));
    assert!(!member.is_ready());
    pool.resume(member);
    assert!(member.is_ready());
    assert_eq!(old.stage(), Stage::Draining);
    assert_eq!(
        member.lease(Purpose::Session).unwrap().watch().stage(),
        Stage::Open
    );
}

/// Requests break off where it is restarted; that it is well again is the operator's word.
#[test]
fn a_resumed_backend_is_not_ejected() {
    let pool = pool(2, health(0.5), None);
    let member = &pool.members()[0];
    pool.drain(member);
    attempt(&pool, 0, false);
    attempt(&pool, 0, false);
    pool.resume(member);
    assert_eq!(states(&pool), [State::Ready, State::Ready]);
    attempt(&pool, 0, false);
    assert_eq!(states(&pool), [State::Ready, State::Ready]);
}

#[test]
fn a_resumed_backend_whose_checks_begin_to_pass_says_so() {
    let pool = pool(1, checked(), None);
    let member = &pool.members()[0];
    let two_bring_back = config::ActiveHealth {
        healthy_threshold: 2,
        ..checked().active.unwrap()
    };
    pool.drain(member);
    for has_passed in [false, true] {
        let check = |health: &mut machine::Health| health.checked(has_passed, &two_bring_back);
        member.alter(check, |_| String::new());
    }
    pool.resume(member);
    let last = member.backend().standing().last;
    assert_eq!(
        (last.to, last.reason.as_str()),
        (
            State::Down,
            "checks had failed, and too few have passed since"
        )
    );
}

#[test]
fn a_removed_backend_is_only_taken_back_by_another_configuration() {
    let pool = pool(2, health(0.5), None);
    let member = &pool.members()[0];
    member.remove().begin(Plan::now(SECOND));
    pool.resume(member);
    assert!(!member.is_ready());
    assert_eq!(
        member.lease(Purpose::Session).unwrap().watch().stage(),
        Stage::Draining
    );
    let leaving = member.lease(Purpose::Session).unwrap();
    pool.take_back();
    assert!(member.is_ready());
    assert_eq!(member.backend().sessions(), 1, "the one that is leaving");
    assert_eq!(
        member.lease(Purpose::Session).unwrap().watch().stage(),
        Stage::Open
    );
    drop(leaving);
    assert_eq!(member.backend().sessions(), 0);
}

#[test]
fn a_reload_keeps_states_that_the_same_settings_found() {
    let before = pool(3, health(0.5), None);
    attempt(&before, 0, false);
    attempt(&before, 0, false);
    let _drain = before.drain(&before.members()[1]);
    let after = Arc::new(pool(4, health(0.5), Some(&before)));
    before.hand_over(&after);
    let same = [State::Ejected, State::Drained, State::Ready, State::Ready];
    assert_eq!(states(&after), same);
    let other = Arc::new(pool(4, health(1.0), Some(&after)));
    assert_eq!(states(&after), same, "the other rules are not in force yet");
    after.hand_over(&other);
    assert_eq!(states(&other)[0], State::Ready, "other rules");
    assert_eq!(states(&other)[1], State::Drained);
}

/// What is under way since long ago keeps none of the pools that came and went meanwhile.
#[test]
fn an_old_pool_holds_no_later_one() {
    let oldest = Arc::new(pool(1, health(1.0), None));
    let mut before = Arc::clone(&oldest);
    let mut gone = Vec::new();
    for members in 2..5 {
        let after = Arc::new(pool(members, health(1.0), Some(&before)));
        before.hand_over(&after);
        gone.push(Arc::downgrade(&before));
        before = after;
    }
    assert!(Arc::ptr_eq(&oldest.latest(), &before));
    assert!(gone[1..].iter().all(|pool| pool.upgrade().is_none()));
    drop(before);
    assert!(
        Arc::ptr_eq(&oldest.latest(), &oldest),
        "there is none any more"
    );
}

/// What was begun before a reload is judged by the settings that hold when it ends.
#[test]
fn the_pool_in_force_judges() {
    let before = Arc::new(pool(2, health(1.0), None));
    let witness = || Witness::of(&before, &before.members()[0]);
    let mut witnesses = [witness(), witness()];
    let without = Health {
        passive: None,
        ..health(1.0)
    };
    let after = Arc::new(pool(2, without, Some(&before)));
    before.hand_over(&after);
    for witness in &mut witnesses {
        refuse(witness);
    }
    drop(witnesses);
    assert_eq!(states(&after), [State::Ready, State::Ready]);
    // Judged before that, but noted only now.
    for _ in 0..2 {
        before.attempt_ended(
            &before.members()[0],
            None,
            &Evidence::Faulty("late".to_owned()),
        );
    }
    assert_eq!(states(&after)[0], State::Ejected);
    attempt(&after, 0, true);
    assert_eq!(states(&after)[0], State::Ready);
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_when_an_ejected_backend_may_be_tried() {
    let pool = Arc::new(pool(2, health(0.5), None));
    let member = &pool.members()[0];
    let queue = member.backend().queue();
    let mut waiter = queue.join(1).expect("nobody else waits");
    waiter.called().await;
    attempt(&pool, 0, false);
    attempt(&pool, 0, false);
    assert_eq!(states(&pool)[0], State::Ejected);
    waiter.called().await;
    tokio::time::advance(40 * SECOND).await;
    pool.pass_time(Instant::now());
    assert!(member.is_ready());
    let hears = tokio::time::timeout(SECOND, waiter.called()).await;
    assert!(hears.is_ok(), "the ejection is over");
    let trial = member.begin_attempt();
    pool.attempt_ended(member, trial, &Evidence::None);
    let hears = tokio::time::timeout(SECOND, waiter.called()).await;
    assert!(hears.is_ok(), "the trial said nothing");
}

/// A check of it that hangs would hold its place.
#[test]
fn whoever_checks_a_drained_backend_hears_that_it_is_removed() {
    let pool = pool(2, health(0.5), None);
    let member = &pool.members()[0];
    drop(pool.drain(member));
    let changes = pool.queue().changes();
    drop(member.remove());
    assert!(changes.has_changed().unwrap());
}

/// The client of a request would not hear that it is to go elsewhere.
#[test]
fn requests_are_not_asked_to_go_elsewhere() {
    let pool = pool(1, health(0.5), None);
    let member = &pool.members()[0];
    let watches = [Purpose::Request, Purpose::Session, Purpose::Request]
        .map(|purpose| member.lease(purpose).expect("there is room").watch());
    let drain = member.backend().drain();
    assert_eq!(drain.askable(), 1);
    drain.ask(3);
    let asked = watches.each_ref().map(|watch| watch.is_asked());
    assert_eq!(asked, [false, true, false]);
    assert_eq!((drain.askable(), drain.open()), (0, 3));
    drop(watches);
    assert_eq!((drain.askable(), drain.open()), (0, 0));
}

/// Checks by connecting, each of which counts.
fn checked() -> Health {
    let active = config::ActiveHealth {
        check: Check::Tcp,
        interval: 5 * SECOND,
        timeout: 2 * SECOND,
        healthy_threshold: 1,
        unhealthy_threshold: 1,
    };
    Health {
        active: Some(active),
        ..health(0.5)
    }
}

#[tokio::test(start_paused = true)]
async fn checks_take_down_and_bring_back() {
    // Its port stays taken, so that nobody else answers there.
    let backend = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    backend.bind(&loopback.into()).unwrap();
    let bound = backend.local_addr().unwrap().as_socket().unwrap();
    let address: config::BackendAddress = bound.into();
    let pool = Arc::new(pool(1, checked(), None));
    let named = &pool.members()[0];
    let member = Member::new(
        &config::Backend {
            name: Arc::clone(named.name()),
            address: address.clone(),
            weight: 1,
            max_sessions: None,
            priority: 0,
        },
        Duration::ZERO,
        Arc::new(Backend::new(address, &Arc::default())),
        Metrics::new().member(pool.name(), named.name()),
        Arc::new(Transport::new(&config::Transport::default(), None)),
    );
    assert_eq!(pool.check_due(&member), Some(Instant::now()));
    let keep = Some(OnUnhealthy::Keep);
    assert_eq!(pool.check(&member).await, keep, "nobody listens");
    let due = pool.check_due(&member).unwrap() - Instant::now();
    assert!(due >= 4 * SECOND && due <= 6 * SECOND, "{due:?}");
    assert_eq!(pool.check(&member).await, None, "it was down before");
    backend.listen(8).unwrap();
    pool.check(&member).await;
    assert_eq!(member.backend().state(), State::Ready);
}

#[tokio::test]
async fn a_check_that_a_reload_overtakes_judges_no_more() {
    let before = Arc::new(pool(1, checked(), None));
    let member = &before.members()[0];
    let check = before.check(member);
    let after = Arc::new(pool(1, health(0.5), Some(&before)));
    before.hand_over(&after);
    assert_eq!(check.await, None, "whatever it finds");
    assert_eq!(states(&after), [State::Ready]);
    assert!(member.backend().standing().check.is_none());
}

/// Four backends for an hour, one of which comes and goes every 20 seconds, under 10 attempts a second
/// spread in turn over those that are ready.
#[tokio::test(start_paused = true)]
async fn a_flapping_backend_costs_few_attempts() {
    let pool = Arc::new(pool(4, health(0.5), None));
    let (mut failed, mut tried) = (0, BTreeSet::new());
    let mut turn = 0;
    for tick in 0..36_000_u32 {
        advance(Duration::from_millis(100)).await;
        pool.pass_time(Instant::now());
        let ready = (0..4).map(|offset| (turn + offset) % 4);
        let index = ready
            .into_iter()
            .find(|index| pool.members()[*index].is_ready());
        let index = index.expect("there is always one that is ready");
        turn = index + 1;
        let is_there = index != 3 || (tick / 200).is_multiple_of(2);
        failed += u32::from(!is_there);
        attempt(&pool, index, is_there);
        tried.insert(index);
    }
    // In turn and without ejection it would be an eighth of them: 4500.
    assert!(failed < 300, "{failed}");
    assert_eq!(tried.len(), 4);
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Attempt(usize, bool),
    Drain(usize),
    Resume(usize),
    Seconds(u64),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..4_usize, any::<bool>()).prop_map(|(index, is_there)| Event::Attempt(index, is_there)),
        1 => (0..4_usize).prop_map(Event::Drain),
        1 => (0..4_usize).prop_map(Event::Resume),
        1 => (1..60_u64).prop_map(Event::Seconds),
    ]
}

proptest! {
    /// Whatever fails: as long as the operator has not drained all of them, one is ready.
    #[test]
    fn a_pool_never_ejects_itself_to_death(events in vec(any_event(), 1..200)) {
        let pool = Arc::new(pool(4, health(1.0), None));
        let mut now = Instant::now();
        for event in events {
            match event {
                Event::Attempt(index, is_there) if pool.members()[index].is_ready() => {
                    attempt(&pool, index, is_there);
                }
                Event::Attempt(..) => {}
                Event::Drain(index) => drop(pool.drain(&pool.members()[index])),
                Event::Resume(index) => pool.resume(&pool.members()[index]),
                Event::Seconds(seconds) => {
                    now += Duration::from_secs(seconds);
                    pool.pass_time(now);
                }
            }
            let states = states(&pool);
            let drained = states.iter().filter(|state| **state == State::Drained).count();
            let ready = states.contains(&State::Ready);
            prop_assert!(ready || drained == 4, "{:?}", states);
        }
    }
}
