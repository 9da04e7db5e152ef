//! What is printed: one Markdown table a case, ready for docs/performance.md.

use crate::cases::{Bar, Case};
use crate::proxy::{REFERENCE, UNFOLLOWED};
use crate::run::{Sample, Shares};

/// From here on a core counts as fully used.
const BUSY: f64 = 0.95;
/// From here on others disturbed the measurement.
const DISTURBED: f64 = 0.05;

/// All runs of one case: for each proxy, one sample a round, if the run went well.
pub(crate) struct Report<'a> {
    pub(crate) case: &'a Case,
    pub(crate) rows: Vec<Row>,
}

/// A proxy's runs, in the order of the rounds.
pub(crate) struct Row {
    pub(crate) proxy: &'static str,
    pub(crate) samples: Vec<Option<Sample>>,
}

impl Row {
    fn column(&self, column: usize) -> Vec<f64> {
        self.samples
            .iter()
            .flatten()
            .map(|sample| sample.figures[column])
            .collect()
    }

    fn share(&self, share: impl Fn(&Shares) -> f64) -> Option<f64> {
        median(
            self.samples
                .iter()
                .flatten()
                .filter_map(|s| s.shares.as_ref())
                .map(share)
                .collect(),
        )
    }
}

impl Report<'_> {
    /// Whether no run failed.
    pub(crate) fn is_complete(&self) -> bool {
        let mut samples = self.rows.iter().flat_map(|row| &row.samples);
        samples.all(Option::is_some)
    }

    /// The table, the limits met, and wsgate beside its bars.
    pub(crate) fn text(&self) -> String {
        let remarks = self.rows.iter().filter_map(remarks);
        let bars = self.verdicts().into_iter().map(|verdict| {
            let Verdict { value, limit, unit } = &verdict;
            let word = verdict.word();
            format!("bar: at most {limit:.2} {unit}; wsgate {value:.3}: {word}")
        });
        let notes: Vec<_> = remarks
            .chain(bars)
            .map(|note| format!("- {note}"))
            .collect();
        let mut parts = vec![self.table().join("\n")];
        parts.extend((!notes.is_empty()).then(|| notes.join("\n")));
        parts.join("\n\n")
    }

    fn table(&self) -> Vec<String> {
        let columns = self.case.load.columns();
        let mut cells = vec![vec!["proxy".to_owned()]];
        cells[0].extend(columns.iter().map(|&column| column.to_owned()));
        cells[0].extend(
            ["min to max", "x nginx", "proxy's core", "generator's core"].map(str::to_owned),
        );
        cells.extend(self.rows.iter().map(|row| self.cells(row)));
        align(&cells)
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let load = self.case.load;
        let mut cells = vec![row.proxy.to_owned()];
        for column in 0..load.columns().len() {
            cells.push(median(row.column(column)).map_or_else(missing, number));
        }
        let key = row.column(load.key_column());
        let least = key.iter().copied().reduce(f64::min);
        let most = key.iter().copied().reduce(f64::max);
        cells.push(match (least, most) {
            (Some(least), Some(most)) => format!("{} to {}", number(least), number(most)),
            _ => missing(),
        });
        cells.push(
            self.ratio(row.proxy, REFERENCE)
                .map_or_else(missing, |r| format!("{r:.2}")),
        );
        for share in [
            row.share(|shares| shares.proxy),
            row.share(|shares| shares.generator),
        ] {
            cells.push(share.map_or_else(missing, percent));
        }
        cells
    }

    /// The median over the rounds of one proxy's key figure over another's.
    pub(crate) fn ratio(&self, proxy: &str, reference: &str) -> Option<f64> {
        let column = self.case.load.key_column();
        let row = |name| self.rows.iter().find(|row| row.proxy == name);
        let pairs = row(proxy)?.samples.iter().zip(&row(reference)?.samples);
        let both = pairs.filter_map(|(one, other)| Some((one.as_ref()?, other.as_ref()?)));
        median(
            both.map(|(one, other)| one.figures[column] / other.figures[column])
                .collect(),
        )
    }

    /// wsgate beside its bars.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let bars = self.case.bars.iter();
        bars.filter_map(|bar| self.verdict(*bar)).collect()
    }

    fn verdict(&self, bar: Bar) -> Option<Verdict> {
        let (value, limit, unit) = match bar {
            Bar::Ratio(reference, limit) => {
                let ratio = self.ratio("wsgate", reference)?;
                (ratio, limit, format!("x {reference}"))
            }
            Bar::Absolute(limit) => {
                let column = self.case.load.key_column();
                let unit = self.case.load.columns()[column].to_owned();
                (self.median("wsgate", column)?, limit, unit)
            }
            Bar::Following(limit) => {
                let cost = (self.ratio("wsgate", UNFOLLOWED)? - 1.0) * 100.0;
                (cost, limit, "% for following".to_owned())
            }
        };
        Some(Verdict { value, limit, unit })
    }

    /// The median of a proxy's figures in a column.
    pub(crate) fn median(&self, proxy: &str, column: usize) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.proxy == proxy)?;
        median(row.column(column))
    }
}

/// wsgate beside one of its bars.
pub(crate) struct Verdict {
    pub(crate) value: f64,
    pub(crate) limit: f64,
    pub(crate) unit: String,
}

impl Verdict {
    pub(crate) fn word(&self) -> &'static str {
        if self.value <= self.limit {
            "held"
        } else {
            "MISSED"
        }
    }
}

/// What is to be known before the figures of a row are believed.
fn remarks(row: &Row) -> Option<String> {
    let (proxy, generator) = (row.share(|s| s.proxy)?, row.share(|s| s.generator)?);
    let others = row.share(|s| s.others)?;
    let mut remarks = Vec::new();
    if generator >= BUSY && proxy < BUSY {
        remarks.push("the generator was the limit: CPU per unit is the figure".to_owned());
    } else if generator < BUSY && proxy < BUSY {
        remarks.push("neither core was used up".to_owned());
    }
    if others > DISTURBED {
        remarks.push(format!("others used {} of the two cores", percent(others)));
    }
    (!remarks.is_empty()).then(|| format!("{}: {}", row.proxy, remarks.join("; ")))
}

/// Markdown of a table whose first row is its head.
pub(crate) fn align(cells: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        cells
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..cells[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let padded = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| {
                if column == 0 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
        format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(column, width)| {
        if column == 0 {
            "-".repeat(width + 2)
        } else {
            "-".repeat(width + 1) + ":"
        }
    });
    let mut lines = vec![
        line(&cells[0]),
        format!("|{}|", rule.collect::<Vec<_>>().join("|")),
    ];
    lines.extend(cells[1..].iter().map(line));
    lines
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(values[middle - 1].midpoint(values[middle])),
    }
}

pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

pub(crate) fn missing() -> String {
    "-".to_owned()
}
