//! Pools in which backends join, leave, die and return, played through in paused time with sessions that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{pending, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, Uri};
use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use super::judge::Witness;
use super::{Backend, Evidence, Failure, Hints, Lease, Member, Pool, Purpose, State, Transport};
use crate::config::{self, HashKey, Name, Strategy};
use crate::session::Rejection;
use crate::telemetry::Metrics;

const STRATEGIES: [Strategy; 5] = [
    Strategy::RoundRobin,
    Strategy::LeastSessions,
    Strategy::TwoChoices,
    Strategy::Random,
    Strategy::Hash(HashKey::Client),
];
const TICK: Duration = Duration::from_millis(100);
/// No ejection lasts longer, and no slow start.
const CALM: Duration = Duration::from_secs(1000);

/// A pool, what is true of its backends, and its sessions.
struct World {
    config: config::Pool,
    metrics: Metrics,
    pool: Arc<Pool>,
    dead: BTreeSet<u16>,
    /// Each with its end.
    sessions: Vec<(Instant, Lease)>,
    random: fastrand::Rng,
}

impl World {
    fn new(strategy: &Strategy, seed: u64) -> Self {
        let config = config::Pool {
            strategy: strategy.clone(),
            sticky: None,
            slow_start: Duration::from_secs(5),
            queue: config::Queue {
                max: 0,
                timeout: Duration::from_secs(1),
            },
            attempts: 3,
            backends: [0, 1, 2].map(backend).to_vec(),
            discovery: None,
            transport: config::Transport::default(),
            health: config::Health {
                active: None,
                passive: Some(config::PassiveHealth {
                    failures: 2,
                    window: Duration::from_secs(30),
                    eject: Duration::from_secs(2),
                    max_ejected: 0.5,
                }),
                on_unhealthy: config::OnUnhealthy::Keep,
            },
            rebalance: None,
        };
        let metrics = Metrics::new();
        Self {
            pool: Arc::new(build(&config, &metrics, None)),
            config,
            metrics,
            dead: BTreeSet::new(),
            sessions: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// The numbers of the backends.
    fn numbers(&self) -> Vec<u16> {
        self.pool.members().iter().map(number).collect()
    }

    /// Another configuration with these backends.
    fn reload(&mut self, numbers: impl IntoIterator<Item = u16>) {
        self.config.backends = numbers.into_iter().map(backend).collect();
        let next = build(&self.config, &self.metrics, Some(&self.pool));
        let next = Arc::new(next);
        self.pool.hand_over(&next);
        self.pool = next;
    }

    /// One backend joins, leaves, dies or returns. None dies while another one is dead or held to be so.
    fn happen(&mut self) {
        let numbers = self.numbers();
        let one = numbers[self.random.usize(..numbers.len())];
        match self.random.u8(..4) {
            0 if numbers.len() < 6 => {
                let next = numbers.iter().max().map_or(0, |last| last + 1);
                self.reload(numbers.into_iter().chain([next]));
            }
            1 if numbers.len() > 2 => {
                self.dead.remove(&one);
                self.reload(numbers.into_iter().filter(|number| *number != one));
            }
            2 if self.dead.is_empty() => {
                self.dead.insert(one);
            }
            _ => self.dead.clear(),
        }
    }

    fn are_all_ready(&self) -> bool {
        let mut members = self.pool.members().iter();
        members.all(|member| member.backend().state() == State::Ready)
    }

    /// A session asks for a backend; which one it got.
    async fn arrive(&mut self) -> Result<u16, Rejection> {
        let client = IpAddr::from(self.random.u32(..).to_be_bytes());
        let (headers, uri) = (HeaderMap::new(), Uri::default());
        let hints = Hints::new(Some(client), &headers, &uri);
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut candidates = self.pool.candidates(Purpose::Session, hints, deadline);
        loop {
            let mut candidate = candidates.next().await?;
            let number = number(&candidate.member);
            if !self.dead.contains(&number) {
                candidate.testify(Evidence::Sound);
                let lasts = Duration::from_secs(self.random.u64(1..20));
                self.sessions
                    .push((Instant::now() + lasts, candidate.lease));
                return Ok(number);
            }
            let failure = Failure::AnswerTimeout;
            candidate.testify(Evidence::of(Some(&failure)));
            candidates.failed(&candidate.member, &failure, failure.rejection());
        }
    }

    async fn pass(&mut self, time: Duration) {
        advance(time).await;
        let now = Instant::now();
        self.sessions.retain(|(end, _)| *end > now);
        self.pool.pass_time(now);
    }

    fn counted(&self) -> usize {
        let members = self.pool.members().iter();
        members.map(|member| member.backend().sessions()).sum()
    }
}

fn backend(number: u16) -> config::Backend {
    config::Backend {
        name: number.to_string().into(),
        address: SocketAddr::from(([127, 0, 0, 1], 9000 + number)).into(),
        weight: 1,
        max_sessions: None,
        priority: 0,
    }
}

fn number(member: &Member) -> u16 {
    member.name().parse().expect("its number is its name")
}

/// As a snapshot does: live state by address, and those that join begin slowly.
fn build(config: &config::Pool, metrics: &Metrics, previous: Option<&Pool>) -> Pool {
    let name = Name::from("chat");
    let queue = previous.map(Pool::queue).cloned().unwrap_or_default();
    let members = config.backends.iter().map(|backend| {
        let mut before = previous.into_iter().flat_map(Pool::members);
        let kept = before.find(|member| member.address() == &backend.address);
        let live = kept.map_or_else(
            || {
                let live = Backend::new(backend.address.clone(), &queue);
                if previous.is_some() {
                    live.became_ready(Instant::now());
                }
                Arc::new(live)
            },
            |member| Arc::clone(member.backend()),
        );
        let transport = Arc::new(Transport::new(&config.transport, None));
        let metrics = metrics.backend(&name, &backend.name);
        Member::new(backend, config.slow_start, live, metrics, transport)
    });
    let members = members.collect();
    Pool::new(&name, config, members, metrics.pool(&name), previous)
}

/// A session comes every tick, something happens every few seconds: none is refused, none opens where nobody is.
async fn trouble(world: &mut World) {
    for tick in 0..900 {
        world.pass(TICK).await;
        if tick % 30 == 29 {
            world.happen();
        }
        let number = world.arrive().await;
        let number = number.unwrap_or_else(|rejection| panic!("{rejection:?} at {tick}"));
        assert!(world.numbers().contains(&number));
    }
}

/// Everybody is well again: how so many sessions for each backend are shared.
async fn calm(world: &mut World, each: usize) -> BTreeMap<u16, usize> {
    world.dead.clear();
    world.pass(CALM).await;
    assert_eq!(world.counted(), 0, "all sessions are over");
    // Who was ejected is tried by one session, and rises slowly from then on.
    for _ in 0..1000 {
        if world.are_all_ready() {
            break;
        }
        assert!(world.arrive().await.is_ok());
    }
    assert!(world.are_all_ready());
    world.pass(CALM).await;
    let mut shares = BTreeMap::new();
    for _ in 0..each * world.numbers().len() {
        let number = world.arrive().await.expect("all are well");
        *shares.entry(number).or_insert(0) += 1;
    }
    shares
}

#[tokio::test(start_paused = true)]
async fn whatever_joins_leaves_and_flaps_nobody_is_refused_and_shares_come_back() {
    for (strategy, seed) in STRATEGIES
        .iter()
        .flat_map(|it| (0..8).map(move |seed| (it, seed)))
    {
        let mut world = World::new(strategy, seed);
        trouble(&mut world).await;
        let shares = calm(&mut world, 60).await;
        assert_eq!(world.counted(), world.sessions.len());
        assert!(
            shares.keys().copied().eq(world.numbers()),
            "{strategy:?} {shares:?}"
        );
        let (least, most) = (shares.values().min(), shares.values().max());
        match strategy {
            Strategy::RoundRobin | Strategy::LeastSessions => {
                assert_eq!((least, most), (Some(&60), Some(&60)), "{strategy:?} {seed}");
            }
            Strategy::TwoChoices | Strategy::Random | Strategy::Hash(_) => {
                assert!(least >= Some(&20), "{strategy:?} {shares:?}");
            }
        }
    }
}

/// A pool of a backend with one place and of an ejected one, for sessions that wait; and who tries the latter.
fn narrow() -> (Arc<Pool>, Witness) {
    narrow_with(3)
}

fn narrow_with(attempts: usize) -> (Arc<Pool>, Witness) {
    let mut config = World::new(&Strategy::RoundRobin, 0).config;
    config.queue = config::Queue {
        max: 1000,
        timeout: CALM,
    };
    config.attempts = attempts;
    config.backends.truncate(2);
    config.backends[0].max_sessions = NonZeroUsize::new(1);
    let pool = Arc::new(build(&config, &Metrics::new(), None));
    let ejected = &pool.members()[1];
    for _ in 0..2 {
        Witness::of(&pool, ejected).testify(Evidence::of(Some(&Failure::Refused)));
    }
    assert_eq!(ejected.backend().state(), State::Ejected);
    let trial = Witness::of(&pool, ejected);
    (pool, trial)
}

/// So many more who wait in the queue of `pool` and keep what they get; their looks are counted.
async fn crowd(pool: &Arc<Pool>, count: usize, looks: &Arc<AtomicUsize>) {
    for _ in 0..count {
        let (pool, looks) = (Arc::clone(pool), Arc::clone(looks));
        tokio::spawn(async move {
            let (headers, uri) = (HeaderMap::new(), Uri::default());
            let hints = Hints::new(None, &headers, &uri);
            let mut candidates = pool.candidates(Purpose::Session, hints, Instant::now() + CALM);
            let mut next = pin!(candidates.next());
            let looking = poll_fn(|context| {
                looks.fetch_add(1, Ordering::Relaxed);
                next.as_mut().poll(context)
            });
            let _kept = looking.await.expect("its turn comes");
            pending::<()>().await;
        });
    }
    settle().await;
    assert_eq!(pool.queue().len(), count);
}

/// A herd after a blink of one backend, whose places are all that is left.
#[tokio::test(start_paused = true)]
async fn where_the_others_are_full_an_ejected_one_is_tried_before_its_time() {
    let (pool, trial) = narrow();
    let _full = pool.members()[0].lease(Purpose::Session).expect("a place");
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let hints = Hints::new(None, &headers, &uri);
    let candidates = || pool.candidates(Purpose::Session, hints, Instant::now() + CALM);
    let mut second = candidates();
    let mut waiting = pin!(second.next());
    let tried = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_ready())).await;
    assert!(!tried, "one at a time");
    drop(trial);
    let mut candidate = candidates().next().await.expect("the ejected one");
    assert_eq!(number(&candidate.member), 1);
    candidate.testify(Evidence::Sound);
    drop(candidate);
    assert_eq!(pool.members()[1].backend().state(), State::Ready);
    assert_eq!(number(&waiting.await.expect("it hears").member), 1);
}

