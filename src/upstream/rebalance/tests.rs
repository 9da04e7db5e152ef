//! Whole pools of clients that reconnect, played through in seconds, against what must hold in each of them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::plan::{Load, Rebalancer};
use crate::config::Rebalance;

const SETTINGS: Rebalance = Rebalance {
    threshold: 1.2,
    rate: 0.01,
};

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
    /// Those on their way back, by the seconds that they still need, and where they were.
    away: Vec<(u32, usize)>,
    asked: usize,
}

impl Play {
    fn new(sessions: &[usize], strategy: Strategy) -> Self {
        let load = |sessions: &usize| Load {
            is_ready: true,
            weight: 1,
            sessions: *sessions,
            asked: 0,
            max_sessions: None,
        };
        let mut play = Self {
            rebalancer: Rebalancer::default(),
            loads: sessions.iter().map(load).collect(),
            strategy,
            turn: 0,
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
        self.loads.push(Load {
            is_ready: true,
            weight,
            sessions: 0,
            asked: 0,
            max_sessions: None,
        });
    }

    /// A second passes; how many were asked of each.
    fn second(&mut self) -> Vec<usize> {
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
                ready.min_by_key(|index| load(index).sessions * 1000 / load(index).weight as usize)
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

    fn sessions(&self) -> Vec<usize> {
        self.loads.iter().map(|load| load.sessions).collect()
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
    play.joins(1);
    let most = play.seconds(600);
    assert_eq!(play.sessions(), [300, 300, 300, 300]);
    assert_eq!(play.asked, 300, "nobody is asked twice");
    assert!(most <= 12, "{most} in a second");
    assert!(play.rebalancer.is_at_rest());
}

#[test]
fn a_share_is_by_weight() {
    let mut play = Play::new(&[500, 500], Strategy::LeastSessions);
    play.joins(2);
    play.seconds(600);
    assert_eq!(play.loads[0].sessions, 250);
    assert_eq!(play.loads[1].sessions, 250);
}

#[test]
fn in_turn_takes_longer_and_ends_below_the_threshold() {
    let mut play = Play::new(&[400, 400, 400], Strategy::InTurn);
    play.joins(1);
    play.seconds(1200);
    let most = play.sessions().into_iter().max().unwrap_or_default();
    assert!(most <= 360, "{:?}", play.sessions());
    assert!(play.rebalancer.is_at_rest());
}

#[test]
fn clients_that_go_back_to_where_they_were_are_not_asked_for_ever() {
    let mut play = Play::new(&[400, 400, 400], Strategy::Hash);
    play.joins(1);
    play.seconds(3000);
    assert!(play.asked <= 4 * 300, "{}", play.asked);
    assert!(play.rebalancer.is_at_rest());
}

#[test]
fn below_the_threshold_nobody_is_asked() {
    let mut play = Play::new(&[110, 110], Strategy::LeastSessions);
    play.loads[0].is_ready = false;
    play.second();
    play.loads = vec![play.loads[0], play.loads[1]];
    play.loads[0].is_ready = true;
    play.seconds(300);
    assert_eq!(play.asked, 0);
}

#[test]
fn no_more_are_asked_than_the_others_may_take() {
    let mut play = Play::new(&[400, 400], Strategy::LeastSessions);
    play.joins(1);
    play.loads[2].max_sessions = Some(10);
    let asked: usize = play
        .rebalancer
        .step(&play.loads, &SETTINGS, 60.0)
        .iter()
        .sum();
    assert!(asked <= 10, "{asked}");
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
    play.joins(1);
    let mut asked = 0;
    for _ in 0..600 {
        let now = play.rebalancer.step(&play.loads, &SETTINGS, 1.0);
        for (load, count) in play.loads.iter_mut().zip(&now) {
            load.sessions -= count;
            load.asked += count;
        }
        asked += now.iter().sum::<usize>();
    }
    assert_eq!(asked, 300);
}

proptest! {
    /// Whatever comes and goes: the rate is kept, nobody is asked below the share, and there is an end.
    #[test]
    fn there_is_a_bound_and_an_end(
        sessions in vec(0..500_usize, 2..5),
        strategy in prop_oneof![
            Just(Strategy::LeastSessions), Just(Strategy::InTurn), Just(Strategy::Hash)
        ],
        flaps in vec((0..4_usize, 1..200_u32), 0..5),
    ) {
        let mut play = Play::new(&sessions, strategy);
        let total: usize = sessions.iter().sum();
        for (index, seconds) in flaps {
            let index = index % play.loads.len();
            let others = (0..play.loads.len()).filter(|other| *other != index);
            if others.into_iter().any(|other| play.loads[other].is_ready) {
                play.loads[index].is_ready = !play.loads[index].is_ready;
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
