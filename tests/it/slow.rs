//! Backends that are slow to answer opening handshakes, but answer: what a herd of clients makes of sound ones.

use std::time::Duration;

use tokio::time::sleep;

use crate::harness::{Gateway, Head, Opening, Wire};
use crate::venue::{Arrivals, agree};

/// Two backends; `slow` has been asked by two clients and has answered the first, later than the second asked.
struct Slow {
    gateway: Gateway,
    /// The client that waits, and its connection to the backend.
    client: Wire,
    asked: (Head, Wire),
    slow: Arrivals,
    sound: Arrivals,
    sessions: Vec<Wire>,
}

impl Slow {
    async fn start(handshake: &str, pool_keys: &str) -> Self {
        let (slow, sound) = (Arrivals::listen().await, Arrivals::listen().await);
        let gateway = Gateway::start(&format!(
            "routes: {{ chat: {{ origins: any, timeouts: {{ handshake: {handshake} }}, pool: chat }} }}\n\
             pools: {{ chat: {{ {pool_keys} backends: [{{ name: slow, url: \"{}\" }}, \"{}\"] }} }}\n",
            slow.url(),
            sound.url()
        ))
        .await;
        let mut first = asking(&gateway).await;
        let (head, mut backend) = slow.met().await;
        let mut second = asking(&gateway).await;
        let other = sound.agreed().await;
        assert_eq!(second.head().await.status(), 101);
        let client = asking(&gateway).await;
        let asked = slow.met().await;
        agree(&head, &mut backend).await;
        assert_eq!(first.head().await.status(), 101);
        Self {
            client,
            asked,
            slow,
            sound,
            sessions: vec![first, second, backend, other],
            gateway,
        }
    }

    /// So many come to each of the two, and are answered.
    async fn answer_later_ones(&mut self, count: usize) {
        for _ in 0..count {
            for backend in [&self.sound, &self.slow] {
                self.sessions.push(asking(&self.gateway).await);
                self.sessions.push(backend.agreed().await);
            }
        }
    }
}

async fn asking(gateway: &Gateway) -> Wire {
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(Opening::to("/").text()).await;
    wire
}

/// The next backend has the same herd, and would do the same work once more.
#[tokio::test]
async fn one_that_answers_others_is_waited_for() {
    let mut slow = Slow::start("6s", "").await;
    // More than its share of the time.
    sleep(Duration::from_millis(3500)).await;
    let (head, backend) = &mut slow.asked;
    agree(head, backend).await;
    assert_eq!(slow.client.head().await.status(), 101);
    let retries = slow
        .gateway
        .count("wsgate_backend_retries_total", &[("pool", "chat")]);
    assert_eq!(retries, 0.0);
}

/// Also if they overtake it when it has had its share of the time.
#[tokio::test]
async fn one_that_answers_all_later_ones_is_not_waited_for() {
    let mut slow = Slow::start("12s", "").await;
    sleep(Duration::from_millis(6500)).await;
    slow.answer_later_ones(9).await;
    let _other = slow.sound.agreed().await;
    assert_eq!(slow.client.head().await.status(), 101);
}

#[tokio::test]
async fn one_that_answers_others_is_not_blamed() {
    let health = "health: { passive: { failures: 1, max_ejected: 100% } },";
    let expect = async |later, status| {
        // Within half of this time all the others have to be answered.
        let mut slow = Slow::start("6s", health).await;
        slow.answer_later_ones(later).await;
        // Whoever is sent on is refused there.
        slow.sound = Arrivals::listen().await;
        assert_eq!(slow.client.head().await.status(), status);
        let labels = [("pool", "chat"), ("backend", "slow")];
        let up = slow.gateway.count("wsgate_backend_up", &labels);
        assert_eq!(up, 1.0, "{later}");
    };
    // One whom all later ones overtake is not waited for; the others show all the same that it is there.
    tokio::join!(expect(0, 504), expect(12, 502));
}
