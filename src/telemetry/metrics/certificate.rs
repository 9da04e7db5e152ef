//! The expiry of certificates that the gateway presents.

use std::time::SystemTime;

use prometheus::IntGauge;

use super::family::Family;
use super::seconds_since_epoch;
use crate::config::Name;

/// The metrics of a certificate that a listener presents to clients, or a pool to backends.
pub struct CertificateMetrics {
    not_after: IntGauge,
}

impl CertificateMetrics {
    /// `holder` is the listener or the pool.
    pub(super) fn new(family: &Family<IntGauge>, holder: &Name, name: &Name) -> Self {
        Self {
            not_after: family.with_label_values(&[holder, name]),
        }
    }

    /// Sets the expiry of the certificate that is now in use.
    pub fn set_not_after(&self, moment: SystemTime) {
        self.not_after.set(seconds_since_epoch(moment));
    }
}
