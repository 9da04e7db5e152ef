//! A configuration file as a tree, in which keys have no meaning yet.
//!
//! Nodes have no line and column. Each has a number in the order of the file, and `yaml::locate` finds the
//! position of that number when a problem is reported.

/// The number of a node or of a key, counted in the order of the file from 0.
pub(super) type NodeId = usize;

/// One value of the file.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Pair>),
}

/// A key and its value; a map may still contain a key twice.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) key_id: NodeId,
    pub(super) value: Node,
}

/// A single value, as text.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// The type that YAML gave a scalar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    /// Expanded from the environment, which has text only: accepted as any kind.
    Expanded,
}

impl Node {
    /// Whether there is no value: `key:` or `key: null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.kind == Kind::Null)
    }

    /// The node in words, for `must be this, not that`.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Scalar(scalar) => scalar.describe(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

impl Scalar {
    /// A scalar of this kind.
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// The text, where text was written.
    pub(super) fn as_text(&self) -> Option<&str> {
        matches!(self.kind, Kind::Text | Kind::Expanded).then_some(&*self.text)
    }

    /// The digits, where a number was written.
    pub(super) fn as_number(&self) -> Option<&str> {
        matches!(self.kind, Kind::Number | Kind::Expanded).then_some(&*self.text)
    }

    /// The digits of a whole number that lacks its unit.
    pub(super) fn as_bare_number(&self) -> Option<&str> {
        let is_whole = self.text.bytes().all(|byte| byte.is_ascii_digit());
        (self.kind == Kind::Number && is_whole).then_some(&*self.text)
    }

    /// The boolean, where one was written.
    pub(super) fn as_boolean(&self) -> Option<bool> {
        match (self.kind, &*self.text) {
            (Kind::Boolean | Kind::Expanded, "true") => Some(true),
            (Kind::Boolean | Kind::Expanded, "false") => Some(false),
            _ => None,
        }
    }

    fn describe(&self) -> String {
        match self.kind {
            Kind::Null => "empty".to_owned(),
            Kind::Boolean => format!("the boolean {}", self.text),
            Kind::Number => format!("the number {}", self.text),
            Kind::Text | Kind::Expanded => format!("the text {}", quote(&self.text)),
        }
    }
}

/// Text from the file between backticks, cut where it is long.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let printable: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    let more = if text.chars().nth(LONGEST).is_some() {
        "…"
    } else {
        ""
    };
    format!("`{printable}{more}`")
}
