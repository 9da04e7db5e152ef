//! Looking up names. The system does it on a thread that waits, and cannot be told to stop.
//!
//! Who comes while a name is being looked up takes the answer to that. It was asked for a little earlier, but the answers of
//! resolvers are older than that anyway, and the next one would be there later. No answer is kept. Name servers turn the addresses
//! round from answer to answer, so that not all go to the first: those who share one turn it for themselves.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::handshake::Failure;

/// When a look-up is slow, so that another one begins beside it: where a datagram was lost the system asks again after five
/// seconds, and all who came meanwhile would wait for that. The first of their answers counts. Each has twice as long as the
/// one before, so that they do not all fall into the second in which a name server restarts.
const SLOW: Duration = Duration::from_millis(250);
/// The most look-ups of a name at once: the last begins 3.75 seconds after the first.
const OF_A_NAME: usize = 5;
/// The most of a pool, each of which holds a thread and a descriptor: there may be many names, and the resolver hang.
const LOOKUPS: usize = 25 * OF_A_NAME;
/// How long a thread waits for another look-up before it ends: to start one takes longer than most of them.
const REST: Duration = Duration::from_secs(10);

/// A look-up as a thread makes it.
type Call = Box<dyn FnOnce() + Send>;

/// What looking up came to, for all who wait for it.
type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;

/// The look-ups of a pool.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    /// As many as the pool's backends have had.
    names: Arc<Mutex<Names>>,
    threads: Arc<Threads>,
}

type Names = HashMap<Arc<str>, Lookup>;

/// The look-ups of one name.
#[derive(Debug)]
struct Lookup {
    under_way: usize,
    /// How many of them began since there was an answer: those before hang, and answer nobody.
    unanswered: usize,
    /// When the last one began.
    begun: Instant,
    /// What they come to; what it was before they began nobody hears.
    found: watch::Sender<Found>,
}

impl Lookups {
    /// The addresses of `name`, in the resolver's order, or turned round where it was asked for another; the caller sets the
    /// deadline.
    ///
    /// # Errors
    /// When the name has none, nobody says, or the system gives no thread.
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
                turn_round(&mut found, fastrand::usize(..));
            }
            return Ok(found);
        }
    }

    /// What the next look-up to end comes to. One begins where none is awaited or all are slow, and one more may be; whether it has.
    fn join(
        &self,
        name: &Arc<str>,
        look_up: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> Result<(watch::Receiver<Found>, bool), Failure> {
        let mut names = lock(&self.names);
        let all: usize = names.values().map(|lookup| lookup.under_way).sum();
        let new = || Lookup {
            under_way: 0,
            unanswered: 0,
            begun: Instant::now(),
            found: watch::Sender::new(Ok(Vec::new())),
        };
        let lookup = names.entry(Arc::clone(name)).or_insert_with(new);
        let found = lookup.found.subscribe();
        let is_slow = |others: usize| lookup.begun.elapsed() >= SLOW * (1 << others);
        let is_wanted = lookup.unanswered.checked_sub(1).is_none_or(is_slow);
        if !is_wanted || lookup.under_way >= OF_A_NAME || all >= LOOKUPS {
            return Ok((found, false));
        }
        let (names, name) = (Arc::clone(&self.names), Arc::clone(name));
        let call = move || {
            let found = look_up(&name).map_err(Arc::new);
            if let Some(lookup) = lock(&names).get_mut(&name) {
                lookup.under_way -= 1;
                lookup.unanswered = 0;
                // Who waited may have given up.
                let _ = lookup.found.send(found);
            }
        };
        match self.threads.begin(Box::new(call)) {
            Ok(()) => {
                lookup.under_way += 1;
                lookup.unanswered += 1;
                lookup.begun = Instant::now();
                Ok((found, true))
            }
            Err(_) if lookup.under_way == 0 => Err(Failure::NoThread),
            Err(_) => Ok((found, false)),
        }
    }
}

fn failure(error: Arc<io::Error>) -> Failure {
    match Failure::is_want_of_descriptors(&error) {
        true => Failure::NoDescriptor,
        false => Failure::Unresolved(error),
    }
}

