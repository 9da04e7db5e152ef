//! The admin side as the handler of its listener.

use std::sync::Arc;

use http::{Request, request};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{Admin, Control};
use crate::listener::{Answer, Client, Handler};
use crate::session::Rejection;

impl<C: Control + 'static> Handler for Admin<C> {
    async fn handle(&self, request: Request<Incoming>, _: Arc<Client>) -> Answer {
        let answer = self.answer(request).await;
        let answer = answer.map(|body| body.map_err(|never| match never {}).boxed_unsync());
        answer.into()
    }

    fn refuse(&self, rejection: Rejection, _: Option<&request::Parts>, client: &Client) {
        tracing::info!(client = %client.connection.peer, "admin request refused: {}", rejection.message());
    }
}
