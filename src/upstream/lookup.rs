//! Looking up the names of backends with the system's resolver, which blocks a thread and cannot be cancelled.
//!
//! A caller that comes while its name is being looked up shares that answer; no answer is cached. Name servers rotate the
//! addresses from answer to answer, so that not all clients go to the first: callers that share an answer rotate it themselves.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::failure::Failure;
use crate::mutex::lock;

/// After this time a look-up is slow, and a second one begins beside it; the first answer counts. If a datagram is lost, the
/// system asks again only after five seconds. Each further look-up waits twice as long, so that not all of them fall into the
/// second in which a name server restarts.
const SLOW: Duration = Duration::from_millis(250);
/// The most concurrent look-ups of a name since its last answer: the last begins 3.75 seconds after the first.
const OF_A_NAME: usize = 5;
/// The same with those that hang since before that answer. Each lost datagram leaves one behind, although the others are
/// answered.
const OF_A_NAME_IN_ALL: usize = 5 * OF_A_NAME;
/// The most concurrent look-ups of a pool. Each holds a thread and a descriptor, and a resolver may hang for many names.
const LOOKUPS: usize = 25 * OF_A_NAME;
/// How long an idle thread waits for another look-up before it ends. Starting a thread takes longer than most look-ups.
const REST: Duration = Duration::from_secs(10);

/// A look-up as a thread runs it.
type Call = Box<dyn FnOnce() + Send>;

/// The result of a look-up, for all callers that wait for it.
type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;

/// The look-ups of a pool.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    /// Those with a look-up under way, or that waited in vain for one: a pool may have ever new names over the years.
    names: Arc<Mutex<Names>>,
    threads: Arc<Threads>,
}

type Names = HashMap<Arc<str>, Lookup>;

/// The look-ups of one name.
#[derive(Debug)]
struct Lookup {
    under_way: usize,
    /// How many of those began after the last answer. The others hang, and nobody waits for them.
    unanswered: usize,
    answers: u64,
    /// When the last one began.
    begun: Instant,
    /// Sends each answer to the callers that subscribed before it.
    found: watch::Sender<Found>,
}

impl Lookup {
    fn new() -> Self {
        Self {
            under_way: 0,
            unanswered: 0,
            answers: 0,
            begun: Instant::now(),
            found: watch::Sender::new(Ok(Vec::new())),
        }
    }

    /// Whether none is awaited, or all are slow.
    fn needs_another(&self) -> bool {
        let is_slow = |others: usize| self.begun.elapsed() >= SLOW * (1 << others);
        self.unanswered.checked_sub(1).is_none_or(is_slow)
    }

    /// Whether there are as many as may be.
    fn is_full(&self) -> bool {
        self.unanswered >= OF_A_NAME || self.under_way >= OF_A_NAME_IN_ALL
    }

    /// A look-up has ended that began when there had been `answers` answers. If a later one is under way, a failure is left to
    /// that one.
    fn end(&mut self, answers: u64, found: Found) {
        self.under_way -= 1;
        let is_late = answers != self.answers;
        if is_late && found.is_err() && self.unanswered > 0 {
            return;
        }
        self.answers += 1;
        self.unanswered = 0;
        // Nobody may be waiting any more.
        let _ = self.found.send(found);
    }
}

impl Lookups {
    /// The addresses of `name` in the resolver's order, or rotated where another caller began the look-up. The caller sets
    /// the deadline.
    ///
    /// # Errors
    /// If the look-up fails, or no thread can be started for it.
    pub(super) async fn find(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let mut found = self.share(name, look_up).await?;
        for address in &mut found {
            address.set_port(port);
        }
        Ok(found)
    }

    async fn share(
        &self,
        name: &str,
        look_up: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Clone + Send + 'static,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let name = Arc::from(name);
        let mut is_shared = true;
        loop {
            let (mut found, has_begun) = self.join(&name, look_up.clone())?;
            is_shared &= !has_begun;
            let Ok(Ok(())) = timeout(SLOW, found.changed()).await else {
                continue;
            };
            let mut found = found.borrow().clone().map_err(failure)?;
            if is_shared {
                rotate(&mut found, fastrand::usize(..));
            }
            return Ok(found);
        }
    }