/// Turns the addresses of each family round, by so many places; where which family stands is the system's preference.
fn turn_round(found: &mut [SocketAddr], by: usize) {
    for is_ipv4 in [true, false] {
        let of_family = found.iter().filter(|it| it.is_ipv4() == is_ipv4);
        let mut turned: Vec<SocketAddr> = of_family.copied().collect();
        let count = turned.len().max(1);
        turned.rotate_left(by % count);
        let places = found.iter_mut().filter(|it| it.is_ipv4() == is_ipv4);
        places
            .zip(turned)
            .for_each(|(place, address)| *place = address);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looking takes descriptors: where there are none the system says so, or that nobody knows the name, as it could not open the
/// file of names.
fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    let found = (name, 0).to_socket_addrs();
    found.map(Iterator::collect).map_err(|error| {
        let one_more = File::open("/dev/null").err();
        let is_wanting = one_more.filter(Failure::is_want_of_descriptors);
        is_wanting.unwrap_or(error)
    })
}

/// The threads of a pool that look up names, or rest. Not those of `spawn_blocking`: where no thread can be started that
/// panics, and keeps the call.
#[derive(Debug, Default)]
struct Threads {
    work: Mutex<Work>,
    has_come: Condvar,
}

#[derive(Default)]
struct Work {
    /// No more than there are threads that rest.
    calls: VecDeque<Call>,
    resting: usize,
}

impl fmt::Debug for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} calls, {} resting",
            self.calls.len(),
            self.resting
        )
    }
}

impl Threads {
    /// Has a thread make `call`: one that rests, or a new one.
    fn begin(self: &Arc<Self>, call: Call) -> io::Result<()> {
        let mut work = lock(&self.work);
        if work.calls.len() < work.resting {
            work.calls.push_back(call);
            self.has_come.notify_one();
            return Ok(());
        }
        let threads = Arc::clone(self);
        let thread = thread::Builder::new().name("lookup".to_owned());
        thread.spawn(move || threads.serve(call)).map(drop)
    }

    /// Makes `call`, and those that come while this thread rests.
    fn serve(&self, call: Call) {
        let mut next = Some(call);
        while let Some(call) = next {
            call();
            let mut work = lock(&self.work);
            work.resting += 1;
            let is_idle = |work: &mut Work| work.calls.is_empty();
            let rested = self.has_come.wait_timeout_while(work, REST, is_idle);
            (work, _) = rested.unwrap_or_else(PoisonError::into_inner);
            work.resting -= 1;
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

    /// Else a herd would go to one address.
    #[test]
    fn turns_the_addresses_of_each_family_round() {
        let addresses = |texts: [&str; 5]| texts.map(|text| text.parse().unwrap());
        let six = ["[::1]:1", "[::2]:1", "[::3]:1"];
        let mut found: [SocketAddr; 5] =
            addresses([six[0], "10.0.0.1:1", six[1], six[2], "10.0.0.2:1"]);
        turn_round(&mut found, 4);
        let turned = addresses([six[1], "10.0.0.1:1", six[2], six[0], "10.0.0.2:1"]);
        assert_eq!(found, turned);
        turn_round(&mut [], 3);
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

    /// As many look-ups of this name as may be, which end when what this gives is dropped.
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
        // One who leaves takes nothing along.
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
        for _ in 0..3 {
            lookups.join(&"name".into(), look_up.clone()).unwrap();
            tokio::time::advance(SLOW).await;
        }
        tokio::time::advance(SLOW * 4).await;
        tokio::time::resume();
        lookups.share("name", nothing).await.unwrap();
        lookups.join(&"name".into(), look_up).unwrap();
        assert_eq!(lock(&lookups.names)["name"].under_way, 3);
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
        // It waits a moment after it has answered.
        while lock(&lookups.threads.work).resting == 0 {
            tokio::task::yield_now().await;
        }
        lookups.share("another", note).await.unwrap();
        assert_eq!(threads.recv(), threads.recv());
    }
}
