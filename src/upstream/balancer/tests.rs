//! What holds for every strategy, and for each alone: shares, weights, movement, an end.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::hash::{SIZE, number_at};
use super::{Balancer, Field, Reach};
use crate::config::{HashKey, Strategy as Word};
use crate::upstream::backend::{Failed, Member};
use crate::upstream::fixtures::{SLOW_START, member, member_of_priority, members, reweighted};
use crate::upstream::health::Health;
use crate::upstream::{Lease, Purpose, positions};

const HASH: Word = Word::Hash(HashKey::Client);
const ALL: [Word; 5] = [
    Word::RoundRobin,
    Word::LeastSessions,
    Word::TwoChoices,
    Word::Random,
    HASH,
];

/// A strategy that is asked for backends again and again.
struct Chooser {
    members: Vec<Member>,
    balancer: Balancer,
    key: u64,
    purpose: Purpose,
}

impl Chooser {
    fn new(strategy: &Word, members: Vec<Member>) -> Self {
        Self {
            balancer: Balancer::new(strategy, &members),
            members,
            key: 0,
            purpose: Purpose::Session,
        }
    }

    /// The next backend after these have been tried.
    fn pick(&mut self, tried: &[usize]) -> Option<usize> {
        let failed = |index: &usize| Failed::now(&self.members[*index]);
        let failed: Vec<Failed> = tried.iter().map(failed).collect();
        let field = Field {
            members: &self.members,
            failed: &failed,
            has_made_trial: false,
            reach: Reach::Untried,
            purpose: self.purpose,
            key: self.key,
            now: Instant::now(),
            priority: None,
        };
        let priorities = Field::priorities(&self.members);
        self.balancer.pick(&field.narrowed(&priorities))
    }

    /// Chooses and takes a place.
    fn open(&mut self) -> Option<(usize, Lease)> {
        let index = self.pick(&[])?;
        Some((index, self.members[index].lease(Purpose::Session)?))
    }

    /// How often each backend is chosen in `choices` choices, none of which lasts.
    fn shares(&mut self, choices: usize) -> Vec<usize> {
        let mut shares = vec![0; self.members.len()];
        for _ in 0..choices {
            self.key = fastrand::u64(..);
            if let Some(index) = self.pick(&[]) {
                shares[index] += 1;
            }
        }
        shares
    }

    /// The members of the next configuration; what the strategy remembers is taken over.
    fn reload(&mut self, strategy: &Word, members: Vec<Member>) {
        let mut next = Balancer::new(strategy, &members);
        let positions = positions(&members, &self.members);
        next.resume(&members, &self.balancer, &self.members, &positions);
        (self.balancer, self.members) = (next, members);
    }
}

