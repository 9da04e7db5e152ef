//! Which sessions wait for a place, and which go on after a failure.

mod shares;

use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, Method, Uri};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use super::*;
use crate::config::{self, HashKey, Strategy};
use crate::telemetry::Metrics;
use crate::upstream::fixtures::{self, answer, backend, build, number, refuse};
use crate::upstream::{Errand, ErrandTimeouts, Failure, State};

/// No test lasts longer.
const CALM: Duration = Duration::from_secs(1000);

/// Three backends, and a queue.
fn config() -> config::Pool {
    let queue = config::Queue {
        max: 1000,
        timeout: CALM,
    };
    config::Pool {
        queue,
        ..fixtures::config(&Strategy::RoundRobin)
    }
}

/// A pool of a backend with one place and of an ejected one, for sessions that wait; and the session that tries the latter.
fn narrow() -> (Arc<Pool>, Witness) {
    narrow_with(3)
}

fn narrow_with(attempts: usize) -> (Arc<Pool>, Witness) {
    let mut config = config();
    config.attempts = attempts;
    config.backends.truncate(2);
    config.backends[0].max_sessions = NonZeroUsize::new(1);
    let pool = Arc::new(build(&config, &Metrics::new(), None));
    let ejected = &pool.members()[1];
    for _ in 0..2 {
        refuse(&mut Witness::of(&pool, ejected));
    }
    assert_eq!(ejected.backend().state(), State::Ejected);
    let trial = Witness::of(&pool, ejected);
    (pool, trial)
}

/// `count` more sessions that wait in the queue of `pool` and keep what they get; their looks are counted.
async fn crowd(pool: &Arc<Pool>, count: usize, looks: &Arc<AtomicUsize>) {
    let before = pool.queue().len();
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
    assert_eq!(pool.queue().len(), before + count);
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
    assert_eq!(number(candidate.member()), 1);
    answer(&mut candidate.witness);
    drop(candidate);
    assert_eq!(pool.members()[1].backend().state(), State::Ready);
    assert_eq!(number(waiting.await.expect("it hears").member()), 1);
}

/// It does not count as an attempt, and waiting sessions are not sent there.
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
    assert_eq!(number(candidate.member()), 1);
    candidates.failed(candidate.member(), &Failure::Refused);
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
    candidates.failed(candidate.member(), &failure);
    drop(candidate);
    let last_resort = candidates.next().await.expect("the ejected one");
    assert_eq!(number(last_resort.member()), 1);
}

/// A choice for a session that comes now, without a key or a cookie.
fn candidates<'a>(pool: &Arc<Pool>, headers: &'a HeaderMap, uri: &'a Uri) -> Candidates<'a> {
    let hints = Hints::new(None, headers, uri);
    pool.candidates(Purpose::Session, hints, Instant::now() + CALM)
}

async fn is_waiting<T>(mut next: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
    poll_fn(|context| Poll::Ready(next.as_mut().poll(context).is_pending())).await
}

/// It failed with all its attempts in a row in view; by the time that it waits, much may have happened.
#[tokio::test(start_paused = true)]
async fn who_waits_may_try_again_what_has_recovered() {
    let mut config = config();
    config.backends.truncate(2);
    config.backends[0].max_sessions = NonZeroUsize::new(1);
    let pool = Arc::new(build(&config, &Metrics::new(), None));
    let [full, other] = [0, 1].map(|index| pool.members()[index].clone());
    let _full = full.lease(Purpose::Session).expect("a place");
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let mut asking = candidates(&pool, &headers, &uri);
    let mut candidate = asking.next().await.expect("the other one");
    refuse(&mut candidate.witness);
    asking.failed(candidate.member(), &Failure::Refused);
    drop(candidate);
    let mut waiting = pin!(asking.next());
    assert!(is_waiting(waiting.as_mut()).await, "it was refused there");
    answer(&mut Witness::of(&pool, &other));
    assert_eq!(number(waiting.await.expect("it is well").member()), 1);
}

/// Six backends, the first three of which are dead and have been ejected; the trials of all three are due.
async fn half_dead(config: &mut config::Pool) -> Arc<Pool> {
    config.backends = [0, 1, 2, 3, 4, 5].map(backend).to_vec();
    for sound in &mut config.backends[3..] {
        sound.max_sessions = NonZeroUsize::new(1);
    }
    let pool = Arc::new(build(config, &Metrics::new(), None));
    for dead in [0, 0, 1, 1, 2, 2] {
        refuse(&mut Witness::of(&pool, &pool.members()[dead]));
    }
    advance(Duration::from_secs(3)).await;
    pool.pass_time(Instant::now());
    assert_eq!(admitted(&pool), 3);
    pool
}

