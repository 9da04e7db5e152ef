//! YAML text to a tree, and from a node back to its line and column.
//!
//! The only user of serde_yaml. That library gives no positions for values, but an error raised
//! while a node is visited carries the position of that node. So [`locate`] walks the text once more and
//! raises an error at the wanted node: a cost that only files with problems pay.

use std::fmt;

use serde::de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use serde_yaml::Deserializer;

use super::problems::Position;
use super::tree::{Kind, Node, NodeId, Pair, Scalar, Value};

/// Values and keys of one file, including those repeated by aliases.
const MAX_NODES: usize = 200_000;
/// Bytes of all values and keys of one file, including those repeated by aliases.
const MAX_TEXT: usize = 4 << 20;
/// Nesting of maps and lists.
const MAX_DEPTH: usize = 32;
/// Brackets open at once; more than [`MAX_DEPTH`], since some may be in strings.
const MAX_BRACKETS: usize = 256;

/// Marks such as `- `, `: ` and `,`: no more than values, but for those in text.
const MAX_MARKS: usize = 2 * MAX_NODES;

const TOO_MANY: &str = "the file has too many values, counting those that aliases repeat";
const TOO_DEEP: &str = "maps and lists are nested too deeply";

/// Why a text cannot be parsed at all.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) position: Option<Position>,
    pub(super) message: String,
}

/// Reads the one document of a text; an empty text is a null node.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let text = without_mark(text);
    check_characters(text)?;
    let mut walk = Walk::default();
    let mut documents = Deserializer::from_str(text);
    let root = match documents.next() {
        Some(first) => NodeSeed(&mut walk).deserialize(first),
        None => NodeSeed(&mut walk).visit_unit(),
    };
    let root = root.map_err(|error| Fault::explain(&error, walk.complaint.as_deref(), text))?;
    match documents.next() {
        None => Ok(root),
        Some(second) => Err(second_document(second, text)),
    }
}

/// The place of a node or key of a text that [`parse`] has read.
pub(super) fn locate(text: &str, id: NodeId) -> Option<Position> {
    let text = without_mark(text);
    let mut walk = Walk {
        wanted: Some(id),
        ..Walk::default()
    };
    let document = Deserializer::from_str(text).next()?;
    let error = NodeSeed(&mut walk).deserialize(document).err()?;
    Position::of(&error, text)
}

/// The text behind a byte order mark.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Rejects what the library would report without a position, or would take very long to parse.
///
/// Its time grows with the square of the brackets open at once, and it holds the whole document before the first value is
/// counted. Quotes and comments are recognised within a line only, and block text by its indentation; a file made to deceive
/// the counts only takes longer, or more memory.
fn check_characters(text: &str) -> Result<(), Fault> {
    let (mut open, mut marks): (usize, usize) = (0, 0);
    let mut block: Option<usize> = None;
    for (number, line) in text.lines().enumerate() {
        let indentation = line.len() - line.trim_start_matches(' ').len();
        let is_text = block.is_some_and(|outer| indentation > outer || line.trim().is_empty());
        if !is_text && line.trim_start().starts_with('#') {
            continue;
        }
        let fault_at = |index: usize, message: &str| {
            let position = Position {
                line: number + 1,
                column: line[..index].chars().count() + 1,
            };
            Err(Fault {
                position: Some(position),
                message: message.to_owned(),
            })
        };
        let is_refused =
            |character: char| character.is_control() && !"\t\u{85}".contains(character);
        if let Some(index) = line.find(is_refused) {
            return fault_at(index, "control characters are not allowed");
        }
        if is_text {
            continue;
        }
        block = block_begins(line);
        for (index, character) in structure(line) {
            match character {
                '[' | '{' if open == MAX_BRACKETS => return fault_at(index, TOO_DEEP),
                '[' | '{' => open += 1,
                ']' | '}' => open = open.saturating_sub(1),
                _ if marks == MAX_MARKS => return fault_at(index, TOO_MANY),
                _ => marks += 1,
            }
        }
    }
    Ok(())
}

