//! How the backends of a pool are discovered, if the file does not name them.

use crate::config::model::{Discovery, Question};
use crate::config::problems::{Findings, Place};
use crate::config::reading::{Placed, Setting};
use crate::config::schema;
use crate::config::values::Scheme;

pub(super) fn resolve(
    raw: schema::Discovery,
    place: &Place,
    findings: &mut Findings,
) -> Option<Discovery> {
    let question = question(raw.dns, raw.srv, raw.port, place, findings);
    Some(Discovery {
        question: question?,
        family: raw.family.value(),
        tls: raw.scheme.or(Scheme::Ws) == Scheme::Wss,
        max_sessions: raw.max_sessions.or(None),
        refresh: raw.refresh.or_seconds(10),
        nameservers: Placed::values(raw.nameservers.or_default()),
    })
}

fn question(
    dns: Setting<String>,
    srv: Setting<String>,
    port: Setting<u16>,
    place: &Place,
    findings: &mut Findings,
) -> Option<Question> {
    match (dns, srv) {
        (Setting::Absent, Setting::Absent) => {
            findings.add(place, "one of the keys `dns` and `srv` is missing");
            None
        }
        (Setting::Absent, srv) => {
            if let Some(place) = port.place() {
                findings.add(place, "has no effect with `srv`, which gives the ports");
            }
            check_service(srv.given(), findings);
            srv.value().map(Question::Services)
        }
        (dns, Setting::Absent) => {
            let port = port.require("port", place, findings);
            Some(Question::Addresses {
                name: dns.value()?,
                port: port?.value,
            })
        }
        (_, srv) => {
            let place = srv.place().unwrap_or(place);
            findings.add(place, "only one of `dns` and `srv` is allowed");
            None
        }
    }
}

fn check_service(name: Option<&Placed<String>>, findings: &mut Findings) {
    let Some(Placed { value, place }) = name else {
        return;
    };
    // A dot at the end makes the name fully qualified.
    let bare = value.strip_suffix('.').unwrap_or(value);
    let labels: Vec<&str> = bare.split('.').collect();
    let is_service = matches!(labels[..], [service, protocol, _, ..] if service.starts_with('_') && protocol.starts_with('_'));
    if !is_service {
        let message =
            "is not a service: write `_service._tcp.name`, such as `_ws._tcp.chat.internal`";
        findings.add(place, message);
    }
}
