//! Whole pools of clients that reconnect, played through in seconds, against what must hold in each of them.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::plan::{Load, Rebalancer};
use crate::config::Rebalance;
use crate::drain::Plan;
use crate::telemetry::Metrics;
use crate::upstream::Purpose;
use crate::upstream::fixtures::{backend, build, config, member_of_priority};
use crate::upstream::health::Health;

const SETTINGS: Rebalance = Rebalance {
    threshold: 1.2,
    rate: 0.01,
};

/// The weight of most backends.
const WEIGHT: u32 = 1000;

/// Where clients go that were asked to reconnect.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Strategy {
    LeastSessions,
    InTurn,
    /// Each to where it was.
    Hash,
}

/// A pool and its clients.
struct Play {
    rebalancer: Rebalancer,
    loads: Vec<Load>,
    strategy: Strategy,
    turn: usize,
    /// Seconds that a backend which joins or returns needs to come to its weight.
    slow_start: u32,
    /// Those on their way back, by the seconds that they still need, and where they were.
    away: Vec<(u32, usize)>,
    asked: usize,
}

impl Play {
    fn new(sessions: &[usize], strategy: Strategy) -> Self {
        let load = |sessions: &usize| load(WEIGHT, *sessions);
        let mut play = Self {
            rebalancer: Rebalancer::default(),
            loads: sessions.iter().map(load).collect(),
            strategy,
            turn: 0,
            slow_start: 0,
            away: Vec::new(),
            asked: 0,
        };
        // As it was when the last one joined, long ago.
        play.rebalancer.step(&play.loads, &SETTINGS, 1.0);
        for place in &mut play.rebalancer.places {
            place.left = 0;
        }
        play
    }

    fn joins(&mut self, weight: u32) {
        self.loads.push(load(weight, 0));
        self.starts_slowly(self.loads.len() - 1);
    }

    fn starts_slowly(&mut self, index: usize) {
        if self.slow_start > 0 {
            self.loads[index].effective_weight = self.loads[index].weight / 10;
        }
    }

    /// Weights grow evenly.
    fn grow(&mut self) {
        for load in &mut self.loads {
            let step = load.weight.checked_div(self.slow_start).unwrap_or(0);
            load.effective_weight = (load.effective_weight + step.max(1)).min(load.weight);
        }
    }

    /// A second passes; how many were asked of each.
    fn second(&mut self) -> Vec<usize> {
        self.grow();
        let asked = self.rebalancer.step(&self.loads, &SETTINGS, 1.0);
        for (index, count) in asked.iter().enumerate() {
            self.loads[index].sessions -= count;
            self.away.extend((0..*count).map(|_| (3, index)));
            self.asked += count;
        }
        let away = std::mem::take(&mut self.away);
        for (left, from) in away {
            match left {
                0 => self.comes_back(from),
                _ => self.away.push((left - 1, from)),
            }
        }
        asked
    }

    fn comes_back(&mut self, from: usize) {
        let count = self.loads.len();
        let ready = (0..count).filter(|index| self.loads[*index].is_ready);
        let to = match self.strategy {
            Strategy::Hash => Some(from),
            Strategy::LeastSessions => {
                let load = |index: &usize| &self.loads[*index];
                ready.min_by_key(|index| {
                    load(index).sessions * 1_000_000 / load(index).effective_weight as usize
                })
            }
            Strategy::InTurn => {
                self.turn += 1;
                let ready: Vec<usize> = ready.collect();
                Some(ready[self.turn % ready.len()])
            }
        };
        self.loads[to.expect("one is ready")].sessions += 1;
    }

    /// So many seconds; the most that were asked in one of them.
    fn seconds(&mut self, count: u32) -> usize {
        let asked = (0..count).map(|_| self.second().iter().sum());
        asked.max().unwrap_or(0)
    }

    /// Lets `count` seconds pass in which the sessions that are asked stay where they are; returns how many were asked.
    fn seconds_in_which_all_stay(&mut self, count: u32) -> usize {
        for _ in 0..count {
            let asked = self.rebalancer.step(&self.loads, &SETTINGS, 1.0);
            for (load, count) in self.loads.iter_mut().zip(asked) {
                load.sessions -= count;
                load.leaving += count;
                self.asked += count;
            }
        }
        self.asked
    }

    fn sessions(&self) -> Vec<usize> {
        self.loads.iter().map(|load| load.sessions).collect()
    }
}

fn load(weight: u32, sessions: usize) -> Load {
    Load {
        is_ready: true,
        ready_mark: 0,
        weight,
        effective_weight: weight,
        sessions,
        leaving: 0,
        max_sessions: None,
    }
}

#[test]
fn nobody_is_asked_unless_a_backend_joins() {
    let mut play = Play::new(&[900, 100, 0], Strategy::LeastSessions);
    play.seconds(1000);
    assert_eq!(play.asked, 0);
}

#[test]
fn what_is_above_the_share_goes_to_the_one_that_joined() {
    let mut play = Play::new(&[400, 400, 400], Strategy::LeastSessions);
    play.joins(WEIGHT);
    let most = play.seconds(600);
    assert_eq!(play.sessions(), [300, 300, 300, 300]);
    assert_eq!(play.asked, 300, "nobody is asked twice");
    assert!(most <= 12, "{most} in a second");
    assert!(play.rebalancer.is_at_rest());
}

