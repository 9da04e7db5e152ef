//! The admin side as the handler of its listener.

use std::sync::Arc;

use http::{Request, Response, request};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{Admin, Control};
use crate::listener::{Body, Client, Handler};
use crate::session::Rejection;

impl<C: Control + 'static> Handler for Admin<C> {
    async fn handle(&self, request: Request<Incoming>, _: Arc<Client>) -> Response<Body> {
        let answer = self.answer(request).await;
        answer.map(|body| body.map_err(|never| match never {}).boxed_unsync())
    }

    fn refuse(&self, rejection: Rejection, _: Option<&request::Parts>, client: &Client) {
        tracing::info!(client = %client.connection.peer, "admin request refused: {}", rejection.message());
    }
}