/// The indentation that the lines behind this one exceed as far as they are text, if it ends with `|`, `>` or the like.
fn block_begins(line: &str) -> Option<usize> {
    let line = line.split(" #").next().unwrap_or(line).trim_end();
    let entry = line.trim_start_matches([' ', '-']);
    let style = entry.rsplit(' ').next().unwrap_or(entry);
    let signs = style.strip_prefix(['|', '>'])?;
    if !signs.bytes().all(|sign| b"+-123456789".contains(&sign)) {
        return None;
    }
    let indentation = line.len() - entry.len();
    // The text is the value of a list, whose `- ` is as deep as it.
    let is_item = style.len() == entry.len();
    Some(indentation - if is_item { indentation.min(2) } else { 0 })
}

/// The brackets of a line, and the marks of which each value of a list and each key of a map has one; not those in quotes
/// and in a comment.
fn structure(line: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut before, mut quote, mut is_comment) = (' ', None, false);
    line.char_indices().filter(move |(index, character)| {
        let (character, after) = (*character, &line[index + character.len_utf8()..]);
        let ends_word = after.is_empty() || after.starts_with(' ');
        let is_structure = match character {
            _ if is_comment => false,
            _ if quote.is_some() => {
                quote = quote.filter(|quote| *quote != character);
                false
            }
            '#' if before.is_whitespace() => {
                is_comment = true;
                false
            }
            '"' | '\'' if !before.is_alphanumeric() && after.contains(character) => {
                quote = Some(character);
                false
            }
            '-' | '?' | ':' => ends_word,
            _ => "[]{},".contains(character),
        };
        before = character;
        is_structure
    })
}

fn second_document(document: Deserializer<'_>, text: &str) -> Fault {
    let mut walk = Walk {
        wanted: Some(0),
        ..Walk::default()
    };
    let error = NodeSeed(&mut walk).deserialize(document).err();
    Fault {
        position: error.and_then(|error| Position::of(&error, text)),
        message: "a second document begins: a configuration is one document".to_owned(),
    }
}

impl Position {
    /// The position of an error as an editor counts it. The library takes U+0085, U+2028 and U+2029 for ends of lines
    /// too, so only its byte offset is usable.
    fn of(error: &serde_yaml::Error, text: &str) -> Option<Self> {
        let index = error.location()?.index();
        let before = &text[..text.floor_char_boundary(index)];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Some(Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        })
    }
}

impl Fault {
    fn explain(error: &serde_yaml::Error, complaint: Option<&str>, text: &str) -> Self {
        let position = Position::of(error, text);
        let message = match (complaint, position) {
            (Some(complaint), _) => complaint.to_owned(),
            (None, Some(position)) if stands_at_tab(text, position) => {
                "a tab: YAML is indented with spaces only".to_owned()
            }
            (None, Some(position)) => {
                let words = without_place(error);
                let line = text.lines().nth(position.line - 1).unwrap_or_default();
                let hint = missing_quotes(&words, line);
                format!("not valid YAML: {words}{hint}")
            }
            (None, None) if error.to_string().contains("repetition limit") => {
                "aliases repeat more than any configuration needs".to_owned()
            }
            (None, None) => format!("not valid YAML: {error}"),
        };
        Self { position, message }
    }
}

/// The message of an error without its position, which the problem reports itself.
fn without_place(error: &serde_yaml::Error) -> String {
    let words = error.to_string();
    let Some(found) = error.location() else {
        return words;
    };
    let place = format!(" at line {} column {}", found.line(), found.column());
    words.replace(&place, "")
}

/// What to do if a value such as `*.example.com`, `[::]:8080` or `${NAME}` in `line` is to blame, which YAML takes for more
/// than text.
fn missing_quotes(words: &str, line: &str) -> &'static str {
    if words.contains("scanning an alias") {
        "; a value that begins with `*` needs quotes"
    } else if words.contains("expected node content") && line.contains("::") {
        "; an address such as `[::]:8080` needs quotes"
    } else if words.contains("did not find expected ','") && line.contains("${") {
        "; between brackets `${NAME}` needs quotes"
    } else {
        ""
    }
}

