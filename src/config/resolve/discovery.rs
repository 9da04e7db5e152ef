//! Where the backends of a pool are found, if the file does not name them.

use std::time::Duration;

use super::{Context, balancing};
use crate::config::model::{Discovery, Question};
use crate::config::problems::Place;
use crate::config::reading::{Placed, Setting};
use crate::config::schema;
use crate::config::values::{DnsName, Scheme, Timeout};

pub(super) fn resolve(
    raw: schema::Discovery,
    place: &Place,
    context: &mut Context<'_>,
) -> Option<Discovery> {
    let question = question(raw.dns, raw.srv, raw.port, place, context);
    let nameservers = raw.nameservers.or_default().into_iter();
    Some(Discovery {
        question: question?,
        family: raw.family.value(),
        tls: raw.scheme.or(Scheme::Ws) == Scheme::Wss,
        max_sessions: balancing::max_sessions(raw.max_sessions),
        refresh: raw.refresh.or(Timeout(Duration::from_secs(10))).0,
        nameservers: nameservers.map(|server| server.value.0).collect(),
    })
}

fn question(
    dns: Setting<DnsName>,
    srv: Setting<DnsName>,
    port: Setting<crate::config::values::Whole<1, 65535>>,
    place: &Place,
    context: &mut Context<'_>,
) -> Option<Question> {
    match (dns, srv) {
        (Setting::Absent, Setting::Absent) => {
            context
                .findings
                .add(place, "one of the keys `dns` and `srv` is missing");
            None
        }
        (Setting::Absent, srv) => {
            if let Some(place) = port.place() {
                context
                    .findings
                    .add(place, "takes no effect beside `srv`, which tells ports");
            }
            check_service(srv.given(), context);
            srv.value().map(|DnsName(name)| Question::Services(name))
        }
        (dns, Setting::Absent) => {
            let port = port.require("port", place, &mut context.findings);
            let DnsName(name) = dns.value()?;
            let port = u16::try_from(port?.number()).ok()?;
            Some(Question::Addresses { name, port })
        }
        (_, srv) => {
            let place = srv.place().unwrap_or(place);
            context
                .findings
                .add(place, "stands beside `dns`; one of them is enough");
            None
        }
    }
}

fn check_service(name: Option<&Placed<DnsName>>, context: &mut Context<'_>) {
    let Some(Placed { value, place }) = name else {
        return;
    };
    let labels: Vec<&str> = value.0.split('.').collect();
    let is_service = matches!(labels[..], [service, protocol, _, ..] if service.starts_with('_') && protocol.starts_with('_'));
    if !is_service {
        let message = "is no service: write `_service._tcp.name`, such as `_ws._tcp.chat.internal`";
        context.findings.add(place, message);
    }
}
