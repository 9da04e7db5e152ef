//! What docs/performance.md quotes, as it stands there: one table of processor time, of memory, of latency, and
//! wsgate beside its bars.

use crate::cases::{Case, Load};
use crate::proxy::{REFERENCE, UNFOLLOWED};
use crate::report::{Report, Verdict, align, missing, number};

/// The tables that the reports of a run give.
pub(crate) fn text(reports: &[Report<'_>]) -> String {
    let of = |wanted: fn(Load) -> bool| -> Vec<_> {
        let is_wanted = |report: &&Report<'_>| wanted(report.case.load);
        reports.iter().filter(is_wanted).collect()
    };
    let times = of(|load| matches!(load, Load::Echo { .. } | Load::Connect));
    let memory = of(|load| matches!(load, Load::Idle));
    let latency = of(|load| matches!(load, Load::Latency { .. }));
    let sections = [
        section("Processor time of the proxy", figures(&times)),
        section("Memory", figures(&memory)),
        section("Latency", latencies(&latency)),
        section("Against the bars", bars(reports)),
    ];
    let sections: Vec<_> = sections.into_iter().flatten().collect();
    sections.join("\n\n")
}

fn section(title: &str, rows: Vec<Vec<String>>) -> Option<String> {
    let is_empty = rows.len() < 2;
    (!is_empty).then(|| format!("## {title}\n\n{}", align(&rows).join("\n")))
}

/// One row a case: the medians, and in brackets the ratios to the reference.
fn figures(reports: &[&Report<'_>]) -> Vec<Vec<String>> {
    let proxies = proxies(reports);
    let mut rows = vec![head("case", &proxies, "name")];
    rows.extend(reports.iter().map(|report| {
        let Case { name, load, .. } = report.case;
        let mut row = vec![report.case.title()];
        row.extend(
            proxies
                .iter()
                .map(|proxy| cell(report, proxy, load.key_column())),
        );
        row.push(format!("`{name}`"));
        row
    }));
    rows
}

fn cell(report: &Report<'_>, proxy: &str, column: usize) -> String {
    let Some(figure) = report.median(proxy, column) else {
        return missing();
    };
    match report.ratio(proxy, REFERENCE) {
        Some(ratio) if proxy != REFERENCE => format!("{} ({ratio:.2})", number(figure)),
        _ => number(figure),
    }
}

/// One row a column of the cases.
fn latencies(reports: &[&Report<'_>]) -> Vec<Vec<String>> {
    let proxies = proxies(reports);
    let mut rows = vec![head("", &proxies, "name")];
    for report in reports {
        for (column, name) in report.case.load.columns().iter().enumerate() {
            let mut row = vec![(*name).to_owned()];
            let figure = |proxy: &&&str| report.median(proxy, column).map_or_else(missing, number);
            row.extend(proxies.iter().map(|proxy| figure(&proxy)));
            row.push(format!("`{}`", report.case.name));
            rows.push(row);
        }
    }
    rows
}

/// One row a bar.
fn bars(reports: &[Report<'_>]) -> Vec<Vec<String>> {
    let head = ["case", "wsgate", "bar", ""].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    for report in reports {
        rows.extend(report.verdicts().iter().map(|verdict| {
            let Verdict { value, limit, unit } = verdict;
            vec![
                report.case.title(),
                format!("{value:.2}"),
                format!("{limit:.2} {unit}"),
                verdict.word().to_owned(),
            ]
        }));
    }
    rows
}

/// The proxies that took part and are compared.
fn proxies(reports: &[&Report<'_>]) -> Vec<&'static str> {
    let rows = reports.first().map_or(&[][..], |report| &report.rows);
    let names = rows.iter().map(|row| row.proxy);
    names.filter(|name| *name != UNFOLLOWED).collect()
}

fn head(first: &str, proxies: &[&str], last: &str) -> Vec<String> {
    let cells = [&[first], proxies, &[last]].concat();
    cells.into_iter().map(str::to_owned).collect()
}
