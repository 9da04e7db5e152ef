//! The outcome of a reload, as POST /reload answers it.

use http::StatusCode;
use serde_json::{Value, json};

use crate::telemetry::ReloadResult;

/// The outcome of a reload, with texts for the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReloadReport {
    /// The new configuration is in force.
    Taken {
        /// The number of the configuration, counted from the start.
        generation: u64,
        /// One line for each difference.
        changes: Vec<String>,
    },
    /// The configuration is the same as before.
    Unchanged {
        /// One line for each certificate that was renewed, and for each setting that waits for a restart.
        changes: Vec<String>,
    },
    /// The old configuration stays in force.
    Refused {
        /// One line for each problem of the new one.
        errors: Vec<String>,
    },
}

impl ReloadReport {
    /// A reload is refused because the gateway is stopping.
    #[must_use]
    pub fn stopping() -> Self {
        Self::Refused {
            errors: vec!["the gateway is stopping".to_owned()],
        }
    }

    /// How the reload is counted.
    #[must_use]
    pub fn result(&self) -> ReloadResult {
        match self {
            Self::Taken { .. } => ReloadResult::Success,
            Self::Unchanged { .. } => ReloadResult::Noop,
            Self::Refused { .. } => ReloadResult::Failure,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Taken { .. } | Self::Unchanged { .. } => StatusCode::OK,
            Self::Refused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let result = self.result().label();
        match self {
            Self::Taken {
                generation,
                changes,
            } => {
                json!({ "result": result, "generation": generation, "changes": changes })
            }
            Self::Unchanged { changes } => json!({ "result": result, "changes": changes }),
            Self::Refused { errors } => json!({ "result": result, "errors": errors }),
        }
    }

    /// The inverse of [`Self::to_json`]; `None` for any other JSON.
    pub(super) fn from_json(json: &Value) -> Option<Self> {
        let lines = |key: &str| {
            let lines = json[key].as_array()?.iter();
            lines
                .map(|line| line.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        };
        let result = json["result"].as_str()?;
        match ReloadResult::ALL
            .into_iter()
            .find(|it| it.label() == result)?
        {
            ReloadResult::Success => Some(Self::Taken {
                generation: json["generation"].as_u64()?,
                changes: lines("changes")?,
            }),
            ReloadResult::Noop => Some(Self::Unchanged {
                changes: lines("changes")?,
            }),
            ReloadResult::Failure => Some(Self::Refused {
                errors: lines("errors")?,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_out_of_json_as_it_went_in() {
        let lines = || vec!["one".to_owned(), "two".to_owned()];
        for report in [
            ReloadReport::Taken {
                generation: 7,
                changes: lines(),
            },
            ReloadReport::Unchanged { changes: vec![] },
            ReloadReport::Refused { errors: lines() },
        ] {
            assert_eq!(ReloadReport::from_json(&report.to_json()), Some(report));
        }
        for other in [
            json!("ok"),
            json!({ "result": "done" }),
            json!({ "result": "success" }),
        ] {
            assert_eq!(ReloadReport::from_json(&other), None);
        }
    }
}