#[test]
fn those_that_give_come_down_together() {
    let mut play = Play::new(&[1000, 1000, 700], Strategy::LeastSessions);
    play.joins(2 * WEIGHT);
    for second in 0..30 {
        play.second();
        let difference = play.loads[0].sessions.abs_diff(play.loads[1].sessions);
        assert!(difference <= 27, "{:?} after {second} s", play.sessions());
    }
    assert!(play.sessions()[..2].iter().max() < Some(&950));
}

#[test]
fn a_share_is_by_weight() {
    let mut play = Play::new(&[500, 500], Strategy::LeastSessions);
    play.joins(2 * WEIGHT);
    play.seconds(600);
    assert_eq!(play.loads[0].sessions, 250);
    assert_eq!(play.loads[1].sessions, 250);
}

/// While a backend starts slowly, no more are asked than the part of its share comes to that counts by then; at the end it
/// has all of it. A slow start longer than the time in which the work is held to be done changes nothing of that.
#[test]
fn one_that_starts_slowly_is_not_flooded() {
    for slow_start in [30, 300] {
        let mut play = Play::new(&[400, 400, 400], Strategy::LeastSessions);
        play.slow_start = slow_start;
        play.joins(WEIGHT);
        for second in 0..2 * slow_start {
            play.second();
            let counts = f64::from(play.loads[3].effective_weight) / f64::from(WEIGHT);
            let due = 1200.0 * counts / (3.0 + counts);
            let gone = play.away.len() + play.loads[3].sessions;
            assert!(gone as f64 <= due + 1.0, "{gone} of {due} after {second} s");
        }
        play.seconds(600);
        assert_eq!(play.sessions(), [300, 300, 300, 300]);
        assert!(play.rebalancer.is_at_rest());
    }
}

#[test]
fn in_turn_takes_longer_and_ends_below_the_threshold() {
    let mut play = Play::new(&[400, 400, 400], Strategy::InTurn);
    play.joins(WEIGHT);
    play.seconds(1200);
    let most = play.sessions().into_iter().max().unwrap_or_default();
    assert!(most <= 360, "{:?}", play.sessions());
    assert!(play.rebalancer.is_at_rest());
}

#[test]
fn clients_that_go_back_to_where_they_were_are_not_asked_for_ever() {
    let mut play = Play::new(&[400, 400, 400], Strategy::Hash);
    play.joins(WEIGHT);
    play.seconds(3000);
    assert!(play.asked <= 4 * 300, "{}", play.asked);
    assert!(play.rebalancer.is_at_rest());
}

/// As in a rolling deployment: one joins, and while the pool evens out an old one leaves.
#[test]
fn a_reload_begins_the_work_anew_for_those_that_it_leaves() {
    for goes_on in [true, false] {
        let mut play = Play::new(&[400, 400, 400], Strategy::LeastSessions);
        play.joins(WEIGHT);
        play.seconds(5);
        let places = (1..4).map(|index| play.rebalancer.place(index, goes_on));
        play.rebalancer = Rebalancer::new(places.collect());
        play.away.clear();
        let gone = play.loads.remove(0);
        for _ in 0..gone.sessions {
            play.comes_back(0);
        }
        play.loads[2].sessions = 10;
        let asked = play.asked;
        play.seconds(600);
        assert_eq!(play.asked > asked, goes_on, "{:?}", play.sessions());
        assert!(play.rebalancer.is_at_rest());
    }
}

#[test]
fn one_that_was_away_between_two_looks_has_returned() {
    let mut play = Play::new(&[600, 0], Strategy::LeastSessions);
    assert!(play.rebalancer.is_at_rest());
    play.loads[1].ready_mark = 1;
    play.seconds(600);
    assert_eq!(play.sessions(), [300, 300]);
}

/// One session in a hundred seconds.
#[test]
fn a_low_rate_is_no_reason_to_end() {
    let mut play = Play::new(&[100, 0], Strategy::LeastSessions);
    play.loads[1].ready_mark = 1;
    let settings = Rebalance {
        rate: 0.0001,
        ..SETTINGS
    };
    let mut asked = 0;
    for _ in 0..250 {
        let now = play.rebalancer.step(&play.loads, &settings, 1.0);
        asked += now.iter().sum::<usize>();
    }
    assert_eq!(asked, 2);
}

#[test]
fn below_the_threshold_nobody_is_asked() {
    // The share is 110, the threshold 132.
    for (before, after) in [([130, 90], [130, 90]), ([140, 80], [110, 110])] {
        let mut play = Play::new(&before, Strategy::LeastSessions);
        play.loads[1].ready_mark = 1;
        play.seconds(300);
        assert_eq!(play.sessions(), after);
        assert_eq!(play.asked, before[0] - after[0]);
    }
}