/// A rack is gone: its ejections end in step, and its backends have the fewest sessions.
#[tokio::test(start_paused = true)]
async fn who_made_a_trial_in_vain_goes_on_to_one_that_is_ready() {
    for strategy in [Strategy::LeastSessions, Strategy::RoundRobin] {
        let mut config = config();
        config.strategy = strategy;
        let pool = half_dead(&mut config).await;
        let (headers, uri) = (HeaderMap::new(), Uri::default());
        let mut asking = candidates(&pool, &headers, &uri);
        fail(&mut asking, 0).await;
        let candidate = asking.next().await.expect("another one");
        let member = candidate.member();
        assert_eq!(member.backend().state(), State::Ready);
        assert_eq!(admitted(&pool), 2, "the others are left to others");
    }
}

/// The second trial, without which it would be refused where there is no queue, is no attempt.
#[tokio::test(start_paused = true)]
async fn who_made_a_trial_in_vain_makes_one_more_where_the_others_are_full_and_waits() {
    let pool = half_dead(&mut config()).await;
    let sound = pool.members()[3..].iter();
    let mut places: Vec<_> = sound.map(|it| it.lease(Purpose::Session)).collect();
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let mut asking = candidates(&pool, &headers, &uri);
    fail(&mut asking, 0).await;
    fail(&mut asking, 1).await;
    assert_eq!(asking.left(), 2);
    let mut waiting = pin!(asking.next());
    assert!(is_waiting(waiting.as_mut()).await);
    assert_eq!(admitted(&pool), 1, "the third is for those behind it");
    drop(places.pop());
    assert_eq!(number(waiting.await.expect("its turn").member()), 5);
}

/// Whether or not its failures counted.
#[tokio::test(start_paused = true)]
async fn who_waits_hears_of_a_recovery_without_rules_of_ejection() {
    let mut config = config();
    config.health.passive = None;
    config.backends.truncate(2);
    config.backends[0].max_sessions = NonZeroUsize::new(1);
    let pool = Arc::new(build(&config, &Metrics::new(), None));
    let _full = pool.members()[0].lease(Purpose::Session).expect("a place");
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let mut asking = candidates(&pool, &headers, &uri);
    fail(&mut asking, 1).await;
    let mut waiting = pin!(asking.next());
    assert!(is_waiting(waiting.as_mut()).await, "it was refused there");
    answer(&mut Witness::of(&pool, &pool.members()[1]));
    assert_eq!(number(waiting.await.expect("it is well").member()), 1);
}

/// Asks for a candidate, which has to be this one, and fails there.
async fn fail(asking: &mut Candidates<'_>, expected: u16) {
    let mut candidate = asking.next().await.expect("a candidate");
    assert_eq!(number(candidate.member()), expected);
    refuse(&mut candidate.witness);
    let member = candidate.member().clone();
    asking.failed(&member, &Failure::Refused);
}

/// One that fails every other time recovers all the time.
#[tokio::test(start_paused = true)]
async fn those_that_have_not_failed_come_before_those_that_have_recovered() {
    let mut config = config();
    // So that it is always its turn.
    config.backends[0].weight = 1000;
    let pool = Arc::new(build(&config, &Metrics::new(), None));
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let mut asking = candidates(&pool, &headers, &uri);
    fail(&mut asking, 0).await;
    answer(&mut Witness::of(&pool, &pool.members()[0]));
    fail(&mut asking, 1).await;
    fail(&mut asking, 2).await;
}

/// As many of the better ones may be dead as there are attempts, and not ejected yet. But where one of those works, it is
/// tried: a spare one may be dead as well.
#[tokio::test(start_paused = true)]
async fn the_last_attempt_is_made_at_a_spare_backend_where_no_better_one_is_sound() {
    let mut config = config();
    config.backends = [0, 1, 2, 3].map(backend).to_vec();
    config.backends[3].priority = 1;
    let pool = Arc::new(build(&config, &Metrics::new(), None));
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let mut asking = candidates(&pool, &headers, &uri);
    for expected in [0, 1, 2] {
        fail(&mut asking, expected).await;
    }
    // It begins behind those.
    let mut asking = candidates(&pool, &headers, &uri);
    for expected in [2, 1, 3] {
        fail(&mut asking, expected).await;
    }
}

/// Six backends, the first three of which are ejected; the others fail too, but no more may be ejected.
fn failing(port: u16) -> Arc<Pool> {
    let mut config = config();
    config.backends = [0, 1, 2, 3, 4, 5].map(backend).to_vec();
    for (number, backend) in (1..).zip(&mut config.backends) {
        backend.address = SocketAddr::from(([127, 0, 0, number], port)).into();
    }
    let pool = Arc::new(build(&config, &Metrics::new(), None));
    for dead in [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5] {
        refuse(&mut Witness::of(&pool, &pool.members()[dead]));
    }
    assert_eq!(admitted(&pool), 0);
    pool
}

