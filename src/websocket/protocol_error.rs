//! Every way in which a stream of frames can break RFC 6455.

enumeration! {
    /// A violation of RFC 6455. With `on_protocol_error: close` its sender gets Close 1002.
    pub enum ProtocolError {
        /// A reserved bit is set that no negotiated extension uses (section 5.2).
        ReservedBits => "reserved bit without an extension",
        /// The opcode is 3 to 7 or 11 to 15 (section 5.2).
        ReservedOpcode => "reserved opcode",
        /// A control frame is fragmented (section 5.5).
        FragmentedControl => "fragmented control frame",
        /// A control frame announces more than 125 bytes (section 5.5).
        ControlTooLong => "control frame over 125 bytes",
        /// A frame from the client is not masked (section 5.1).
        Unmasked => "unmasked frame from a client",
        /// A frame from the backend is masked (section 5.1).
        Masked => "masked frame from a backend",
        /// A continuation frame comes while no message is unfinished (section 5.4).
        ContinuationWithoutStart => "continuation without a start",
        /// A new message begins before the previous one has ended (section 5.4).
        MessageInterrupted => "message begun inside a message",
        /// A length could have been written in fewer bytes (section 5.2).
        LengthNotMinimal => "length not in its shortest form",
        /// The top bit of a 64-bit length is set (section 5.2).
        LengthTooLarge => "length over 63 bits",
        /// A Close has a payload of one byte, too short for a code (section 5.5.1).
        ClosePayloadTooShort => "close payload of one byte",
        /// A Close has a code that may not go on the wire (section 7.4).
        CloseCodeInvalid => "invalid close code",
        /// The reason of a Close is not UTF-8 (section 5.5.1).
        CloseReasonNotUtf8 => "close reason is not UTF-8",
    }
    /// The `detail` of the session's line in the access log.
    pub fn detail;
}
