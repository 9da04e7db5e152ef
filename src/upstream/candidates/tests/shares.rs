//! How many candidates there are, and how much of the time each may use.

use super::*;

/// The time for the first candidate of a session that comes now.
async fn share(pool: &Arc<Pool>) -> Duration {
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let candidate = candidates(pool, &headers, &uri).next().await;
    candidate.expect("a place").deadline - Instant::now()
}

fn made(config: &config::Pool) -> Arc<Pool> {
    Arc::new(build(config, &Metrics::new(), None))
}

/// Backends that cannot be had take no time from those that can: in a maintenance the one that is left carries everything.
#[tokio::test(start_paused = true)]
async fn the_time_is_for_those_that_can_be_had() {
    let mut config = config();
    config.queue.max = 0;
    let pool = made(&config);
    assert_eq!(share(&pool).await, CALM / 3);
    let _drain = pool.drain(&pool.members()[1]);
    assert_eq!(share(&pool).await, CALM / 2);
    let _drain = pool.drain(&pool.members()[0]);
    assert_eq!(share(&pool).await, CALM);
}

/// As its own place shows.
#[tokio::test(start_paused = true)]
async fn the_time_is_for_full_ones_only_where_they_are_waited_for() {
    let mut config = config();
    config.backends.truncate(2);
    for backend in &mut config.backends {
        backend.max_sessions = NonZeroUsize::new(1);
    }
    for (queue, parts) in [(1, 2), (0, 1)] {
        config.queue.max = queue;
        let pool = made(&config);
        let _full = pool.members()[0].lease(Purpose::Session).expect("a place");
        assert_eq!(share(&pool).await, CALM / parts, "a queue of {queue}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_is_also_for_ejected_ones() {
    let mut config = config();
    config.queue.max = 0;
    let pool = made(&config);
    for _ in 0..2 {
        refuse(&mut Witness::of(&pool, &pool.members()[1]));
    }
    assert_eq!(pool.members()[1].backend().state(), State::Ejected);
    assert_eq!(share(&pool).await, CALM / 3);
}

/// The old pod dies while the new one is there already.
#[tokio::test(start_paused = true)]
async fn who_fails_at_one_that_is_replaced_goes_on_to_its_successor() {
    let mut config = config();
    config.queue.max = 0;
    config.backends.truncate(1);
    let pool = made(&config);
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let mut asking = candidates(&pool, &headers, &uri);
    let candidate = asking.next().await.expect("the old one");
    config.backends = vec![backend(1)];
    let next = Arc::new(build(&config, &Metrics::new(), Some(&pool)));
    pool.hand_over(&next);
    asking.failed(candidate.member(), &Failure::Refused);
    drop(candidate);
    let candidate = asking.next().await.expect("the new one");
    assert_eq!(number(candidate.member()), 1);
    assert_eq!(candidate.deadline - Instant::now(), CALM);
}
