//! Listeners that come, go, move and change their names.

use std::net::SocketAddr;
use std::path::Path;

use rustix::process::Signal;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use wsgate::admin::ReloadReport;

use crate::backends::Backend;
use crate::harness::{Gateway, Wire, ask, directory, eventually, repeatedly, soon};
use crate::process::Process;
use crate::venue::{Arrivals, open};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n";

/// Every end happens at once.
const DRAIN: &str = "drain: { window: 0s, deadline: 20s }\n";

/// `listeners` by name and address, and for each a route that answers with its name.
fn named(listeners: &[(&str, &str)]) -> String {
    let listener =
        |(name, address): &(&str, &str)| format!("  {name}: {{ address: \"{address}\" }}\n");
    let route = |(name, _): &(&str, &str)| {
        format!(
            "  {name}: {{ match: {{ listeners: [{name}] }}, respond: {{ status: 200, body: {name} }} }}\n"
        )
    };
    let routes: String = listeners.iter().map(route).collect();
    let listeners: String = listeners.iter().map(listener).collect();
    format!("listeners:\n{listeners}routes:\n{routes}{DRAIN}")
}

/// An address of this scenario alone: loopback is wide.
async fn own_address() -> SocketAddr {
    let ip = [127, fastrand::u8(1..), fastrand::u8(..), fastrand::u8(1..)];
    let listener = TcpListener::bind((std::net::Ipv4Addr::from(ip), 0)).await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    drop(listener);
    is_closed(address).await;
    address
}

async fn body(address: SocketAddr) -> String {
    ask(address, REQUEST).await.body
}

async fn is_closed(address: SocketAddr) {
    let refused = async || TcpStream::connect(address).await.is_err().then_some(());
    repeatedly("the address refuses connections", refused).await;
}

#[tokio::test]
async fn a_listener_that_is_added_takes_connections() {
    let gateway = Gateway::start(&named(&[("main", "127.0.0.1:0")])).await;
    gateway
        .change(&named(&[("main", "127.0.0.1:0"), ("more", "127.0.0.1:0")]))
        .await;
    let more = gateway.address_now("more").await;
    assert_ne!(more, gateway.address());
    assert_eq!(body(more).await, "more");
    assert_eq!(body(gateway.address()).await, "main");
}

#[tokio::test]
async fn a_listener_that_is_removed_drains_its_own_sessions() {
    let arrivals = Arrivals::listen().await;
    let both =
        "listeners:\n  main: { address: \"127.0.0.1:0\" }\n  less: { address: \"127.0.0.1:0\" }\n";
    let yaml = arrivals.route() + DRAIN;
    let gateway = Gateway::start(&format!("{both}{yaml}")).await;
    let less = gateway.address_of("less");
    let (mut stays, mut at_stays) = open(Wire::connect(gateway.address()).await, &arrivals).await;
    let (mut goes, mut at_goes) = open(Wire::connect(less).await, &arrivals).await;
    gateway.change(&yaml).await;
    goes.gone().await;
    at_goes.gone().await;
    is_closed(less).await;
    stays.send("here").await;
    assert_eq!(at_stays.take(4).await, b"here");
}

#[tokio::test]
async fn a_listener_that_moves_leaves_its_old_address() {
    let arrivals = Arrivals::listen().await;
    let yaml = arrivals.route() + DRAIN;
    let gateway = Gateway::start(&yaml).await;
    let (mut client, _backend) = open(Wire::connect(gateway.address()).await, &arrivals).await;
    let moved = "listeners: { main: { address: \"127.0.0.2:0\" } }\n";
    gateway.change(&format!("{moved}{yaml}")).await;
    client.gone().await;
    is_closed(gateway.address()).await;
    let now = gateway.address_now("main").await;
    assert_ne!(now.ip(), gateway.address().ip());
    open(Wire::connect(now).await, &arrivals).await;
}

#[tokio::test]
async fn a_listener_that_is_renamed_keeps_its_socket() {
    let address = own_address().await;
    let gateway = Gateway::start(&named(&[("before", &address.to_string())])).await;
    assert_eq!(body(address).await, "before");
    gateway
        .change(&named(&[("after", &address.to_string())]))
        .await;
    assert_eq!(body(address).await, "after");
}

#[tokio::test]
async fn listeners_swap_their_addresses() {
    let (one, other) = (own_address().await, own_address().await);
    let (at_one, at_other) = (one.to_string(), other.to_string());
    let gateway = Gateway::start(&named(&[("a", &at_one), ("b", &at_other)])).await;
    gateway
        .change(&named(&[("a", &at_other), ("b", &at_one)]))
        .await;
    assert_eq!(body(one).await, "b");
    assert_eq!(body(other).await, "a");
    gateway
        .change(&named(&[("a", &at_one), ("b", &at_other)]))
        .await;
    assert_eq!(body(one).await, "a");
}

