//! What happens between the 101 and the end of a session.

mod backpressure;
mod busy;
mod footprint;
mod half_close;
mod loss;
mod verbatim;
