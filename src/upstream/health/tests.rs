//! The machine against tables, against an obvious model, and against days of flapping.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::Instant;

use super::{Health, State};
use crate::config::{ActiveHealth, Check, PassiveHealth};

const SECOND: Duration = Duration::from_secs(1);

fn active() -> ActiveHealth {
    ActiveHealth {
        check: Check::Tcp,
        interval: 5 * SECOND,
        timeout: 2 * SECOND,
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    }
}

fn passive() -> PassiveHealth {
    PassiveHealth {
        failures: 3,
        window: 30 * SECOND,
        eject: 30 * SECOND,
        max_ejected: 1.0,
    }
}

/// Fails `times` attempts at `now`.
fn fail(health: &mut Health, now: Instant, times: usize) {
    for _ in 0..times {
        let trial = health.attempts.begun(now);
        health.attempts.failed(trial, now, &passive(), true);
    }
}

/// An attempt at `now` succeeds.
fn succeed(health: &mut Health, now: Instant) {
    let trial = health.attempts.begun(now);
    health.attempts.succeeded(trial, now);
}

#[test]
fn the_first_check_counts_alone_and_others_by_thresholds() {
    use State::{Down, Ready};
    for (results, states) in [
        ("+", vec![Ready]),
        ("-", vec![Down]),
        ("---", vec![Down, Down, Down]),
        (
            "+--+---",
            vec![Ready, Ready, Ready, Ready, Ready, Ready, Down],
        ),
        ("-+-++", vec![Down, Down, Down, Down, Ready]),
    ] {
        let mut health = Health::default();
        let mut seen = Vec::new();
        for result in results.chars() {
            health.checked(result == '+', &active());
            seen.push(health.state());
        }
        assert_eq!(seen, states, "{results}");
    }
}

#[test]
fn other_checks_begin_with_the_verdict_of_the_old_ones() {
    let mut health = Health::default();
    health.checked(false, &active());
    health.checks_changed(Some(&active()));
    assert_eq!(health.state(), State::Down);
    health.checked(true, &active());
    assert_eq!(health.state(), State::Ready);
    health.checked(false, &active());
    health.checks_changed(None);
    assert_eq!(health.state(), State::Ready);
}

#[test]
fn checks_that_bring_a_backend_back_end_its_ejection() {
    let mut health = Health::default();
    health.checked(true, &active());
    fail(&mut health, Instant::now(), 3);
    health.checked(true, &active());
    assert_eq!(health.state(), State::Ejected, "it was not down");
    for result in [false, false, false, true, true] {
        health.checked(result, &active());
    }
    assert_eq!(health.state(), State::Ready);
}

#[test]
fn failures_in_a_row_within_the_window_eject() {
    let start = Instant::now();
    let mut health = Health::default();
    fail(&mut health, start, 2);
    succeed(&mut health, start);
    fail(&mut health, start, 2);
    assert_eq!(health.state(), State::Ready, "not in a row");
    fail(&mut health, start + 31 * SECOND, 2);
    assert_eq!(health.state(), State::Ready, "not within the window");
    fail(&mut health, start + 32 * SECOND, 1);
    assert_eq!(health.state(), State::Ejected);
    assert!(!health.admits());
}

#[test]
fn after_an_ejection_one_session_at_a_time_is_tried() {
    let start = Instant::now();
    let mut health = Health::default();
    fail(&mut health, start, 3);
    health.attempts.expire(start + 29 * SECOND);
    assert!(!health.admits());
    let now = start + 30 * SECOND;
    health.attempts.expire(now);
    assert!(health.admits());
    let trial = health.attempts.begun(now);
    assert!(!health.admits(), "one is under way");
    health.attempts.abandoned(trial, now);
    assert!(health.admits(), "it said nothing");
    let slow = health.attempts.begun(now);
    assert_eq!(health.attempts.expire(now + 9 * SECOND), None);
    assert_eq!(health.attempts.expire(now + 10 * SECOND), slow);
    assert!(!health.admits(), "it is asked about");
    health
        .attempts
        .failed(slow, now + 12 * SECOND, &passive(), true);
    let later = now + 72 * SECOND;
    health.attempts.expire(later);
    let trial = health.attempts.begun(later);
    health.attempts.abandoned(slow, later);
    assert!(!health.admits(), "another one is under way");
    health.attempts.succeeded(trial, later + SECOND);
    assert_eq!(health.state(), State::Ready);
}

#[test]
fn what_began_before_an_ejection_does_not_decide_its_trial() {
    let start = Instant::now();
    let mut health = Health::default();
    let before = health.attempts.begun(start);
    fail(&mut health, start, 3);
    let now = start + 30 * SECOND;
    health.attempts.expire(now);
    let trial = health.attempts.begun(now);
    health.attempts.succeeded(before, now);
    assert_eq!(health.state(), State::Ejected);
    health.attempts.failed(before, now, &passive(), true);
    health.attempts.abandoned(before, now);
    assert!(!health.admits(), "the trial is under way");
    health.attempts.succeeded(trial, now);
    assert_eq!(health.state(), State::Ready);
}