fn stands_at_tab(text: &str, position: Position) -> bool {
    let line = text
        .lines()
        .nth(position.line.saturating_sub(1))
        .unwrap_or_default();
    let indentation = &line[..line.len() - line.trim_start().len()];
    line.chars().nth(position.column.saturating_sub(1)) == Some('\t') || indentation.contains('\t')
}

/// The state of one walk over a document.
#[derive(Default)]
struct Walk {
    next: NodeId,
    text: usize,
    depth: usize,
    /// The node at which an error is raised, to learn its position.
    wanted: Option<NodeId>,
    /// The problem with the document, in our own words.
    complaint: Option<String>,
}

impl Walk {
    /// Counts one node or key and returns its number.
    fn count<E: Error>(&mut self, text: &str) -> Result<NodeId, E> {
        let id = self.next;
        if self.wanted == Some(id) {
            return Err(E::custom("here"));
        }
        self.next += 1;
        self.text += text.len();
        if self.next > MAX_NODES || self.text > MAX_TEXT {
            return Err(self.complain(TOO_MANY));
        }
        Ok(id)
    }

    fn enter<E: Error>(&mut self) -> Result<NodeId, E> {
        let id = self.count("")?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.complain(TOO_DEEP));
        }
        Ok(id)
    }

    fn complain<E: Error>(&mut self, message: &str) -> E {
        self.complaint = Some(message.to_owned());
        E::custom(message)
    }
}

struct NodeSeed<'w>(&'w mut Walk);

impl NodeSeed<'_> {
    fn scalar<E: Error>(self, kind: Kind, text: impl Into<String>) -> Result<Node, E> {
        let scalar = Scalar::new(kind, text);
        Ok(Node {
            id: self.0.count(&scalar.text)?,
            value: Value::Scalar(scalar),
        })
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        from.deserialize_any(self)
    }
}

/// The methods for scalars that are not text.
macro_rules! visit_scalars {
    ($($method:ident($of:ty) => $kind:expr),+) => {$(
        fn $method<E: Error>(self, value: $of) -> Result<Node, E> {
            self.scalar($kind, value.to_string())
        }
    )+};
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.scalar(Kind::Null, "")
    }

    /// The library calls it for an empty document.
    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    visit_scalars! {
        visit_bool(bool) => Kind::Boolean,
        visit_i64(i64) => Kind::Number,
        visit_u64(u64) => Kind::Number,
        visit_i128(i128) => Kind::Number,
        visit_u128(u128) => Kind::Number,
        visit_f64(f64) => Kind::Number
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        self.scalar(Kind::Text, value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let walk = self.0;
        let id = walk.enter()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(NodeSeed(walk))? {
            list.push(item);
        }
        walk.depth -= 1;
        Ok(Node {
            id,
            value: Value::List(list),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let walk = self.0;
        let id = walk.enter()?;
        let mut map = Vec::new();
        while let Some((key_id, key)) = entries.next_key_seed(KeySeed(walk))? {
            let value = entries.next_value_seed(NodeSeed(walk))?;
            map.push(Pair { key, key_id, value });
        }
        walk.depth -= 1;
        Ok(Node {
            id,
            value: Value::Map(map),
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Node, A::Error> {
        Err(self.0.complain("tags such as `!name` have no meaning here"))
    }
}

struct KeySeed<'w>(&'w mut Walk);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = (NodeId, String);

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        // Not `deserialize_any`: keys are taken as written; `8443` and `true` are names like any other.
        let walk = self.0;
        from.deserialize_str(KeySeed(walk)).inspect_err(|_| {
            walk.complaint
                .get_or_insert_with(|| "a key is a text, not a map or a list".to_owned());
        })
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = (NodeId, String);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key that is text")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok((self.0.count(key)?, key.to_owned()))
    }
}