    /// Subscribes to the next answer. Begins a look-up if one is needed and the limits allow it; whether it has.
    pub(super) fn join(
        &self,
        name: &Arc<str>,
        look_up: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> Result<(watch::Receiver<Found>, bool), Failure> {
        let mut names = lock(&self.names);
        let all: usize = names.values().map(|lookup| lookup.under_way).sum();
        let lookup = names.entry(Arc::clone(name)).or_insert_with(Lookup::new);
        let found = lookup.found.subscribe();
        if !lookup.needs_another() || lookup.is_full() || all >= LOOKUPS {
            return Ok((found, false));
        }
        let (shared, own) = (Arc::clone(&self.names), Arc::clone(name));
        let answers = lookup.answers;
        let call = move || {
            let found = look_up(&own).map_err(Arc::new);
            end(&mut lock(&shared), &own, answers, found);
        };
        match self.threads.begin(Box::new(call)) {
            Ok(()) => {
                lookup.under_way += 1;
                lookup.unanswered += 1;
                lookup.begun = Instant::now();
                Ok((found, true))
            }
            Err(_) if lookup.under_way == 0 => {
                names.remove(name);
                Err(Failure::NoThread)
            }
            Err(_) => Ok((found, false)),
        }
    }
}

/// A look-up of `name` has ended that began when there had been `answers` answers; when the last one ends, the name is
/// removed.
fn end(names: &mut Names, name: &str, answers: u64, found: Found) {
    let Some(lookup) = names.get_mut(name) else {
        return;
    };
    lookup.end(answers, found);
    if lookup.under_way == 0 {
        names.remove(name);
    }
}

fn failure(error: Arc<io::Error>) -> Failure {
    match Failure::is_want_of_descriptors(&error) {
        true => Failure::NoDescriptor,
        false => Failure::Unresolved(error),
    }
}

/// Rotates the addresses of each family by `by` places. Which places belong to which family stays as it is: that order is the
/// system's preference.
fn rotate(found: &mut [SocketAddr], by: usize) {
    for is_ipv4 in [true, false] {
        let of_family = found.iter().filter(|it| it.is_ipv4() == is_ipv4);
        let mut rotated: Vec<SocketAddr> = of_family.copied().collect();
        let count = rotated.len().max(1);
        rotated.rotate_left(by % count);
        let places = found.iter_mut().filter(|it| it.is_ipv4() == is_ipv4);
        places
            .zip(rotated)
            .for_each(|(place, address)| *place = address);
    }
}

/// Asks the system. If no descriptor is left it cannot read /etc/hosts and may say that the name is unknown; opening a file
/// tells the two apart.
fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    let found = (name, 0).to_socket_addrs();
    found.map(Iterator::collect).map_err(|error| {
        let one_more = File::open("/dev/null").err();
        let is_wanting = one_more.filter(Failure::is_want_of_descriptors);
        is_wanting.unwrap_or(error)
    })
}

/// The threads of a pool that look up names, or are idle. `spawn_blocking` is not used because it panics where no thread can
/// be started.
#[derive(Debug, Default)]
struct Threads {
    work: Mutex<Work>,
    has_come: Condvar,
}

#[derive(Default)]
struct Work {
    /// Never more than there are idle threads.
    calls: VecDeque<Call>,
    idle: usize,
}

impl fmt::Debug for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} calls, {} idle", self.calls.len(), self.idle)
    }
}

impl Threads {
    /// Has an idle thread run `call`, or a new one.
    fn begin(self: &Arc<Self>, call: Call) -> io::Result<()> {
        let mut work = lock(&self.work);
        if work.calls.len() < work.idle {
            work.calls.push_back(call);
            self.has_come.notify_one();
            return Ok(());
        }
        let threads = Arc::clone(self);
        let thread = thread::Builder::new().name("lookup".to_owned());
        thread.spawn(move || threads.serve(call)).map(drop)
    }