/// Some backends, each with its weight, whether it is ready and whether it is full.
fn any_members() -> impl Strategy<Value = Vec<(u32, bool, bool)>> {
    let weight = prop_oneof![1..5_u32, 1..=1000_u32];
    vec(
        (weight, prop::bool::weighted(0.7), prop::bool::weighted(0.3)),
        0..9,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Backends are tried in the order of their priorities: none before all better ones that may be chosen.
    #[test]
    fn the_best_priorities_come_first(drawn in vec((0..3_u16, prop::bool::weighted(0.7)), 0..9), key in any::<u64>()) {
        for strategy in &ALL {
            let built = drawn.iter().enumerate().map(|(index, (priority, is_ready))| {
                let built = member_of_priority(*priority, &format!("backend{index}"), 1, 1);
                if !is_ready {
                    built.backend().alter(Health::drain, |_| String::new());
                }
                built
            });
            let mut chooser = Chooser::new(strategy, built.collect());
            chooser.key = key;
            let mut tried = Vec::new();
            while let Some(index) = chooser.pick(&tried) {
                tried.push(index);
            }
            let priorities: Vec<u16> = tried.iter().map(|index| drawn[*index].0).collect();
            prop_assert!(priorities.is_sorted(), "{strategy:?} {priorities:?}");
            let ready = drawn.iter().filter(|(_, is_ready)| *is_ready).count();
            prop_assert_eq!(tried.len(), ready);
        }
    }

    /// Every backend that may be chosen comes once, no other ever, and then there is an end.
    #[test]
    fn candidates_are_those_that_may_be_chosen(drawn in any_members(), key in any::<u64>()) {
        for strategy in &ALL {
            let mut leases = Vec::new();
            let built = drawn.iter().enumerate().map(|(index, (weight, is_ready, is_full))| {
                let built = member(&format!("backend{index}"), *weight, 1);
                if !is_ready {
                    built.backend().alter(Health::drain, |_| String::new());
                }
                if *is_full {
                    leases.extend(built.lease(super::Purpose::Session));
                }
                built
            });
            let mut chooser = Chooser::new(strategy, built.collect());
            chooser.key = key;
            let mut tried = Vec::new();
            while let Some(index) = chooser.pick(&tried) {
                let (_, is_ready, is_full) = drawn[index];
                prop_assert!(is_ready && !is_full && !tried.contains(&index), "{strategy:?}");
                tried.push(index);
            }
            let may_be_chosen = drawn.iter().filter(|(_, is_ready, is_full)| *is_ready && !is_full);
            prop_assert_eq!(tried.len(), may_be_chosen.count(), "{:?}", strategy);
        }
    }

    /// Over a whole round each has exactly its weight, wherever in the round it begins.
    #[test]
    fn round_robin_is_exact(weights in vec(1..9_u32, 1..7), begun in 0..20_usize) {
        let mut chooser = Chooser::new(&Word::RoundRobin, members(&weights));
        chooser.shares(begun);
        let round = weights.iter().sum::<u32>() as usize;
        let expected: Vec<usize> = weights.iter().map(|weight| *weight as usize).collect();
        prop_assert_eq!(chooser.shares(round), expected);
    }

    /// However sessions come and go, the next one goes to where it is lightest.
    #[test]
    fn least_sessions_takes_the_lightest(
        weights in vec(1..9_u32, 1..7),
        events in vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut chooser = Chooser::new(&Word::LeastSessions, members(&weights));
        let mut sessions: Vec<(usize, Lease)> = Vec::new();
        for event in events {
            if event.index(3) == 0 && !sessions.is_empty() {
                sessions.swap_remove(event.index(sessions.len()));
                continue;
            }
            let before: Vec<usize> = loads(&chooser);
            let (chosen, lease) = chooser.open().expect("all are ready");
            let cost = |index: usize| (before[index] + 1) as f64 / f64::from(weights[index]);
            for other in 0..weights.len() {
                prop_assert!(cost(chosen) <= cost(other) + 1e-9, "{before:?} {chosen}");
            }
            sessions.push((chosen, lease));
        }
    }

    /// One of N that comes takes its share of keys, and moves hardly any between the others.
    #[test]
    fn hash_moves_the_share_of_the_one_that_comes(count in 2..20_usize, weight in 1..=100_u32, comes in 1..=100_u32) {
        let mut weights = vec![weight; count];
        let mut chooser = Chooser::new(&HASH, members(&weights));
        let before = homes(&mut chooser, KEYS);
        weights.push(comes);
        chooser.reload(&HASH, members(&weights));
        let after = homes(&mut chooser, KEYS);
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
        let (to_new, between): (Vec<_>, Vec<_>) = moved.partition(|(_, new)| **new == count);
        let share = f64::from(comes) / f64::from(weights.iter().sum::<u32>());
        prop_assert!(is_about(to_new.len(), KEYS, share), "{} {share}", to_new.len());
        prop_assert!(between.len() < KEYS / 20, "{}", between.len());
    }
}

const KEYS: usize = 4000;

fn loads(chooser: &Chooser) -> Vec<usize> {
    let members = chooser.members.iter();
    members.map(|member| member.backend().sessions()).collect()
}

/// The backend of each of `keys` keys.
fn homes(chooser: &mut Chooser, keys: usize) -> Vec<usize> {
    let keys = (0..keys as u64).map(|key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let home = |key| {
        chooser.key = key;
        chooser.pick(&[]).expect("one is ready")
    };
    keys.map(home).collect()
}

/// Whether `part` of `whole` is `expected`, give or take a tenth of it and what chance allows.
fn is_about(part: usize, whole: usize, expected: f64) -> bool {
    let (part, expected) = (part as f64, expected * whole as f64);
    (part - expected).abs() < 0.1 * expected + 4.0 * expected.sqrt()
}

#[test]
fn weights_count_in_all() {
    let weights = [1, 2, 5];
    for strategy in [Word::RoundRobin, Word::Random, HASH] {
        let mut chooser = Chooser::new(&strategy, members(&weights));
        let shares = chooser.shares(8000);
        for (share, weight) in shares.iter().zip(weights) {
            let expected = f64::from(weight) / 8.0;
            assert!(is_about(*share, 8000, expected), "{strategy:?} {shares:?}");
        }
    }
    for strategy in [Word::LeastSessions, Word::TwoChoices] {
        let mut chooser = Chooser::new(&strategy, members(&weights));
        let sessions: Vec<_> = (0..800).map(|_| chooser.open()).collect();
        let shares = loads(&chooser);
        for (share, weight) in shares.iter().zip(weights) {
            let expected = f64::from(weight) / 8.0;
            assert!(is_about(*share, 800, expected), "{strategy:?} {shares:?}");
        }
        drop(sessions);
    }
}

/// Two choices keep the fullest close to the mean, where lots alone do not.
#[test]
fn two_choices_are_better_than_one() {
    let fullest = |strategy| {
        let mut chooser = Chooser::new(&strategy, members(&[1; 100]));
        let sessions: Vec<_> = (0..1000).map(|_| chooser.open()).collect();
        assert_eq!(sessions.len(), 1000);
        loads(&chooser).into_iter().max()
    };
    let fullest_of_two = fullest(Word::TwoChoices);
    assert!(fullest_of_two <= Some(14));
    assert!(fullest(Word::Random) > fullest_of_two);
}

#[test]
fn the_third_of_three_gets_the_next_sessions() {
    let two = members(&[1, 1]);
    let mut chooser = Chooser::new(&Word::LeastSessions, two.clone());
    let mut sessions: Vec<_> = (0..20).map(|_| chooser.open()).collect();
    assert_eq!(loads(&chooser), [10, 10]);
    let three = [two, vec![member("new", 1, 0)]].concat();
    chooser.reload(&Word::LeastSessions, three);
    for _ in 0..9 {
        let opened = chooser.open();
        assert_eq!(opened.as_ref().map(|(index, _)| *index), Some(2));
        sessions.push(opened);
    }
    sessions.extend((0..4).map(|_| chooser.open()));
    assert_eq!(loads(&chooser), [11, 11, 11]);
}

#[test]
fn equal_backends_of_least_sessions_take_turns() {
    let mut chooser = Chooser::new(&Word::LeastSessions, members(&[1, 1, 1]));
    let turns: Vec<_> = (0..6).map(|_| chooser.pick(&[]).unwrap()).collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    let same = chooser.members.clone();
    chooser.pick(&[]);
    chooser.reload(&Word::LeastSessions, same);
    assert_eq!(chooser.pick(&[]), Some(1), "turns go on over a reload");
}

#[test]
fn sessions_and_requests_have_rounds_of_their_own() {
    let mut chooser = Chooser::new(&Word::RoundRobin, members(&[1, 1]));
    let mut picks = [Vec::new(), Vec::new()];
    for _ in 0..4 {
        for (picks, purpose) in picks.iter_mut().zip([Purpose::Request, Purpose::Session]) {
            chooser.purpose = purpose;
            picks.push(chooser.pick(&[]).unwrap());
        }
    }
    assert_eq!(picks, [[0, 1, 0, 1]; 2]);
}

#[test]
fn round_robin_goes_on_where_weights_are_on_another_scale() {
    for (before, after) in [
        ([1000, 1000], [1, 1]),
        ([1000, 10], [1, 1]),
        ([1, 1], [500, 500]),
    ] {
        let mut chooser = Chooser::new(&Word::RoundRobin, members(&before));
        chooser.shares(3);
        let weighed = chooser.members.iter().zip(after);
        let members = weighed.map(|(member, weight)| reweighted(member, weight));
        chooser.reload(&Word::RoundRobin, members.collect());
        let shares = chooser.shares(8);
        assert!(
            shares.iter().all(|share| (3..=5).contains(share)),
            "{before:?} {shares:?}"
        );
    }
}

/// Gateways with the same backends agree, whatever the order in their files; that table never changes.
#[test]
fn tables_agree_between_gateways() {
    let named = |names: [&str; 3]| names.map(|name| member(name, 1, 0)).to_vec();
    let mut one = Chooser::new(&HASH, named(["a", "b", "c"]));
    let mut other = Chooser::new(&HASH, named(["c", "a", "b"]));
    let names = |chooser: &mut Chooser| -> Vec<String> {
        let homes = homes(chooser, 1000);
        let name = |home: usize| chooser.members[home].name().to_string();
        homes.into_iter().map(name).collect()
    };
    let of_one = names(&mut one);
    assert_eq!(of_one, names(&mut other));
    assert_eq!(of_one[..12].concat(), FIRST_HOMES);
}

/// The homes of the first keys; gateways of other versions have the same.
const FIRST_HOMES: &str = "ccbbaccbbacc";

/// It has none of their keys, so none of them moves.
#[test]
fn hash_keeps_all_keys_where_a_spare_one_comes() {
    let mut all = members(&[1; 3]);
    let mut chooser = Chooser::new(&HASH, all.clone());
    let before = homes(&mut chooser, KEYS);
    all.push(member_of_priority(1, "spare", 1, 0));
    chooser.reload(&HASH, all);
    assert_eq!(homes(&mut chooser, KEYS), before);
    assert_eq!(chooser.pick(&[0, 1, 2]), Some(3));
}

/// The keys of one that fails are shared by all others, each key always by the same.
#[test]
fn hash_fails_over_in_a_fixed_order() {
    let mut chooser = Chooser::new(&HASH, members(&[1; 5]));
    let mut seconds = BTreeSet::new();
    for key in 0..200_u64 {
        chooser.key = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let first = chooser.pick(&[]).unwrap();
        let second = chooser.pick(&[first]).unwrap();
        assert_eq!(chooser.pick(&[first]), Some(second));
        seconds.insert((first, second));
    }
    assert_eq!(seconds.len(), 20, "every pair of two backends");
}

#[test]
fn the_size_of_a_table_is_a_prime() {
    assert!(
        (2..)
            .take_while(|divisor| divisor * divisor <= SIZE)
            .all(|divisor| !SIZE.is_multiple_of(divisor))
    );
    assert_eq!(number_at(&[0, 0, 0, 0, 0, 0, 0, 1, 2], 1), 258);
}

/// A backend that joins while others serve: at first a tenth of its share, at the end all of it.
#[tokio::test(start_paused = true)]
async fn a_slow_start_grows_in_every_strategy() {
    for strategy in ALL {
        let mut chooser = Chooser::new(&strategy, members(&[1, 1, 1]));
        chooser.members[2].backend().became_ready(Instant::now());
        for part in [0.1, 0.5, 1.0] {
            let share = share_of_the_last(&strategy, &mut chooser);
            // Of its keys a part goes to a hashed backend; to the others it is a backend with a part of its weight.
            let whole = match strategy {
                Word::Hash(_) => 3.0,
                _ => 2.0 + part,
            };
            let is_expected = is_about(share, CHOICES, part / whole);
            assert!(is_expected, "{strategy:?} {part} {share}");
            advance(SLOW_START / 2).await;
        }
    }
}

const CHOICES: usize = 3000;

fn share_of_the_last(strategy: &Word, chooser: &mut Chooser) -> usize {
    match strategy {
        Word::LeastSessions | Word::TwoChoices => {
            let sessions: Vec<_> = (0..CHOICES).map(|_| chooser.open()).collect();
            assert_eq!(sessions.len(), CHOICES);
            loads(chooser)[2]
        }
        Word::RoundRobin | Word::Random | Word::Hash(_) => chooser.shares(CHOICES)[2],
    }
}

/// What has come to a hashed backend that starts slowly stays with it.
#[tokio::test(start_paused = true)]
async fn no_key_goes_back_during_a_slow_start() {
    let mut chooser = Chooser::new(&HASH, members(&[1, 1, 1]));
    chooser.members[2].backend().became_ready(Instant::now());
    let mut before = homes(&mut chooser, KEYS);
    for _ in 0..10 {
        advance(SLOW_START / 10).await;
        let after = homes(&mut chooser, KEYS);
        let mut moved = before.iter().zip(&after).filter(|(old, new)| old != new);
        assert!(moved.all(|(_, new)| *new == 2));
        before = after;
    }
}

/// One that flaps is never chosen while it is away, and never starves once it is back.
#[tokio::test(start_paused = true)]
async fn a_flapping_backend_gets_its_share_back() {
    for strategy in ALL {
        let all = members(&[1, 1, 1]);
        let mut chooser = Chooser::new(&strategy, all.clone());
        for _ in 0..20 {
            chooser.reload(&strategy, all[..2].to_vec());
            assert_eq!(chooser.shares(7).iter().sum::<usize>(), 7);
            chooser.reload(&strategy, all.clone());
            all[2].backend().became_ready(Instant::now());
            advance(Duration::from_secs(7)).await;
            assert_eq!(chooser.shares(7).iter().sum::<usize>(), 7);
        }
        advance(SLOW_START).await;
        let share = chooser.shares(3000)[2];
        assert!(is_about(share, 3000, 1.0 / 3.0), "{strategy:?} {share}");
    }
}
