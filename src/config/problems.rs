//! All problems of a file, each with its place.

use std::fmt;
use std::sync::Arc;

use super::tree::{NodeId, quote};
use super::yaml;

/// Problems reported for one file; more are only counted.
const MAX_REPORTED: usize = 100;
/// Known names compared with unknown ones of one file; beyond that no name is suggested. A file that a generator has written
/// may have thousands of each.
const MAX_COMPARED: usize = 10_000;
/// Bytes parsed again to find the lines of problems. Each line costs a walk over the whole file; problems beyond this
/// budget, which only files above 80 KiB reach, are reported by the path of their key alone.
const MAX_WALKED: usize = 8 << 20;

/// A place in a file, counted from 1; columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One thing that is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file, as the operator named it.
    pub file: Arc<str>,
    /// Where in the file; `None` if the file as a whole is meant.
    pub position: Option<Position>,
    /// The key, such as `pools.chat.backends[0].url`; empty if the file as a whole is meant.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(formatter, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(formatter, ": {}", self.path)?;
        }
        write!(formatter, ": {}", self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(formatter, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

/// All problems of a file, in the order of their places; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems {
    reported: Vec<Problem>,
    omitted: usize,
}

impl Problems {
    /// A problem of the file as a whole.
    pub(super) fn whole(file: &str, position: Option<Position>, message: String) -> Self {
        let problem = Problem {
            file: file.into(),
            position,
            path: String::new(),
            message,
            suggestion: None,
        };
        Self {
            reported: vec![problem],
            omitted: 0,
        }
    }

    /// The problems, in the order of their places; at most 100.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.reported.iter()
    }

    /// One line for each problem, and one that counts those beyond the first 100.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let more = (self.omitted > 0).then(|| format!("and {} more", self.omitted));
        let reported = self.reported.iter().map(ToString::to_string);
        reported.chain(more).collect()
    }

    /// The number of problems, including those beyond the first 100.
    #[must_use]
    pub fn count(&self) -> usize {
        self.reported.len() + self.omitted
    }
}

impl<'p> IntoIterator for &'p Problems {
    type Item = &'p Problem;
    type IntoIter = std::slice::Iter<'p, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One problem a line.
impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lines().join("\n"))
    }
}

impl std::error::Error for Problems {}

/// The place of a key or a value; [`Findings::locate`] finds its line.
#[derive(Clone, Default, Debug)]
pub(super) struct Place {
    pub(super) id: NodeId,
    pub(super) path: String,
}

impl Place {
    /// The place of something that the file does not contain.
    pub(super) fn nowhere() -> Self {
        Self {
            id: NodeId::MAX,
            path: String::new(),
        }
    }

    /// The place of a key below this one.
    pub(super) fn key(&self, id: NodeId, key: &str) -> Self {
        let separator = if self.path.is_empty() { "" } else { "." };
        Self {
            id,
            path: format!("{}{separator}{key}", self.path),
        }
    }

    /// The place of a list's item below this one.
    pub(super) fn item(&self, id: NodeId, index: usize) -> Self {
        Self {
            id,
            path: format!("{}[{index}]", self.path),
        }
    }
}

/// What is wrong with a value: a message, and what was probably meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) suggestion: Option<String>,
}

impl<M: Into<String>> From<M> for Complaint {
    fn from(message: M) -> Self {
        Self {
            message: message.into(),
            suggestion: None,
        }
    }
}

impl Complaint {
    /// An unknown word; the nearest known one is suggested.
    pub(super) fn unknown<'k>(
        what: &str,
        word: &str,
        known: impl Iterator<Item = &'k str>,
    ) -> Self {
        Self {
            message: format!("{what} {}", quote(word)),
            suggestion: nearest(word, known),
        }
    }
}

/// Collects problems while a file is read and resolved.
#[derive(Default, Debug)]
pub(super) struct Findings {
    found: Vec<(Place, Complaint)>,
    omitted: usize,
    compared: usize,
}

impl Findings {
    /// Adds a problem.
    pub(super) fn add(&mut self, place: &Place, complaint: impl Into<Complaint>) {
        self.add_with(place, || complaint.into());
    }

