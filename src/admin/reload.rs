//! What came of a reload, as POST /reload answers it.

use http::StatusCode;
use serde_json::{Value, json};

use crate::telemetry::ReloadResult;

/// What came of a reload, in words for the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReloadReport {
    /// The new configuration is in force.
    Taken {
        /// How many configurations there have been, this one included.
        generation: u64,
        /// What is different, a line each.
        changes: Vec<String>,
    },
    /// The file says what runs already.
    Unchanged {
        /// The certificates that changed on disk and were taken, a line each.
        changes: Vec<String>,
    },
    /// The old configuration stays.
    Refused {
        /// What is wrong with the new one, a line each.
        errors: Vec<String>,
    },
}

impl ReloadReport {
    /// There is no reload any more.
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
}
