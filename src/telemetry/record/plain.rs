//! Records of plain requests: one line each, when the answer has ended.

use http::StatusCode;

use super::{HandshakeResult, SessionRecord, Stage, key, write_refusal};
use crate::session::Rejection;

/// How a forwarded answer ended, unless the client left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerEnd {
    /// Completely forwarded.
    Whole,
    /// The backend aborted it.
    Broken,
    /// The body of the request was this, and was still being sent.
    Refused(Rejection),
    /// A drain ended it.
    Drained,
}

impl SessionRecord {
    /// Notes that an Upgrade was not passed on; the line of an answered request says so.
    pub fn note_dropped_upgrade(&mut self) {
        self.has_dropped_upgrade = true;
    }

    /// The head of the backend's answer is forwarded. It is counted now, so that an answer that streams for hours is visible;
    /// the line is written when it has ended.
    pub fn pass(&mut self, status: StatusCode) {
        if self.stage != Stage::Asked {
            return;
        }
        self.stage = Stage::Passing(status);
        if let Some(route) = &self.route {
            route.request_answered(Some(status), self.began.elapsed());
        }
    }

    /// Notes how many bytes of the two bodies have been forwarded.
    pub fn note_bodies(&mut self, request: u64, answer: u64) {
        self.inward.bytes = request;
        self.outward.bytes = answer;
    }

    /// The answer has ended. If the record is dropped before, the client has left.
    pub fn end(&mut self, end: AnswerEnd) {
        if let Stage::Passing(status) = self.stage {
            self.stage = Stage::Ended;
            let result = match end {
                AnswerEnd::Whole => HandshakeResult::BackendAnswered,
                AnswerEnd::Broken => {
                    HandshakeResult::Refused(Rejection::BackendFailed("answer_broken"))
                }
                AnswerEnd::Refused(rejection) => HandshakeResult::Refused(rejection),
                AnswerEnd::Drained => HandshakeResult::Refused(Rejection::Draining),
            };
            self.write_request(result, Some(status));
        }
    }

    pub(super) fn write_request(&self, result: HandshakeResult, status: Option<StatusCode>) {
        let log = &self.telemetry.access_log;
        if !self.is_written(log.writes_request()) {
            return;
        }
        let mut line = self.line("request", result, status, self.began.elapsed());
        self.facts.write_method(&mut line);
        line.number(key!("bytes_in"), self.inward.bytes);
        line.number(key!("bytes_out"), self.outward.bytes);
        write_refusal(result, &mut line);
        if self.has_dropped_upgrade && result == HandshakeResult::BackendAnswered {
            line.text(key!("detail"), "Upgrade is passed on for websocket only");
        }
        log.write(line);
    }
}