    /// Runs `call`, and those that come while this thread is idle.
    fn serve(&self, call: Call) {
        let mut next = Some(call);
        while let Some(call) = next {
            call();
            let mut work = lock(&self.work);
            work.idle += 1;
            let is_empty = |work: &mut Work| work.calls.is_empty();
            let waited = self.has_come.wait_timeout_while(work, REST, is_empty);
            (work, _) = waited.unwrap_or_else(PoisonError::into_inner);
            work.idle -= 1;
            next = work.calls.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Sender};

    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn finds_the_addresses_of_a_name() {
        let found = Lookups::default().find("localhost", 80).await.unwrap();
        assert!(!found.is_empty());
        assert!(found.iter().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn a_name_is_forgotten_with_its_answer() {
        let lookups = Lookups::default();
        lookups.share("name", nothing).await.unwrap();
        assert!(lock(&lookups.names).is_empty());
    }

    /// Otherwise a herd would go to one address.
    #[test]
    fn rotates_the_addresses_of_each_family() {
        let addresses = |texts: [&str; 5]| texts.map(|text| text.parse().unwrap());
        let six = ["[::1]:1", "[::2]:1", "[::3]:1"];
        let mut found: [SocketAddr; 5] =
            addresses([six[0], "10.0.0.1:1", six[1], six[2], "10.0.0.2:1"]);
        rotate(&mut found, 4);
        let rotated = addresses([six[1], "10.0.0.1:1", six[2], six[0], "10.0.0.2:1"]);
        assert_eq!(found, rotated);
        rotate(&mut [], 3);
    }

    type Answer = io::Result<Vec<SocketAddr>>;

    fn nothing(_: &str) -> Answer {
        Ok(Vec::new())
    }

    /// A look-up that ends with what is sent, or when the sender is dropped.
    fn hanging() -> (
        Sender<Answer>,
        impl FnOnce(&str) -> Answer + Clone + Send + 'static,
    ) {
        let (sender, answers) = mpsc::channel();
        let answers = Arc::new(Mutex::new(answers));
        let look_up = move |name: &str| {
            let answer = answers.lock().unwrap().recv();
            answer.unwrap_or_else(|_| nothing(name))
        };
        (sender, look_up)
    }

    /// As many look-ups of this name as the limit allows; they end when the sender is dropped.
    async fn hang(lookups: &Lookups, name: &str) -> Sender<Answer> {
        let (sender, look_up) = hanging();
        for _ in 0..=OF_A_NAME {
            lookups.join(&name.into(), look_up.clone()).unwrap();
            tokio::time::advance(SLOW * (1 << OF_A_NAME)).await;
        }
        assert_eq!(lock(&lookups.names)[name].under_way, OF_A_NAME);
        sender
    }

    #[tokio::test]
    async fn all_who_come_meanwhile_share_an_answer() {
        let lookups = Lookups::default();
        let (sender, look_up) = hanging();
        let ask = || Box::pin(lookups.share("name", look_up.clone()));
        let mut asking: Vec<_> = (0..100).map(|_| ask()).collect();
        for asked in &mut asking {
            assert!(timeout(Duration::ZERO, asked).await.is_err());
        }
        // One that leaves does not stop it.
        drop(asking.remove(0));
        sender.send(Err(io::ErrorKind::NotFound.into())).unwrap();
        for asked in asking {
            let found = asked.await;
            assert!(matches!(found, Err(Failure::Unresolved(_))), "{found:?}");
        }
        let later = timeout(Duration::ZERO, ask()).await;
        assert!(later.is_err(), "the answer was kept");
    }

    #[tokio::test]
    async fn another_one_begins_beside_one_that_is_slow() {
        let lookups = Lookups::default();
        let (_sender, look_up) = hanging();
        lookups.join(&"name".into(), look_up).unwrap();
        let found = timeout(PATIENCE, lookups.share("name", nothing)).await;
        found.expect("all wait for the first one").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn each_has_twice_as_long_as_the_one_before() {
        let lookups = Lookups::default();
        let (_sender, look_up) = hanging();
        for expected in [1, 2, 2, 3, 3, 3, 3, 4] {
            lookups.join(&"name".into(), look_up.clone()).unwrap();
            assert_eq!(lock(&lookups.names)["name"].under_way, expected);
            tokio::time::advance(SLOW).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_hang_hold_up_nobody_once_there_was_an_answer() {
        let lookups = Lookups::default();
        let (_sender, look_up) = hanging();
        for under_way in 1..=OF_A_NAME + 1 {
            lookups.join(&"name".into(), look_up.clone()).unwrap();
            tokio::time::advance(SLOW).await;
            tokio::time::resume();
            let found = timeout(PATIENCE, lookups.share("name", nothing)).await;
            found.expect("it waits for those that hang").unwrap();
            tokio::time::pause();
            assert_eq!(lock(&lookups.names)["name"].under_way, under_way);
        }
    }

    /// The name server may have come back meanwhile and answer the new one.
    #[tokio::test]
    async fn a_late_failure_is_not_told_to_those_who_wait_for_a_new_look_up() {
        let lookups = Lookups::default();
        let (old, hangs) = hanging();
        lookups.join(&"name".into(), hangs).unwrap();
        tokio::time::sleep(SLOW).await;
        lookups.share("name", nothing).await.unwrap();
        let (new, look_up) = hanging();
        let mut asking = Box::pin(lookups.share("name", look_up));
        assert!(timeout(Duration::ZERO, &mut asking).await.is_err());
        old.send(Err(io::ErrorKind::TimedOut.into())).unwrap();
        while lock(&lookups.names)["name"].under_way > 1 {
            tokio::task::yield_now().await;
        }
        new.send(Ok(Vec::new())).unwrap();
        asking.await.expect("the answer to the new one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_hangs_holds_up_no_other() {
        let lookups = Lookups::default();
        let _hanging = hang(&lookups, "slow").await;
        lookups.share("fast", nothing).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_hang_together_have_a_bound() {
        let lookups = Lookups::default();
        let mut hanging = Vec::new();
        for number in 0..LOOKUPS / OF_A_NAME {
            hanging.push(hang(&lookups, &number.to_string()).await);
        }
        lookups.join(&"another".into(), nothing).unwrap();
        assert_eq!(lock(&lookups.names)["another"].under_way, 0);
        hanging.pop();
        lookups.share("another", nothing).await.unwrap();
    }

    #[tokio::test]
    async fn a_thread_serves_the_next_one_too() {
        let lookups = Lookups::default();
        let (sender, threads) = mpsc::channel();
        let note = move |name: &str| {
            sender.send(thread::current().id()).unwrap();
            nothing(name)
        };
        lookups.share("one", note.clone()).await.unwrap();
        // The thread is idle only a moment after it has answered.
        while lock(&lookups.threads.work).idle == 0 {
            tokio::task::yield_now().await;
        }
        lookups.share("another", note).await.unwrap();
        assert_eq!(threads.recv(), threads.recv());
    }
}
