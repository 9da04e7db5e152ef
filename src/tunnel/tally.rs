//! The counts since the last report; allocated only while there are any.

use crate::telemetry::{DirectionTraffic, SessionRecord, Traffic};
use crate::websocket::Side;

/// The counts of one tunnel. While nothing is counted, this is one pointer.
#[derive(Default)]
pub(super) struct Tally {
    traffic: Option<Box<Traffic>>,
}

impl Tally {
    /// The counts of what `sender` sends.
    pub(super) fn direction(&mut self, sender: Side) -> &mut DirectionTraffic {
        self.traffic.get_or_insert_default().direction_mut(sender)
    }

    /// How many bytes of `sender` are counted.
    pub(super) fn bytes(&self, sender: Side) -> u64 {
        let traffic = self.traffic.as_ref();
        traffic.map_or(0, |traffic| traffic.direction(sender).bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.traffic.is_none()
    }

    /// Adds the counts to the record, and clears them.
    pub(super) fn report(&mut self, record: &mut SessionRecord) {
        if let Some(traffic) = self.traffic.take() {
            record.add_traffic(&traffic);
        }
    }
}