/// How many of the ejected ones may be tried.
fn admitted(pool: &Pool) -> usize {
    let ejected = pool.members()[..3].iter();
    ejected.filter(|it| it.is_ready()).count()
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_has_an_ejected_backend_tried() {
    let pool = failing(9);
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let mut asking = candidates(&pool, &headers, &uri);
    while let Ok(candidate) = asking.next().await {
        let member = candidate.member().clone();
        asking.failed(&member, &Failure::Refused);
    }
    assert_eq!(admitted(&pool), 1, "and only one");
    pool.reconsider_ejections();
    assert_eq!(admitted(&pool), 1, "a second has to pass");
    advance(Duration::from_secs(1)).await;
    pool.reconsider_ejections();
    assert_eq!(admitted(&pool), 2);
}

/// It would have been refused by those that are left, too.
#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_during_an_attempt_has_an_ejected_backend_tried() {
    let pool = failing(9);
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let candidate = candidates(&pool, &headers, &uri).next().await;
    drop(candidate.expect("one that is ready"));
    assert_eq!(admitted(&pool), 1);
}

#[tokio::test]
async fn a_request_that_may_not_be_repeated_has_an_ejected_backend_tried() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let pool = failing(listener.local_addr().unwrap().port());
    let accepting = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // So that it is closed behind the request, and not reset before it.
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let headers = HeaderMap::new();
    let uri: Uri = "/".parse().unwrap();
    let timeouts = ErrandTimeouts {
        connect: CALM,
        answer: CALM,
        least: 0,
    };
    let mut errand = Errand::new(Method::POST, uri.clone(), &HeaderMap::new, None);
    let hints = Hints::new(None, &headers, &uri);
    let refused = pool
        .forward(&mut errand, hints, timeouts, |_| {})
        .await
        .err();
    assert_eq!(refused, Some(Rejection::BackendFailed("answer_failed")));
    assert_eq!(admitted(&pool), 1);
    accepting.abort();
}

/// A session that tries an ejected backend out of the queue came before those behind it all the same.
#[tokio::test(start_paused = true)]
async fn who_was_served_in_vain_has_its_place_back() {
    let (pool, trial) = narrow();
    let place = pool.members()[0].lease(Purpose::Session);
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let mut first = candidates(&pool, &headers, &uri);
    let mut candidate = {
        let mut waiting = pin!(first.next());
        assert!(is_waiting(waiting.as_mut()).await);
        crowd(&pool, 2, &Arc::default()).await;
        drop(trial);
        advance(Duration::from_secs(3)).await;
        pool.pass_time(Instant::now());
        waiting.await.expect("the ejected one")
    };
    assert_eq!((number(candidate.member()), pool.queue().len()), (1, 2));
    refuse(&mut candidate.witness);
    first.failed(candidate.member(), &Failure::Refused);
    drop(candidate);
    let mut waiting = pin!(first.next());
    assert!(is_waiting(waiting.as_mut()).await);
    drop(place);
    assert_eq!(number(waiting.await.expect("its turn").member()), 0);
}

/// As fresh ones of the same key will be.
#[tokio::test(start_paused = true)]
async fn who_waits_over_a_reload_is_hashed_by_the_new_key() {
    let mut config = config();
    for backend in &mut config.backends {
        backend.max_sessions = NonZeroUsize::new(1);
    }
    let pool = Arc::new(build(&config, &Metrics::new(), None));
    let full: Vec<_> = pool
        .members()
        .iter()
        .map(|it| it.lease(Purpose::Session))
        .collect();
    let headers = HeaderMap::new();
    let rooms: Vec<Uri> = (0..20)
        .map(|room| format!("/?room={room}").parse().expect("a target"))
        .collect();
    let mut asking: Vec<_> = rooms
        .iter()
        .map(|room| candidates(&pool, &headers, room))
        .collect();
    let mut waiting: Vec<_> = asking.iter_mut().map(|it| Box::pin(it.next())).collect();
    for next in &mut waiting {
        assert!(is_waiting(next.as_mut()).await);
    }
    config.strategy = Strategy::Hash(HashKey::Query("room".to_owned()));
    config.backends = [0, 1, 2].map(backend).to_vec();
    let next = Arc::new(build(&config, &Metrics::new(), Some(&pool)));
    pool.hand_over(&next);
    let mut served = Vec::new();
    for next in waiting {
        let candidate = next.await.expect("a place");
        served.push(number(candidate.member()));
    }
    let mut fresh = Vec::new();
    for room in &rooms {
        let candidate = candidates(&next, &headers, room).next().await;
        fresh.push(number(candidate.expect("a place").member()));
    }
    assert_eq!(served, fresh);
    drop(full);
}

/// The next attempt is made by what holds then.
#[tokio::test(start_paused = true)]
async fn who_goes_on_after_a_reload_goes_by_it() {
    let mut config = config();
    config.queue.max = 0;
    config.backends.truncate(2);
    let pool = Arc::new(build(&config, &Metrics::new(), None));
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let mut asking = candidates(&pool, &headers, &uri);
    let candidate = asking.next().await.expect("the first one");
    let _other = pool.members()[1].lease(Purpose::Session).expect("a place");
    config.backends[1].max_sessions = NonZeroUsize::new(1);
    config.backends.push(backend(2));
    let next = Arc::new(build(&config, &Metrics::new(), Some(&pool)));
    pool.hand_over(&next);
    asking.failed(candidate.member(), &Failure::Refused);
    drop(candidate);
    let candidate = asking.next().await.expect("the new one");
    assert_eq!(number(candidate.member()), 2);
}
