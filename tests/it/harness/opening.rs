//! An opening handshake as bytes, sound unless a scenario spoils it.

/// The key that every opening handshake has here (RFC 6455 section 1.3).
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What answers [`KEY`].
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The head of a request, field by field.
#[derive(Clone)]
pub(crate) struct Opening {
    line: String,
    fields: Vec<(String, String)>,
}

impl Opening {
    /// A sound opening handshake for `target` at the host `gateway.test`.
    pub(crate) fn to(target: &str) -> Self {
        let fields = [
            ("Host", "gateway.test"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            line: format!("GET {target} HTTP/1.1"),
            fields: fields.map(owned).into(),
        }
    }

    /// With another request line.
    pub(crate) fn line(mut self, line: &str) -> Self {
        line.clone_into(&mut self.line);
        self
    }

    /// With one more field, which may be there already.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without the fields of this name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self
    }

    /// With this value instead of the one that the field has.
    pub(crate) fn set(self, name: &str, value: &str) -> Self {
        self.without(name).with(name, value)
    }

    /// As it goes out.
    pub(crate) fn text(&self) -> String {
        let fields = self.fields.iter();
        let fields: String = fields
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        format!("{}\r\n{fields}\r\n", self.line)
    }
}
