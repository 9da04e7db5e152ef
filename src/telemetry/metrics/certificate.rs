//! The expiry of certificates that the gateway presents.

use std::sync::Arc;
use std::time::SystemTime;

use prometheus::IntGauge;

use super::families::Families;
use super::family::Family;
use super::live::Series;
use super::seconds_since_epoch;
use crate::config::Name;

/// The metrics of a certificate that a listener presents to clients, or a pool to backends.
pub struct CertificateMetrics {
    family: Family<IntGauge>,
    labels: [Name; 2],
    not_after: IntGauge,
}

impl CertificateMetrics {
    /// `family` is that of listeners or of pools, `holder` one of them.
    pub(super) fn new(family: &Family<IntGauge>, holder: &Name, name: &Name) -> Self {
        let labels = [holder, name].map(Arc::clone);
        Self {
            not_after: family.with_label_values(&labels),
            family: family.clone(),
            labels,
        }
    }

    /// Sets the expiry of the certificate that is now in use.
    pub fn set_not_after(&self, moment: SystemTime) {
        self.not_after.set(seconds_since_epoch(moment));
    }
}

impl Series for CertificateMetrics {
    fn remove(&self, _families: &Families) {
        self.family.remove_label_values(&self.labels);
    }
}
