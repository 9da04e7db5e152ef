//! Pools in which backends join, leave, die and return, played through in paused time with sessions that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Uri};
use tokio::time::{Instant, advance};

use super::fixtures::{answer, backend, build, config, number, refuse};
use super::{Failure, Hints, Lease, Pool, Purpose, State};
use crate::config::{self, HashKey, Strategy};
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
        let config = config(strategy);
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
            let number = number(candidate.member());
            if !self.dead.contains(&number) {
                answer(&mut candidate.witness);
                let lasts = Duration::from_secs(self.random.u64(1..20));
                self.sessions
                    .push((Instant::now() + lasts, candidate.lease));
                return Ok(number);
            }
            let failure = Failure::Refused;
            refuse(&mut candidate.witness);
            candidates.failed(candidate.member(), &failure);
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

/// A session comes every tick, something happens every few seconds: none is refused, and none opens at a backend that is gone.
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

/// All backends are well again: how `each` sessions per backend are shared out.
async fn calm(world: &mut World, each: usize) -> BTreeMap<u16, usize> {
    world.dead.clear();
    world.pass(CALM).await;
    assert_eq!(world.counted(), 0, "all sessions are over");
    // A backend that was ejected is tried by one session, and rises slowly from then on.
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
