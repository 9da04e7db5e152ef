//! What is sound and may surprise is said when it comes into force.

use rustix::process::Signal;

use crate::harness::eventually;
use crate::process::Process;

const NO_SECRET: &str = "pools.chat.sticky: there is no `secret`";

fn yaml(sticky: &str) -> String {
    format!(
        "routes: {{ chat: {{ origins: any, pool: chat }} }}\n\
         pools: {{ chat: {{ sticky: {sticky}, backends: [\"ws://127.0.0.1:1\"] }} }}\n"
    )
}

#[tokio::test]
async fn a_sticky_pool_without_a_secret_is_told_at_start_and_at_reload() {
    let process = Process::start(&yaml("{}")).await;
    let told = || process.log().matches(NO_SECRET).count();
    eventually("it is told at the start", || told() == 1).await;
    process.rewrite(&yaml("{ ttl: 1h }"));
    process.signal(Signal::HUP);
    eventually("it is told again", || told() == 2).await;
    process.rewrite(&yaml("{ secret: 0123456789abcdef0123456789abcdef }"));
    process.signal(Signal::HUP);
    let reloads = || process.log().matches("configuration reloaded").count();
    eventually("the secret is taken", || reloads() == 2).await;
    assert_eq!(told(), 2);
}