/// The listener that leaves refuses everybody where it goes. Its accept loop may outlive the change by a moment.
#[tokio::test]
async fn a_listener_that_moves_takes_its_settings_with_it() {
    let (here, there) = (own_address().await, own_address().await);
    let before = named(&[("main", &here.to_string())]);
    let moved = named(&[("stays", &here.to_string()), ("main", &there.to_string())]).replace(
        &format!("\"{there}\""),
        &format!("\"{there}\", deny: [127.0.0.0/8]"),
    );
    let gateway = Gateway::start(&before).await;
    let ask_on = async move || {
        loop {
            // Whatever the answer: its listener may be leaving, and with it its route.
            let _answer = ask(here, REQUEST).await;
        }
    };
    let changes = async {
        for _ in 0..50 {
            gateway.change(&moved).await;
            gateway.change(&before).await;
        }
    };
    tokio::select! {
        () = changes => {}
        () = ask_on() => {}
        () = ask_on() => {}
        () = ask_on() => {}
    }
}

async fn body_by_path(path: &Path) -> String {
    let stream = soon("a connection", UnixStream::connect(path)).await;
    let mut wire = Wire::new(stream.expect("the socket takes connections"));
    wire.send(REQUEST).await;
    wire.answer().await.body
}

#[tokio::test]
async fn a_unix_listener_comes_moves_and_goes_with_its_file() {
    let directory = directory();
    let (first, second) = (
        directory.path().join("first"),
        directory.path().join("second"),
    );
    let (to_first, to_second) = (
        format!("unix:{}", first.display()),
        format!("unix:{}", second.display()),
    );
    let gateway = Gateway::start(&named(&[("main", "127.0.0.1:0")])).await;
    gateway
        .change(&named(&[("main", "127.0.0.1:0"), ("local", &to_first)]))
        .await;
    assert_eq!(body_by_path(&first).await, "local");
    gateway
        .change(&named(&[("main", "127.0.0.1:0"), ("local", &to_second)]))
        .await;
    assert_eq!(body_by_path(&second).await, "local");
    assert!(!first.exists());
    gateway
        .change(&named(&[("main", "127.0.0.1:0"), ("renamed", &to_second)]))
        .await;
    assert_eq!(body_by_path(&second).await, "renamed");
    gateway.change(&named(&[("main", "127.0.0.1:0")])).await;
    assert!(!second.exists());
}

#[tokio::test]
async fn the_file_of_a_socket_that_was_removed_comes_back_with_a_reload() {
    let directory = directory();
    let path = directory.path().join("socket");
    let local = format!("unix:{}", path.display());
    let yaml = named(&[("main", "127.0.0.1:0"), ("local", &local)]);
    let gateway = Gateway::start(&yaml).await;
    let stream = soon("a connection", UnixStream::connect(&path)).await;
    let mut wire = Wire::new(stream.expect("the socket takes connections"));
    // One that is not accepted yet would be lost with the old socket.
    wire.send(REQUEST.replace("Connection: close\r\n", ""))
        .await;
    assert_eq!(wire.answer().await.body, "local");
    std::fs::remove_file(&path).expect("it is there");
    let ReloadReport::Unchanged { changes } = gateway.reload().await else {
        panic!("the configuration is another one");
    };
    let told = format!("listener local: the file of {local} was removed; it is bound anew");
    assert_eq!(changes, [told]);
    assert_eq!(body_by_path(&path).await, "local");
    wire.send(REQUEST).await;
    assert_eq!(wire.answer().await.body, "local");
    std::fs::remove_file(&path).expect("it is there");
    std::fs::write(&path, "another's").expect("the directory takes files");
    let ReloadReport::Unchanged { changes } = gateway.reload().await else {
        panic!("the configuration is another one");
    };
    assert!(changes[0].contains("cannot be bound anew"), "{changes:?}");
    gateway.change(&named(&[("main", "127.0.0.1:0")])).await;
    assert!(path.exists(), "it is another's");
}

#[tokio::test]
async fn the_file_of_the_admin_side_comes_back_with_a_reload() {
    let process = Process::start("routes: { a: { respond: { status: 200 } } }\n").await;
    let address = process.admin_address();
    let path = Path::new(address.strip_prefix("unix:").expect("a path"));
    std::fs::remove_file(path).expect("it is there");
    process.signal(Signal::HUP);
    let told = "listener admin: the file of";
    eventually("it is told", || process.log().contains(told)).await;
    assert_eq!(process.admin("/healthz").await.status(), 200);
}