#[test]
fn no_more_are_asked_than_the_others_may_take() {
    let mut play = Play::new(&[400, 400], Strategy::LeastSessions);
    play.joins(WEIGHT);
    play.loads[2].max_sessions = Some(10);
    assert_eq!(play.seconds_in_which_all_stay(600), 10);
}

/// They have their places already.
#[test]
fn sessions_that_are_being_opened_count_once() {
    let mut play = Play::new(&[200, 0], Strategy::LeastSessions);
    play.loads[1].ready_mark = 1;
    play.loads[1].leaving = 20;
    assert_eq!(play.seconds_in_which_all_stay(600), 90);
}

#[test]
fn those_who_do_not_come_back_empty_no_backend() {
    let mut play = Play::new(&[400, 0], Strategy::LeastSessions);
    play.loads[1].is_ready = false;
    play.second();
    play.loads[1].is_ready = true;
    for _ in 0..600 {
        play.second();
        play.away.clear();
    }
    assert_eq!(play.loads[0].sessions, 200, "no fewer than its share");
}

#[test]
fn those_who_were_asked_and_stay_are_not_asked_anew() {
    let mut play = Play::new(&[400, 400, 400], Strategy::LeastSessions);
    play.joins(WEIGHT);
    assert_eq!(play.seconds_in_which_all_stay(600), 300);
}

/// Spare places of a service get no sessions while a better one is ready.
#[test]
fn a_spare_place_is_no_taker_until_its_turn_comes() {
    let best = member_of_priority(0, "best", 1, 0);
    let members = [best, member_of_priority(1, "spare", 1, 0)];
    let takers = || {
        let loads = super::loads(&members, Instant::now());
        loads.iter().map(|load| load.is_ready).collect::<Vec<_>>()
    };
    assert_eq!(takers(), [true, false]);
    members[0].backend().alter(Health::drain, |_| String::new());
    assert_eq!(takers(), [false, true]);
}

/// Drained and resumed: those on their way out hold its places.
#[test]
fn one_that_is_full_of_sessions_that_leave_takes_none() {
    let [one, other] = ["one", "other"].map(|name| member_of_priority(0, name, 1, 2));
    let lease = || one.lease(Purpose::Session).unwrap();
    let _sessions = [lease(), lease()].map(|lease| (lease.watch(), lease));
    one.backend().drain().begin(Plan::now(Duration::ZERO));
    one.backend().alter(Health::drain, |_| String::new());
    one.backend().alter(Health::resume, |_| String::new());
    let loads = super::loads(&[one.clone(), other], Instant::now());
    let seen = loads.iter().map(|load| (load.sessions, load.leaving));
    assert_eq!(seen.collect::<Vec<_>>(), [(0, 2), (0, 0)]);
}

proptest! {
    /// Whatever comes and goes: the rate is kept, no session is asked below the share, and there is an end.
    #[test]
    fn there_is_a_bound_and_an_end(
        sessions in vec(0..500_usize, 2..5),
        strategy in prop_oneof![
            Just(Strategy::LeastSessions), Just(Strategy::InTurn), Just(Strategy::Hash)
        ],
        flaps in vec((0..4_usize, 1..200_u32), 0..5),
        slow_start in prop_oneof![Just(0), 1..400_u32],
    ) {
        let mut play = Play::new(&sessions, strategy);
        play.slow_start = slow_start;
        let total: usize = sessions.iter().sum();
        for (index, seconds) in flaps {
            let index = index % play.loads.len();
            let others = (0..play.loads.len()).filter(|other| *other != index);
            if others.into_iter().any(|other| play.loads[other].is_ready) {
                play.loads[index].is_ready = !play.loads[index].is_ready;
                play.starts_slowly(index);
            }
            let most = play.seconds(seconds);
            prop_assert!(most <= 1 + total / 100, "{} of {} in a second", most, total);
        }
        play.seconds(20_000);
        let before = play.asked;
        play.seconds(100);
        prop_assert_eq!(play.asked, before);
        prop_assert!(play.rebalancer.is_at_rest());
    }
}

#[tokio::test(start_paused = true)]
async fn reloads_in_between_do_not_stop_it() {
    let mut config = config(&crate::config::Strategy::RoundRobin);
    config.slow_start = Duration::ZERO;
    config.rebalance = Some(Rebalance {
        threshold: 1.1,
        rate: 0.02,
    });
    config.backends.truncate(1);
    let metrics = Metrics::new();
    let mut pool = Arc::new(build(&config, &metrics, None));
    pool.rebalance(Instant::now());
    let full = pool.members()[0].clone();
    let leases: Vec<_> = (0..40).map(|_| full.lease(Purpose::Session)).collect();
    let _sessions: Vec<_> = leases.iter().flatten().map(|it| it.watch()).collect();
    config.backends.push(backend(1));
    for _ in 0..15 {
        config.attempts += 1;
        let next = Arc::new(build(&config, &metrics, Some(&pool)));
        pool.hand_over(&next);
        pool = next;
        for _ in 0..4 {
            pool.rebalance(Instant::now());
            advance(Duration::from_millis(250)).await;
        }
    }
    let asked = 40 - full.backend().drain().askable();
    assert!((10..=12).contains(&asked), "{asked}");
}
