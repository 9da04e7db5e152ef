//! May this client come in now? The checks between routing and the first backend, cheap ones first.
//!
//! A check answers with a [`Rejection`](crate::session::Rejection), or lets the request pass. It sends
//! nothing and counts nothing.

pub mod origin;
