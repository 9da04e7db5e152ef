//! Frames of the gateway's own stand between two frames, and nowhere else.

use std::time::Duration;

use tokio::time::sleep;

use super::{Pair, with_websocket};
use crate::harness::{BINARY, CLOSE, Frame, PING, PONG, Speaker, TEXT_BEGUN, TEXT_ENDED};
use crate::venue::Transport;

const OFTEN: &str = "ping: { interval: 30ms, timeout: 1h, target: both }";
const SPEAKERS: [Speaker; 2] = [Speaker::Client, Speaker::Backend];

/// The next frame that is not the gateway's Ping, which are all answered.
async fn frame_behind_pings(pair: &mut Pair, reader: Speaker) -> Frame {
    loop {
        let frame = pair.side(reader).frame().await;
        assert_eq!(frame.speaker, reader.other());
        if frame.first != PING || frame.payload.len() != 8 {
            return frame;
        }
        pair.side(reader)
            .send(reader.frame(PONG, &frame.payload))
            .await;
    }
}

#[tokio::test]
async fn a_ping_stands_between_the_fragments_of_a_message_over_ws() {
    a_ping_stands_between_the_fragments_of_a_message(Transport::Plain).await;
}

#[tokio::test]
async fn a_ping_stands_between_the_fragments_of_a_message_over_wss() {
    a_ping_stands_between_the_fragments_of_a_message(Transport::Tls).await;
}

async fn a_ping_stands_between_the_fragments_of_a_message(transport: Transport) {
    let venue = with_websocket(transport, OFTEN).await;
    for speaker in SPEAKERS {
        let mut pair = Pair::new(&venue).await;
        let reader = speaker.other();
        pair.side(speaker)
            .send(speaker.frame(TEXT_BEGUN, b"one "))
            .await;
        let begun = frame_behind_pings(&mut pair, reader).await;
        assert_eq!(
            (begun.first, &begun.payload[..]),
            (TEXT_BEGUN, &b"one "[..])
        );
        let ping = pair.side(reader).frame().await;
        assert_eq!((ping.first, ping.speaker), (PING, speaker));
        pair.side(speaker)
            .send(speaker.frame(TEXT_ENDED, b"message"))
            .await;
        let ended = frame_behind_pings(&mut pair, reader).await;
        assert_eq!(
            (ended.first, &ended.payload[..]),
            (TEXT_ENDED, &b"message"[..])
        );
    }
}

/// Many intervals pass within a frame, a header and a control frame.
#[tokio::test]
async fn no_ping_stands_within_a_frame() {
    let venue = with_websocket(Transport::Plain, OFTEN).await;
    for speaker in SPEAKERS {
        let mut pair = Pair::new(&venue).await;
        for (first, payload, cut) in [
            (BINARY, vec![3; 300], 40),
            (BINARY, vec![4; 300], 3),
            (PING, vec![5; 100], 50),
        ] {
            let frame = speaker.frame(first, &payload);
            let (head, tail) = frame.split_at(cut);
            pair.side(speaker).send(head).await;
            sleep(Duration::from_millis(150)).await;
            pair.side(speaker).send(tail).await;
            let frame = frame_behind_pings(&mut pair, speaker.other()).await;
            assert_eq!((frame.first, frame.payload), (first, payload));
        }
    }
}

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

#[tokio::test]
async fn compressed_messages_pass_and_pings_stand_between_their_frames() {
    const COMPRESSED: u8 = 0x41;
    let keys = format!("on_protocol_error: close, {OFTEN}");
    let venue = with_websocket(Transport::Plain, &keys).await;
    let mut pair = Pair::agreed(&venue, DEFLATE).await;
    for speaker in SPEAKERS {
        let reader = speaker.other();
        for (first, payload) in [
            (COMPRESSED, &b"\xf2\x48\xcd"[..]),
            (TEXT_ENDED, b"\xc9\xc9\x07\0"),
        ] {
            pair.side(speaker).send(speaker.frame(first, payload)).await;
            let frame = frame_behind_pings(&mut pair, reader).await;
            assert_eq!((frame.first, &frame.payload[..]), (first, payload));
            let ping = pair.side(reader).frame().await;
            assert_eq!(ping.first, PING);
            pair.side(reader)
                .send(reader.frame(PONG, &ping.payload))
                .await;
        }
    }
    // A continuation with RSV1 is wrong also where the extension is agreed.
    pair.client
        .send(Speaker::Client.frame(0x80 | COMPRESSED, b"x"))
        .await;
    pair.client.send(Speaker::Client.frame(0x40, b"x")).await;
    let close = frame_behind_pings(&mut pair, Speaker::Client).await;
    assert_eq!(
        close,
        Frame::close(Speaker::Backend, 1002, "protocol error")
    );
    let passed = frame_behind_pings(&mut pair, Speaker::Backend).await;
    assert_eq!(passed.first, 0x80 | COMPRESSED);
    let close = frame_behind_pings(&mut pair, Speaker::Backend).await;
    assert_eq!(close.first, CLOSE);
}
