//! What lies in `deploy`: sound YAML whose parts fit each other and the configuration.

use std::path::{Path, PathBuf};

use serde_yaml::Value;
use wsgate::config::{HashKey, Strategy, Written};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn directory() -> PathBuf {
    deploy().join("kubernetes")
}

fn documents(file: &str) -> Vec<Value> {
    let path = directory().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    // A stream of documents is parted by hand: the crate reads one.
    let parts = text.split("\n---\n");
    let parse = |part| serde_yaml::from_str(part).unwrap_or_else(|error| panic!("{file}: {error}"));
    parts.map(parse).collect()
}

#[test]
fn every_manifest_is_listed_and_says_what_it_is() {
    let kustomization = &documents("kustomization.yml")[0];
    let listed = kustomization["resources"].as_sequence().expect("a list");
    let listed: Vec<&str> = listed.iter().filter_map(Value::as_str).collect();
    let files = std::fs::read_dir(directory()).expect("the directory is there");
    for file in files.map(|file| file.expect("a file").file_name()) {
        let file = file.to_string_lossy();
        if !file.ends_with(".yml") || file == "kustomization.yml" {
            continue;
        }
        assert!(listed.contains(&&*file), "{file} is not in resources");
        for document in documents(&file) {
            for key in ["apiVersion", "kind"] {
                assert!(document[key].is_string(), "{file} has no {key}");
            }
            assert!(
                document["metadata"]["name"].is_string(),
                "{file} has no name"
            );
        }
    }
}

#[test]
fn a_pod_has_time_to_drain_and_serves_and_chooses_as_its_services_expect() {
    let path = directory().join("wsgate.yaml");
    let written = Written::load(&path, &|_| None);
    let config = written
        .unwrap_or_else(|problems| panic!("{problems}"))
        .config;
    let deployment = &documents("deployment.yml")[0];
    let pod = &deployment["spec"]["template"]["spec"];
    expect_time_to_leave(&deployment["spec"], config.drain.deadline.as_secs());
    let ports = pod["containers"][0]["ports"].as_sequence().expect("a list");
    let ports: Vec<_> = ports
        .iter()
        .map(|port| port["containerPort"].as_u64())
        .collect();
    let listeners = config
        .listeners
        .values()
        .map(|listener| listener.address.to_string());
    let addresses: Vec<_> = listeners
        .chain([config.admin.address.to_string()])
        .collect();
    assert_eq!(addresses.len(), ports.len(), "{addresses:?}");
    for (address, port) in addresses.iter().zip(ports) {
        let port = port.expect("a number");
        assert!(address.ends_with(&format!(":{port}")), "{address}");
    }
    let backend = &documents("backend-service.yml")[0];
    let hash = Strategy::Hash(HashKey::Client);
    assert_eq!(config.pools["chat"].strategy, hash, "pods share nothing");
    let services = documents("service.yml");
    assert_eq!(
        services[0]["spec"]["externalTrafficPolicy"], "Local",
        "the key is the client's address"
    );
    let discovery = config.pools["chat"]
        .discovery
        .as_ref()
        .expect("it is found");
    let service = backend["metadata"]["name"].as_str().expect("a name");
    assert!(
        discovery
            .question
            .name()
            .starts_with(&format!("{service}."))
    );
}

/// Nobody is killed before it has drained, and a rollout lets one pod leave before the next one is told to.
fn expect_time_to_leave(deployment: &Value, drain: u64) {
    let number = |value: &Value| value.as_u64().expect("a number");
    let pod = &deployment["template"]["spec"];
    let sleep = &pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
    let leaving = number(sleep) + drain;
    assert!(number(&pod["terminationGracePeriodSeconds"]) > leaving);
    assert!(number(&deployment["minReadySeconds"]) > leaving);
}

/// The job is how a scrape is named, by Prometheus or by its operator; `up` and `process_*` are told apart by it alone.
#[test]
fn alerts_and_dashboard_ask_for_the_job_that_scrapes_are_named_by() {
    let monitor = &documents("service-monitor.yml")[0];
    let label = &monitor["spec"]["jobLabel"];
    let selector = &monitor["spec"]["selector"]["matchLabels"];
    let services = documents("service.yml");
    let is_scraped = |it: &&Value| it["metadata"]["labels"] == *selector;
    let scraped = services.iter().find(is_scraped).expect("one is selected");
    assert_eq!(
        scraped["spec"]["publishNotReadyAddresses"], true,
        "pods that drain are scraped"
    );
    let job = &scraped["metadata"]["labels"][label];
    let job = job.as_str().expect("the label is there");
    let by_itself = format!("job_name: {job}\n");
    assert!(read("prometheus/prometheus.yml").contains(&by_itself));
    for (file, quote) in [
        ("prometheus/alerts.yml", "\""),
        ("grafana/wsgate.json", "\\\""),
    ] {
        let text = read(file);
        let asked: Vec<&str> = text.split("job=").skip(1).collect();
        assert!(!asked.is_empty(), "{file}");
        let wanted = format!("{quote}{job}{quote}");
        assert!(asked.iter().all(|it| it.starts_with(&wanted)), "{file}");
    }
}

/// Run by promtool, where it is there.
#[test]
fn every_alert_has_a_test() {
    let tests = read("prometheus/alerts_test.yml");
    let alerts = read("prometheus/alerts.yml");
    let alerts: Vec<&str> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in alerts {
        assert!(
            tests.contains(&format!("alertname: {alert}\n")),
            "{alert} never fires"
        );
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let dashboard = read("grafana/wsgate.json");
    let documented = read("../docs/metrics.md");
    let kinds = ["` | counter |", "` | gauge |", "` | histogram |"];
    let name = |line: &str| {
        let end = kinds.iter().find_map(|kind| line.find(kind))?;
        Some(line.strip_prefix("| `")?[..end - 3].to_owned())
    };
    let names: Vec<String> = documented.lines().filter_map(name).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(
            dashboard.contains(&format!("wsgate_{name}")),
            "{name} is on no panel"
        );
    }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(deploy().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What the ignore file keeps out cannot be copied: nothing else would notice before somebody builds the image.
#[test]
fn the_image_is_built_from_what_the_ignore_file_lets_in() {
    let recipe = read("container/Dockerfile");
    let ignored = read("container/Dockerfile.dockerignore");
    let let_in: Vec<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    let copies = recipe.lines().filter_map(|line| line.strip_prefix("COPY "));
    let own = copies.filter(|copy| !copy.starts_with("--from"));
    let sources: Vec<&str> = own
        .flat_map(|copy| copy.rsplit_once(' ').expect("a target").0.split(' '))
        .collect();
    assert!(sources.contains(&"src"), "{sources:?}");
    for source in sources {
        assert!(let_in.contains(&source), "{source} is kept out");
    }
}
