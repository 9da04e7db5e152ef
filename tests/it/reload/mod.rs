//! A file that is read again: what is wrong changes nothing, what is equal is nothing, and the rest is told.

mod certificates;
mod command;
mod drains;
mod hanging;
mod listeners;
mod load;
mod settings;
mod warnings;

use serde_json::Value;
use wsgate::admin::ReloadReport;

use crate::backends::Backend;
use crate::harness::{Gateway, before, echo, open};

fn reloads(gateway: &Gateway, result: &str) -> f64 {
    gateway.count("wsgate_config_reloads_total", &[("result", result)])
}

fn is_last_good(gateway: &Gateway) -> bool {
    gateway.count("wsgate_config_last_reload_successful", &[]) == 1.0
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_says_where_it_is_broken() {
    let backend = Backend::echo().await;
    let sound = before(&[&backend]);
    let gateway = Gateway::start(&sound).await;
    let mut socket = open(gateway.address(), "/").await;
    gateway.rewrite(&sound.replace("origins", "orogins"));
    let ReloadReport::Refused { errors } = gateway.reload().await else {
        panic!("a broken file is taken");
    };
    let place = "wsgate.yaml:4:19: ";
    assert!(
        errors.iter().any(|error| error.contains(place)),
        "{errors:?}"
    );
    assert!(!is_last_good(&gateway));
    assert_eq!(reloads(&gateway, "failure"), 1.0);
    assert_eq!(gateway.status().await["configuration"]["generation"], 1);
    echo(&mut socket, "the old session").await;
    echo(&mut open(gateway.address(), "/").await, "a new session").await;
    gateway.rewrite(&sound);
    gateway.reload().await;
    assert!(is_last_good(&gateway));
}

#[tokio::test]
async fn an_address_that_is_taken_changes_nothing() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&before(&[&backend])).await;
    let listeners = format!(
        "listeners:\n  main: {{ address: \"127.0.0.1:0\" }}\n  more: {{ address: \"{}\" }}\n",
        backend.address()
    );
    gateway.rewrite(&(listeners + &before(&[&backend])));
    let ReloadReport::Refused { errors } = gateway.reload().await else {
        panic!("a taken address is bound");
    };
    assert!(
        errors[0].starts_with("listeners.more.address: "),
        "{errors:?}"
    );
    assert!(!is_last_good(&gateway));
    echo(&mut open(gateway.address(), "/").await, "as before").await;
}

#[tokio::test]
async fn the_same_file_again_is_nothing() {
    let backend = Backend::echo().await;
    let yaml = before(&[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let mut socket = open(gateway.address(), "/").await;
    let nothing = ReloadReport::Unchanged { changes: vec![] };
    assert_eq!(gateway.reload().await, nothing);
    gateway.rewrite(&format!("{yaml}# a remark\n"));
    assert_eq!(gateway.reload().await, nothing);
    assert_eq!(reloads(&gateway, "noop"), 2.0);
    assert_eq!(reloads(&gateway, "success"), 0.0);
    assert!(is_last_good(&gateway));
    assert_eq!(gateway.status().await["configuration"]["generation"], 1);
    echo(&mut socket, "still here").await;
}

#[tokio::test]
async fn what_did_not_change_is_not_touched() {
    let (backend, other) = (Backend::echo().await, Backend::echo().await);
    let yaml = before(&[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let mut socket = open(gateway.address(), "/").await;
    let more = before(&[&backend, &other]);
    gateway
        .change(&more.replace("chat: { origins", "moved: { origins"))
        .await;
    gateway.change(&more).await;
    let status = gateway.status().await;
    assert_eq!(status["pools"][0]["backends"][0]["sessions"], 1, "{status}");
    assert_eq!(gateway.count("wsgate_backend_sessions_active", &[]), 1.0);
    assert_eq!(reloads(&gateway, "success"), 2.0);
    echo(&mut socket, "the backend stays").await;
}

/// Nobody has to scrape for that: a backend that is back after it was gone is counted anew.
#[tokio::test]
async fn what_is_counted_of_a_backend_goes_with_it() {
    let (backend, other) = (Backend::echo().await, Backend::echo().await);
    let both = before(&[&backend, &other]);
    let gateway = Gateway::start(&both).await;
    let name = backend.address().to_string();
    let labels = [("backend", &*name), ("result", "opened")];
    for _ in 0..20 {
        for _ in 0..2 {
            echo(&mut open(gateway.address(), "/").await, "counted").await;
        }
        backend.is_left().await;
        assert!(gateway.count("wsgate_backend_connects_total", &labels) > 0.0);
        gateway.change(&before(&[&other])).await;
        gateway
            .change(&(before(&[&other]) + "log: { level: warn }\n"))
            .await;
        gateway.change(&both).await;
        if gateway.count("wsgate_backend_connects_total", &labels) == 0.0 {
            return;
        }
    }
    panic!("it is counted on");
}

#[tokio::test]
async fn post_reload_answers_what_came_of_it() {
    let backend = Backend::echo().await;
    let yaml = before(&[&backend]);
    let gateway = Gateway::start(&yaml).await;
    gateway.rewrite(&yaml.replace("origins: any", "origins: any, match: { path: /x }"));
    assert_eq!(post(&gateway).await, (200, "success".to_owned()));
    assert_eq!(post(&gateway).await, (200, "noop".to_owned()));
    gateway.rewrite("routes: {");
    assert_eq!(post(&gateway).await, (422, "failure".to_owned()));
    assert_eq!(gateway.admin("GET", "/reload").await.status(), 405);
}

async fn post(gateway: &Gateway) -> (u16, String) {
    let answer = gateway.admin("POST", "/reload").await;
    let report: Value = serde_json::from_str(&answer.body).expect("the report is JSON");
    let told = if report["result"] == "failure" {
        "errors"
    } else {
        "changes"
    };
    assert!(report[told].is_array(), "{report}");
    let result = report["result"].as_str().expect("a result");
    (answer.status(), result.to_owned())
}