#[tokio::test]
async fn who_is_in_the_way_of_another_spelling_of_a_path_is_named() {
    let directory = directory();
    let (real, link) = (directory.path().join("real"), directory.path().join("link"));
    std::fs::create_dir(&real).expect("a free path");
    std::os::unix::fs::symlink(&real, &link).expect("a free path");
    let [before, after] = [link, real].map(|it| format!("unix:{}/socket", it.display()));
    let gateway = Gateway::start(&named(&[("main", "127.0.0.1:0"), ("local", &before)])).await;
    gateway.rewrite(&named(&[("main", "127.0.0.1:0"), ("local", &after)]));
    let ReloadReport::Refused { errors } = gateway.reload().await else {
        panic!("one file is bound twice");
    };
    let expected = format!(
        "listeners.local.address: {after}: listener local holds this socket at {before} until"
    );
    assert!(errors[0].starts_with(&expected), "{errors:?}");
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_refused_and_kept() {
    let directory = directory();
    let file = directory.path().join("precious");
    std::fs::write(&file, "contents").expect("the directory takes files");
    let gateway = Gateway::start(&named(&[("main", "127.0.0.1:0")])).await;
    let address = format!("unix:{}", file.display());
    gateway.rewrite(&named(&[("main", "127.0.0.1:0"), ("local", &address)]));
    let report = gateway.reload().await;
    assert!(matches!(report, ReloadReport::Refused { .. }), "{report:?}");
    assert_eq!(
        std::fs::read(&file).expect("it is still there"),
        b"contents"
    );
}

/// As soon as a reload has been answered, and not a moment later. The gateway has a process of its own: where another
/// scenario starts a program, that has copies of all descriptors of this one until it runs.
#[tokio::test]
async fn the_address_of_a_listener_that_was_removed_is_free() {
    let address = own_address().await;
    let without = "routes: { fixed: { respond: { status: 200 } } }\n";
    let with = format!("  more: {{ address: \"{address}\" }}\n{without}");
    let process = Process::start(&with).await;
    for _ in 0..40 {
        for (yaml, listens) in [(without, false), (&with, true)] {
            process.rewrite(yaml);
            let report = process.reload().await;
            assert_eq!(report.status(), 200, "{report:?}");
            let connected = TcpStream::connect(address).await;
            assert_eq!(connected.is_ok(), listens);
        }
    }
}

#[tokio::test]
async fn who_is_in_the_way_of_an_address_is_named() {
    let address = own_address().await;
    let gateway = Gateway::start(&named(&[("main", &address.to_string())])).await;
    let wide = format!("0.0.0.0:{}", address.port());
    gateway.rewrite(&named(&[("wide", &wide)]));
    let ReloadReport::Refused { errors } = gateway.reload().await else {
        panic!("two addresses that overlap are bound at once");
    };
    let expected =
        format!("listeners.wide.address: {wide}: listener main holds this port at {address} until");
    assert!(errors[0].starts_with(&expected), "{errors:?}");
    assert_eq!(body(address).await, "main");
    let admin = gateway.admin_address();
    gateway.rewrite(&named(&[("main", &admin.to_string())]));
    let ReloadReport::Refused { errors } = gateway.reload().await else {
        panic!("the address of the admin side is bound twice");
    };
    let expected =
        format!("listeners.main.address: {admin}: the admin side holds this port at {admin} until");
    assert!(errors[0].starts_with(&expected), "{errors:?}");
}

/// Nothing is left of what was bound before something else could not be.
#[tokio::test]
async fn what_cannot_be_bound_whole_leaves_no_file() {
    let holder = Backend::silent().await;
    let (taken, directory) = (holder.address().to_string(), directory());
    let file = directory.path().join("left");
    let local = format!("unix:{}", file.display());
    let half = named(&[("local", &local), ("taken", &taken)]);
    let gateway = Gateway::start(&named(&[("main", "127.0.0.1:0")])).await;
    gateway.rewrite(&half);
    let report = gateway.reload().await;
    assert!(matches!(report, ReloadReport::Refused { .. }), "{report:?}");
    assert!(!file.exists(), "after a reload");
    let started = Gateway::try_start_in(directory, &half).await;
    assert!(started.is_err() && !file.exists(), "after a start");
}

/// One connection, and the 64 that are accepted to be told that they are too many, hold up the accept loop.
#[tokio::test]
async fn a_limit_that_is_raised_lets_those_in_who_wait() {
    let limited = |limit: u32| {
        format!(
            "listeners: {{ main: {{ address: \"127.0.0.1:0\", timeouts: {{ request_header: 60s }}, \
             limits: {{ max_connections: {limit} }} }} }}\n\
             routes: {{ fixed: {{ respond: {{ status: 200, body: in }} }} }}\n"
        )
    };
    let gateway = Gateway::start(&limited(1)).await;
    let mut connections = Vec::new();
    for _ in 0..65 {
        connections.push(Wire::connect(gateway.address()).await);
    }
    let accepted = || gateway.count("wsgate_listener_accepts_total", &[("listener", "main")]);
    eventually("65 are accepted", || accepted() == 65.0).await;
    let mut waits = Wire::connect(gateway.address()).await;
    waits.send(REQUEST).await;
    gateway.change(&limited(1000)).await;
    assert_eq!(waits.answer().await.body, "in");
}
