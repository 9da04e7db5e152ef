//! What is no configuration at all, and that every place is the right one.

use std::fmt::Write;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::problems;
use crate::config::tree::{Node, Value};
use crate::config::{Config, Position, yaml};

/// Line and column of every key and value, in the order of the file.
fn places(text: &str) -> String {
    let mut lines = String::new();
    list(text, &yaml::parse(text).expect("sound"), &mut lines);
    lines
}

fn list(text: &str, node: &Node, lines: &mut String) {
    let mut tell = |id, what: &str| {
        let Position { line, column } = yaml::locate(text, id).expect("place");
        writeln!(lines, "{line}:{column} {what}").expect("written");
    };
    match &node.value {
        Value::Scalar(scalar) => tell(node.id, &scalar.text),
        Value::List(items) => {
            tell(node.id, "[]");
            items.iter().for_each(|item| list(text, item, lines));
        }
        Value::Map(pairs) => {
            tell(node.id, "{}");
            for pair in pairs {
                let Position { line, column } = yaml::locate(text, pair.key_id).expect("place");
                writeln!(lines, "{line}:{column} {}:", pair.key).expect("written");
                list(text, &pair.value, lines);
            }
        }
    }
}

#[test]
fn places_in_block_style() {
    let text = "# head\n\none:\n  two: 2\n  list:\n  - a\n  - b: c\n    d: 'e'\n";
    let expected = "3:1 {}\n3:1 one:\n4:3 {}\n4:3 two:\n4:8 2\n5:3 list:\n6:3 []\n6:5 a\n7:5 {}\n\
                    7:5 b:\n7:8 c\n8:5 d:\n8:8 e\n";
    assert_eq!(places(text), expected);
}

#[test]
fn places_in_flow_style_count_characters() {
    let text = "a: { b: [1, \"\u{e9}\u{1f600}\", true],\n  c: {} }\nd: |\n  text\ne: ~\n";
    let expected = "1:1 {}\n1:1 a:\n1:4 {}\n1:6 b:\n1:9 []\n1:10 1\n1:13 \u{e9}\u{1f600}\n1:19 true\n\
                    2:3 c:\n2:6 {}\n3:1 d:\n3:4 text\n\n5:1 e:\n5:4 \n";
    assert_eq!(places(text), expected);
}

#[test]
fn a_repeated_value_stands_where_it_was_written() {
    assert_eq!(
        places("a: &x 1\nb: *x\n"),
        "1:1 {}\n1:1 a:\n1:4 1\n2:1 b:\n1:4 1\n"
    );
}

#[test]
fn what_is_no_document_is_told_with_its_place() {
    let cases = [
        (
            "",
            "wsgate.yaml: is empty: `listeners` and `routes` are needed at least",
        ),
        (
            "# nothing\n",
            "wsgate.yaml: is empty: `listeners` and `routes` are needed at least",
        ),
        (
            "log:\n\tlevel: info\n",
            "wsgate.yaml:2:1: a tab stands here: YAML is indented with spaces only",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "wsgate.yaml:3:1: a second document begins: a configuration is one document",
        ),
        (
            "a: \"\u{1}\"\n",
            "wsgate.yaml:1:5: a control character stands here",
        ),
        (
            "log: !big {}\n",
            "wsgate.yaml:1:6: tags such as `!name` have no meaning here",
        ),
        (
            "? [a]\n: b\n",
            "wsgate.yaml:1:3: a key is a text, not a map or a list",
        ),
        (
            "a: *x\n",
            "wsgate.yaml:1:4: this is no YAML: unknown anchor",
        ),
        ("- a\n", "wsgate.yaml:1:1: must be a map, not a list"),
        (
            "hello",
            "wsgate.yaml:1:1: must be a map, not the text `hello`",
        ),
        (
            "a: [1, 2\nb: c\n",
            "wsgate.yaml:2:2: this is no YAML: did not find expected ',' or ']', while parsing a \
             flow sequence at line 1 column 4",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text), expected, "{text:?}");
    }
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    assert_eq!(
        problems("\u{feff}- a\n"),
        "wsgate.yaml:1:1: must be a map, not a list"
    );
}

#[test]
fn bombs_end_fast_and_clearly() {
    const DEEP: &str = "maps and lists stand too deep within each other";
    const MANY: &str = "the file holds too many values, counting what aliases repeat";
    const REPEATED: &str = "aliases repeat more than any configuration needs";
    let laughs = (b'a'..b'l').fold(String::from("a: &a [x]\n"), |text, letter| {
        let (this, next) = (char::from(letter), char::from(letter + 1));
        format!(
            "{text}{next}: &{next} [{}]\n",
            vec![format!("*{this}"); 9].join(",")
        )
    });
    let cases = [
        ("[".repeat(1 << 20), DEEP),
        ("{a: ".repeat(1 << 18), DEEP),
        ("- ".repeat(1 << 12), DEEP),
        (
            (0..200)
                .map(|depth| format!("{}a:\n", " ".repeat(depth)))
                .collect(),
            DEEP,
        ),
        ("a: &a [*a, *a]\n".to_owned(), DEEP),
        (laughs, REPEATED),
        (
            format!(
                "a: &a [{}]\nb: [{}]\n",
                "x,".repeat(100),
                "*a,".repeat(9000)
            ),
            MANY,
        ),
        (
            format!("a: &a {}\nb: [{}]\n", "x".repeat(9000), "*a,".repeat(9000)),
            MANY,
        ),
    ];
    for (text, message) in cases {
        let start = Instant::now();
        let told = problems(&text);
        assert!(told.ends_with(message), "{told}");
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{message}: {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_file_of_problems_ends_fast() {
    let start = Instant::now();
    let told = problems(
        &(0..60_000)
            .map(|number| format!("key{number}: 1\n"))
            .collect::<String>(),
    );
    assert_eq!(
        told.lines().next(),
        Some("wsgate.yaml:1:1: key0: unknown key")
    );
    assert_eq!(
        told.lines().nth(99),
        Some("wsgate.yaml: key99: unknown key")
    );
    assert_eq!(told.lines().last(), Some("and 59902 more"));
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let directory = tempfile::tempdir().expect("directory");
    let load = |path: &Path| {
        let problems = Config::load(path, &|_| None).expect_err("a problem");
        problems
            .to_string()
            .replace(&directory.path().display().to_string(), "")
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::File::create(&path)
            .and_then(|mut file| file.write_all(bytes))
            .expect("written");
        path
    };
    let missing = directory.path().join("missing.yaml");
    assert_eq!(
        load(&missing),
        "/missing.yaml: cannot be read: No such file or directory (os error 2)"
    );
    assert_eq!(load(directory.path()), ": is a directory, not a file");
    let large = write("large.yaml", &vec![b'#'; 10 << 20]);
    assert_eq!(
        load(&large),
        "/large.yaml: is larger than 1 MiB, which no configuration is"
    );
    let latin = write("latin.yaml", b"log: {}\nname: caf\xe9\n");
    assert_eq!(load(&latin), "/latin.yaml:2:10: is not UTF-8 from here on");
}
