//! Signals and exit codes of the program.

use std::time::Duration;

use rustix::process::Signal;
use tokio::net::{UnixDatagram, UnixStream};
use tokio::time::sleep;

use crate::harness::{Speaker, Wire, directory, eventually, repeatedly, soon};
use crate::process::Process;
use crate::venue::{Arrivals, open};

const ROUTE: &str = "routes: { fixed: { respond: { status: 200, body: before } } }\n";

async fn session(process: &Process, arrivals: &Arrivals) -> (Wire<UnixStream>, Wire) {
    open(process.connect().await, arrivals).await
}

#[tokio::test]
async fn sigterm_drains() {
    drains(Signal::TERM).await;
}

#[tokio::test]
async fn sigint_drains() {
    drains(Signal::INT).await;
}

/// It is how nginx is told to stop in order.
#[tokio::test]
async fn sigquit_drains() {
    drains(Signal::QUIT).await;
}

/// After SIGCONT timers fire before the bytes are seen that came meanwhile.
#[tokio::test]
async fn what_came_during_a_pause_is_read_before_deadlines_count() {
    let timeouts = "{ request_header: 2s, keep_alive: 2s }";
    let listener = format!("  tcp: {{ address: \"127.0.0.1:0\", timeouts: {timeouts} }}\n");
    let process = Process::start(&format!("{listener}{ROUTE}")).await;
    let request = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    let address = process.tcp_address().await;
    let (mut half, mut idle) = (Wire::connect(address).await, Wire::connect(address).await);
    idle.send(request).await;
    assert_eq!(idle.answer().await.status(), 200);
    half.send(&request[..20]).await;
    // It is to have nothing else to do when it goes on.
    sleep(Duration::from_millis(200)).await;
    process.signal(Signal::STOP);
    half.send(&request[20..]).await;
    idle.send(request).await;
    sleep(Duration::from_secs(3)).await;
    process.signal(Signal::CONT);
    assert_eq!(half.answer().await.status(), 200);
    assert_eq!(idle.answer().await.status(), 200);
}

#[tokio::test]
async fn a_signal_of_other_proxies_is_told_and_does_nothing() {
    let mut process = Process::start(ROUTE).await;
    for (signal, name) in [(Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")] {
        process.signal(signal);
        let told = format!("{name} has no meaning here");
        eventually("it is told", || process.log().contains(&told)).await;
    }
    assert_eq!(process.ask().await.body, "before");
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, 0);
}

#[tokio::test]
async fn a_signal_that_the_parent_had_blocked_is_heard() {
    let mut process = Process::start_with_signals_blocked(ROUTE).await;
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, 0);
}

#[tokio::test]
async fn a_supervisor_is_told_when_it_is_ready_and_how_long_it_stops() {
    let directory = directory();
    let socket = directory.path().join("supervisor");
    let supervisor = UnixDatagram::bind(&socket).expect("the directory takes a socket");
    let yaml = format!("drain: {{ window: 1s, deadline: 2h }}\n{ROUTE}");
    let mut process = Process::start_supervised(&socket, &yaml).await;
    assert_eq!(next_word(&supervisor).await, "READY=1\n");
    process.signal(Signal::TERM);
    let stopping = next_word(&supervisor).await;
    let extension = stopping
        .strip_prefix("STOPPING=1\nEXTEND_TIMEOUT_USEC=")
        .and_then(|micros| micros.trim_end().parse::<u64>().ok());
    // Two hours, and something for its last words.
    assert!(extension > Some(7_200_000_000), "{stopping}");
    assert_eq!(process.exit_code().await, 0);
}

async fn next_word(supervisor: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = soon("a word to the supervisor", supervisor.recv(&mut buffer)).await;
    let length = length.expect("a datagram");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

async fn drains(signal: Signal) {
    let arrivals = Arrivals::listen().await;
    let yaml = arrivals.route() + "drain: { window: 100ms, deadline: 1h }\n";
    let mut process = Process::start(&yaml).await;
    let (mut client, mut backend) = session(&process, &arrivals).await;
    process.signal(signal);
    assert_eq!(client.frame().await.close_code(), Some(1012));
    client.send(Speaker::Client.close(1012, "")).await;
    client.end().await;
    backend.send(Speaker::Backend.close(1001, "")).await;
    backend.end().await;
    assert_eq!(process.exit_code().await, 0);
    assert!(!process.is_open().await);
    assert!(!process.leaves_a_socket());
}

#[tokio::test]
async fn sessions_that_do_not_end_in_time_make_exit_code_1() {
    let arrivals = Arrivals::listen().await;
    let yaml = arrivals.route() + "drain: { window: 0s, deadline: 300ms }\n";
    let mut process = Process::start(&yaml).await;
    let _session = session(&process, &arrivals).await;
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, 1);
}

#[tokio::test]
async fn a_second_signal_cuts_at_once() {
    let arrivals = Arrivals::listen().await;
    let yaml = arrivals.route() + "drain: { window: 1h, deadline: 2h }\n";
    let mut process = Process::start(&yaml).await;
    let (mut client, _backend) = session(&process, &arrivals).await;
    process.signal(Signal::TERM);
    let closed = async || (!process.is_open().await).then_some(());
    repeatedly("the listener closes", closed).await;
    assert_eq!(process.admin("/readyz").await.status(), 503);
    process.signal(Signal::INT);
    client.gone().await;
    assert_eq!(process.exit_code().await, 1);
    assert!(process.log().contains("asked to stop again"));
}

#[tokio::test]
async fn sighup_reads_the_file_again() {
    let mut process = Process::start(ROUTE).await;
    assert_eq!(process.ask().await.body, "before");
    process.rewrite(&ROUTE.replace("before", "after"));
    process.signal(Signal::HUP);
    let is_new = async || (process.ask().await.body == "after").then_some(());
    repeatedly("the new answer", is_new).await;
    process.rewrite("routes: [");
    process.signal(Signal::HUP);
    let name = "wsgate_config_last_reload_successful";
    let is_told = async || (process.metrics().await.value(name, &[]) == Some(0.0)).then_some(());
    repeatedly("the metric tells of it", is_told).await;
    assert_eq!(process.ask().await.body, "after");
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, 0);
}

#[tokio::test]
async fn sighup_ends_the_demo_which_has_no_file() {
    let mut demo = Process::start_demo().await;
    demo.signal(Signal::HUP);
    assert_eq!(demo.exit_code().await, 0);
}

#[tokio::test]
async fn a_stop_while_it_starts_ends_it() {
    let mut process = Process::start_hungry().await;
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, 0);
}

#[tokio::test]
async fn a_reload_while_it_starts_waits_until_it_runs() {
    let mut process = Process::start_hungry().await;
    process.signal(Signal::HUP);
    process.feed(ROUTE).await;
    let labels = [("result", "failure")];
    let is_counted = async || {
        let metrics = process.metrics().await;
        let failures = metrics.value("wsgate_config_reloads_total", &labels);
        (failures == Some(1.0)).then_some(())
    };
    repeatedly("the reload", is_counted).await;
    // What was piped in is gone, and waiting for more would be in vain.
    let words = "/dev/stdin: is a pipe, which can be read at the start only";
    eventually("it is told", || process.log().contains(words)).await;
    assert_eq!(process.ask().await.body, "before");
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, 0);
}