    /// Adds a problem whose message and suggestion are only computed if it is reported.
    pub(super) fn add_with(&mut self, place: &Place, complaint: impl FnOnce() -> Complaint) {
        if self.is_full() {
            self.omitted += 1;
        } else {
            self.found.push((place.clone(), complaint()));
        }
    }

    /// Adds a name that is unknown; the nearest known one is suggested.
    pub(super) fn add_unknown<'k>(
        &mut self,
        place: &Place,
        what: &str,
        name: &str,
        known: impl ExactSizeIterator<Item = &'k str>,
    ) {
        let is_compared = self.compared < MAX_COMPARED;
        self.compared += known.len();
        let candidates = known.take(if is_compared { usize::MAX } else { 0 });
        self.add_with(place, || Complaint::unknown(what, name, candidates));
    }

    fn is_full(&self) -> bool {
        self.found.len() >= MAX_REPORTED
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The problems with their places in the text.
    pub(super) fn locate(mut self, file: &str, text: &str) -> Problems {
        let file: Arc<str> = file.into();
        let located = MAX_WALKED / text.len().max(1);
        self.found.sort_by_key(|(place, _)| place.id);
        let reported = self
            .found
            .into_iter()
            .enumerate()
            .map(|(index, (place, complaint))| Problem {
                file: Arc::clone(&file),
                position: if index < located {
                    yaml::locate(text, place.id)
                } else {
                    None
                },
                path: place.path,
                message: complaint.message,
                suggestion: complaint.suggestion,
            });
        Problems {
            reported: reported.collect(),
            omitted: self.omitted,
        }
    }
}

/// The known word nearest to a misspelt one, if one is near enough.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    /// No known word is longer, and comparing takes memory by the product of both lengths.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let distances = known.filter_map(|candidate| {
        let most = (candidate.len() / 3).max(1);
        let distance = distance(&word, &candidate.to_lowercase(), most)?;
        Some((distance, candidate))
    });
    let nearest = distances.min_by_key(|(distance, _)| *distance);
    nearest.map(|(_, candidate)| candidate.to_owned())
}

/// How many characters differ, if at most `most`. What both begin and end with is left out, as names of one file often share
/// most of it and comparing takes time by the product of both lengths.
fn distance(one: &str, other: &str, most: usize) -> Option<usize> {
    let length = |(one, other): (char, char)| (one == other).then(|| one.len_utf8());
    let begin: usize = one.chars().zip(other.chars()).map_while(length).sum();
    let (one, other) = (&one[begin..], &other[begin..]);
    let (from_end, from_other_end) = (one.chars().rev(), other.chars().rev());
    let end: usize = from_end.zip(from_other_end).map_while(length).sum();
    let (one, other) = (&one[..one.len() - end], &other[..other.len() - end]);
    let is_near = one.chars().count().abs_diff(other.chars().count()) <= most;
    let distance = is_near.then(|| strsim::damerau_levenshtein(one, other));
    distance.filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_what_differs_least() {
        let known = ["handshake", "connect", "close", "half_close", "caf\u{e9}"];
        for (word, expected) in [
            ("handshke", Some("handshake")),
            ("Conect", Some("connect")),
            ("colse", Some("close")),
            ("closee", Some("close")),
            ("half-close", Some("half_close")),
            ("caf\u{e8}", Some("caf\u{e9}")),
            ("close", Some("close")),
            ("", None),
            ("c", None),
            ("unlike", None),
        ] {
            let nearest = nearest(word, known.into_iter());
            assert_eq!(nearest.as_deref(), expected, "{word}");
        }
    }

    #[test]
    fn suggestions_end_where_they_would_take_long() {
        let known: Vec<String> = (0..3000).map(|number| format!("pool-{number}")).collect();
        let mut findings = Findings::default();
        for _ in 0..6 {
            let names = known.iter().map(String::as_str);
            findings.add_unknown(&Place::default(), "no pool is named", "pol-7", names);
        }
        let told = findings.locate("wsgate.yaml", "");
        let suggested = told.iter().filter_map(|it| it.suggestion.as_deref());
        assert_eq!(suggested.collect::<Vec<_>>(), ["pool-7"; 4]);
    }
}
