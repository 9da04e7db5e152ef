//! The program as its caller sees it: what it says, and its exit code.

use std::fs::File;
use std::io::{BufReader, Read};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::harness::{directory, soon};

const SOUND: &str = "\
admin: { address: \"127.0.0.1:0\" }
listeners: { main: { address: \"127.0.0.1:0\" } }
routes: { fixed: { respond: { status: 200 } } }
";

/// Its exit code, and all that it said.
pub(crate) async fn ended(arguments: &[&str]) -> (Option<i32>, String) {
    let ending = Command::new(env!("CARGO_BIN_EXE_wsgate"))
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = soon("the end of the program", ending).await;
    let output = output.expect("the program starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// The same of a command that is given a file.
async fn ended_with(command: &str, yaml: &str) -> (Option<i32>, String) {
    let directory = directory();
    let file = directory.path().join("wsgate.yaml");
    std::fs::write(&file, yaml).expect("the directory takes files");
    let file = file.to_str().expect("a path in letters");
    ended(&[command, "--config", file]).await
}

#[tokio::test]
async fn what_cannot_start_ends_with_1_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let taken = listener.local_addr().expect("a bound socket").to_string();
    let main = format!("main: {{ address: \"{taken}\"");
    let tls = "main: { tls: { certificates: [{ certificate: no.crt, key: no.key }] },";
    for (yaml, words) in [
        (SOUND.replace("routes", "roots"), "3:1: roots: unknown key"),
        (SOUND.replace("main: {", tls), "no.crt: cannot be read"),
        (
            SOUND.replace("main: { address: \"127.0.0.1:0\"", &main),
            &taken,
        ),
    ] {
        let (code, said) = ended_with("run", &yaml).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words), "{said}");
    }
    let (code, said) = ended(&["run", "--config", "/nowhere/wsgate.yaml"]).await;
    assert_eq!(code, Some(1), "{said}");
}

#[tokio::test]
async fn a_check_ends_with_1_where_it_finds_a_problem_and_tells_all_of_them() {
    let (code, said) = ended_with("check", SOUND).await;
    assert_eq!(code, Some(0), "{said}");
    let broken = SOUND.replace("address", "adress");
    let (code, said) = ended_with("check", &broken).await;
    assert_eq!(code, Some(1), "{said}");
    for place in ["wsgate.yaml:1:10: ", "wsgate.yaml:2:22: "] {
        assert!(said.contains(place), "{place} in {said}");
    }
}

#[tokio::test]
async fn asking_for_a_reload_where_nothing_listens_ends_with_1() {
    let (code, said) = ended(&["reload", "--admin", "unix:/nowhere/admin.sock"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("unix:/nowhere/admin.sock"), "{said}");
    assert!(said.contains("No such file"), "{said}");
}

#[tokio::test]
async fn wrong_use_ends_with_2() {
    for arguments in [
        &["nonsense"][..],
        &["reload", "--admin", "nonsense"],
        &["run", "--nonsense"],
        &["check", "--config"],
    ] {
        let (code, said) = ended(arguments).await;
        assert_eq!(code, Some(2), "{said}");
    }
}

/// What it says of itself at a terminal until it is ready, where NO_COLOR has this value.
async fn said_at_a_terminal(no_color: &str) -> String {
    let directory = directory();
    let file = directory.path().join("wsgate.yaml");
    std::fs::write(&file, format!("{SOUND}log: {{ format: text }}\n")).expect("it takes files");
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal)
        .and_then(|()| unlockpt(&terminal))
        .expect("it is ours");
    let name = ptsname(&terminal, Vec::new()).expect("it has a name");
    let stderr = File::options()
        .write(true)
        .open(name.to_str().expect("a path"));
    let _program = Command::new(env!("CARGO_BIN_EXE_wsgate"))
        .args(["run", "--config"])
        .arg(&file)
        .env("NO_COLOR", no_color)
        .stdout(Stdio::null())
        .stderr(stderr.expect("it can be written to"))
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let (sender, mut bytes) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let bytes = BufReader::new(File::from(terminal)).bytes();
        let bytes = bytes.map_while(Result::ok);
        bytes
            .map_while(|byte| sender.send(byte).ok())
            .for_each(drop);
    });
    let mut said = Vec::new();
    while !said.ends_with(b" ready ") && !said.ends_with(b" ready\x1b") {
        said.push(
            soon("the next letter", bytes.recv())
                .await
                .expect("it is open"),
        );
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn colours_are_for_terminals_whose_user_wants_them() {
    assert!(said_at_a_terminal("").await.contains('\x1b'));
    assert!(!said_at_a_terminal("1").await.contains('\x1b'));
}