/// One that found no other backend.
#[test]
fn a_trial_before_its_time_ends_the_ejection_or_leaves_it_as_it_was() {
    let start = Instant::now();
    let mut health = Health::default();
    fail(&mut health, start, 3);
    assert!(health.is_resting());
    let trial = health.attempts.begun(start + SECOND);
    assert!(!health.is_resting(), "one is under way");
    health
        .attempts
        .failed(trial, start + 2 * SECOND, &passive(), true);
    assert!(health.is_resting());
    health.attempts.expire(start + 29 * SECOND);
    assert!(!health.admits(), "it lasts as long as before");
    let trial = health.attempts.begun(start + 29 * SECOND);
    health.attempts.abandoned(trial, start + 30 * SECOND);
    assert!(health.admits(), "its time is over meanwhile");
    fail(&mut health, start + 30 * SECOND, 3);
    let slow = health.attempts.begun(start + 31 * SECOND);
    health.attempts.expire(start + 41 * SECOND);
    let other = health.attempts.begun(start + 42 * SECOND);
    health
        .attempts
        .failed(other, start + 43 * SECOND, &passive(), true);
    health.attempts.succeeded(slow, start + 44 * SECOND);
    assert_eq!(health.state(), State::Ready);
}

#[test]
fn a_check_that_does_what_a_session_does_is_a_trial_where_one_is_due() {
    let start = Instant::now();
    let mut health = Health::default();
    fail(&mut health, start, 3);
    health.rehearsed(start + SECOND);
    assert_eq!(health.state(), State::Ejected, "its time is not over");
    let now = start + 30 * SECOND;
    health.attempts.expire(now);
    health.rehearsed(now);
    assert_eq!(health.state(), State::Ready);
}

/// Seconds that the next ejection lasts, seen from outside.
fn length(health: &mut Health, from: Instant) -> u64 {
    let is_over = |seconds: &u64| {
        health.attempts.expire(from + Duration::from_secs(*seconds));
        health.admits()
    };
    (0..10_000).find(is_over).expect("every ejection ends")
}

#[test]
fn relapses_double_the_ejection_up_to_a_bound() {
    let mut now = Instant::now();
    let mut health = Health::default();
    fail(&mut health, now, 3);
    let mut lengths = Vec::new();
    for _ in 0..7 {
        let lasted = length(&mut health, now);
        lengths.push(lasted);
        now += Duration::from_secs(lasted);
        fail(&mut health, now, 1);
    }
    assert_eq!(lengths, [30, 60, 120, 240, 480, 480, 480]);
}

#[test]
fn a_good_time_as_long_as_the_ejection_makes_it_short_again() {
    for (well, next) in [(59, 120), (61, 30)] {
        let mut now = Instant::now();
        let mut health = Health::default();
        fail(&mut health, now, 3);
        now += Duration::from_secs(length(&mut health, now));
        fail(&mut health, now, 1);
        now += Duration::from_secs(length(&mut health, now));
        succeed(&mut health, now);
        now += Duration::from_secs(well);
        fail(&mut health, now, 3);
        assert_eq!(length(&mut health, now), next, "well for {well} s");
    }
}

#[test]
fn the_operators_word_counts_most_and_is_taken_back() {
    let mut health = Health::default();
    health.checked(false, &active());
    health.drain();
    assert_eq!(health.state(), State::Drained);
    health.resume();
    assert_eq!(health.state(), State::Down);
    health.remove();
    health.resume();
    assert_eq!(health.state(), State::Drained);
}

/// What may happen to a backend.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Passed,
    Failed,
    Seconds(u64),
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => Just(Happening::Passed),
        5 => Just(Happening::Failed),
        2 => (1..40_u64).prop_map(Happening::Seconds),
    ]
}

proptest! {
    /// The verdict of checks is the last one of which there were enough in a row.
    #[test]
    fn checks_follow_the_last_run_that_was_long_enough(results in vec(any::<bool>(), 1..60)) {
        let mut health = Health::default();
        for (index, result) in results.iter().enumerate() {
            health.checked(*result, &active());
            let run = |end: usize| {
                let so_far = results[..=end].iter().rev();
                so_far.take_while(|other| **other == results[end]).count()
            };
            let is_enough = |end: &usize| {
                *end == 0 || run(*end) >= if results[*end] { 2 } else { 3 }
            };
            let decisive = (0..=index).rev().find(is_enough).expect("the first counts alone");
            let expected = if results[decisive] { State::Ready } else { State::Down };
            prop_assert_eq!(health.state(), expected);
        }
    }

    /// A backend is ejected by no fewer failures than set, and never for longer than the bound.
    #[test]
    fn ejections_have_a_reason_and_an_end(happenings in vec(any_happening(), 1..80)) {
        let mut health = Health::default();
        let mut now = Instant::now();
        let mut row: Vec<Instant> = Vec::new();
        let mut ejected_at = None;
        for happening in happenings {
            match happening {
                Happening::Passed => {
                    succeed(&mut health, now);
                    row.clear();
                }
                Happening::Failed => {
                    fail(&mut health, now, 1);
                    row.push(now);
                }
                Happening::Seconds(seconds) => {
                    now += Duration::from_secs(seconds);
                    health.attempts.expire(now);
                }
            }
            let within = row.iter().rev().take_while(|failed| now - **failed <= 30 * SECOND);
            let within = within.count();
            match (health.state(), ejected_at) {
                (State::Ejected, None) => {
                    prop_assert!(within >= 3, "{} failures", within);
                    ejected_at = Some(now);
                }
                (State::Ejected, Some(since)) if !health.admits() => {
                    prop_assert!(now <= since + 16 * 30 * SECOND);
                }
                (State::Ejected, Some(_)) => ejected_at = Some(now),
                _ => {
                    prop_assert!(within < 3 || ejected_at.is_some());
                    ejected_at = None;
                    if within >= 3 { row.clear(); }
                }
            }
        }
    }
}