/// It is no attempt, and who waits is not sent there.
#[tokio::test(start_paused = true)]
async fn who_tries_an_ejected_one_in_vain_waits_behind_the_others() {
    let (pool, trial) = narrow_with(1);
    let place = pool.members()[0].lease(Purpose::Session);
    crowd(&pool, 1, &Arc::default()).await;
    drop(trial);
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let hints = Hints::new(None, &headers, &uri);
    let mut candidates = pool.candidates(Purpose::Session, hints, Instant::now() + CALM);
    let candidate = candidates.next().await.expect("the ejected one");
    assert_eq!(number(&candidate.member), 1);
    candidates.failed(
        &candidate.member,
        &Failure::Refused,
        Failure::Refused.rejection(),
    );
    drop(candidate);
    let mut waiting = pin!(candidates.next());
    let is_ready = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_ready())).await;
    assert!(!is_ready);
    assert_eq!(pool.queue().len(), 2);
    drop(place);
    settle().await;
    assert_eq!(pool.queue().len(), 1, "the first has the place");
}

/// Lets all others go as far as they come.
async fn settle() {
    for _ in 0..1000 {
        yield_now().await;
    }
}

/// A backend died, and its sessions wait for the places of others.
#[tokio::test(start_paused = true)]
async fn a_place_that_becomes_free_costs_no_look_of_all_who_wait() {
    let (pool, _trial) = narrow();
    let place = pool.members()[0].lease(Purpose::Session);
    let looks = Arc::default();
    crowd(&pool, 100, &looks).await;
    let before = looks.load(Ordering::Relaxed);
    drop(place.expect("a place"));
    settle().await;
    assert_eq!(pool.queue().len(), 99);
    let spent = looks.load(Ordering::Relaxed) - before;
    assert!(spent <= 3, "{spent} looks");
}

/// The place that it gives back keeps others busy; it is not to wait for that, as it wants none of it.
#[tokio::test(start_paused = true)]
async fn who_has_nothing_to_wait_for_does_not_wait() {
    let (pool, _trial) = narrow();
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let hints = Hints::new(None, &headers, &uri);
    let mut candidates = pool.candidates(Purpose::Session, hints, Instant::now() + CALM);
    let candidate = candidates.next().await.expect("a place");
    crowd(&pool, 2, &Arc::default()).await;
    let failure = Failure::AnswerTimeout;
    candidates.failed(&candidate.member, &failure, failure.rejection());
    drop(candidate);
    let last_resort = candidates.next().await.expect("the ejected one");
    assert_eq!(number(&last_resort.member), 1);
}
