//! What is not a configuration at all, and that every place is the right one.

use std::fmt::Write;
use std::io::Write as _;
use std::path::Path;

use super::{SOUND, problems};
use crate::config::problems::{Findings, Place};
use crate::config::tree::{Node, Value};
use crate::config::{Position, Written, yaml};

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
fn only_a_line_feed_ends_a_line() {
    let text = "a: \"\u{2028}\"\r\nb: '\u{85}\u{2029}' # \u{2028}\nc: d\n";
    let mut found = places(text);
    found.retain(|character| !"\n\u{85}\u{2028}\u{2029}".contains(character));
    assert_eq!(found, "1:1 {}1:1 a:1:4 2:1 b:2:4 3:1 c:3:4 d");
    let problems = problems("\u{a85}:\u{2028}0");
    assert!(problems.starts_with("wsgate.yaml:1:"), "{problems}");
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
            "wsgate.yaml:2:1: a tab: YAML is indented with spaces only",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "wsgate.yaml:3:1: a second document begins: a configuration is one document",
        ),
        (
            "a: \"\u{1}\"\n",
            "wsgate.yaml:1:5: control characters are not allowed",
        ),
        (
            "log: !big {}\n",
            "wsgate.yaml:1:6: tags such as `!name` have no meaning here",
        ),
        (
            "? [a]\n: b\n",
            "wsgate.yaml:1:3: a key is a text, not a map or a list",
        ),
        ("a: *x\n", "wsgate.yaml:1:4: not valid YAML: unknown anchor"),
        (
            "hosts: [*.example.com]\n",
            "wsgate.yaml:1:10: not valid YAML: did not find expected alphabetic or numeric character, while \
             scanning an alias at line 1 column 9; a value that begins with `*` needs quotes",
        ),
        (
            "address: [::]:8080\n",
            "wsgate.yaml:1:11: not valid YAML: did not find expected node content, while parsing a flow node; \
             an address such as `[::]:8080` needs quotes",
        ),
        (
            "a: { b: ${C} }\n",
            "wsgate.yaml:1:10: not valid YAML: did not find expected ',' or '}', while parsing a flow mapping at \
             line 1 column 4; between brackets `${NAME}` needs quotes",
        ),
        ("- a\n", "wsgate.yaml:1:1: must be a map, not a list"),
        (
            "hello",
            "wsgate.yaml:1:1: must be a map, not the text `hello`",
        ),
        (
            "a: [1, 2\nb: c\n",
            "wsgate.yaml:2:2: not valid YAML: did not find expected ',' or ']', while parsing a \
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

/// Each is left where it becomes one: what follows that place is not read, or the place would be another one.
#[test]
fn bombs_end_early_and_clearly() {
    const DEEP: &str = "maps and lists are nested too deeply";
    const MANY: &str = "the file has too many values, counting those that aliases repeat";
    const REPEATED: &str = "aliases repeat more than any configuration needs";
    let laughs = (b'a'..b'l').fold(String::from("a: &a [x]\n"), |text, letter| {
        let (this, next) = (char::from(letter), char::from(letter + 1));
        format!(
            "{text}{next}: &{next} [{}]\n",
            vec![format!("*{this}"); 9].join(",")
        )
    });
    let many = |value: &str| format!("a: &a {value}\nb: [{}]\n", "*a,".repeat(9000));
    let stairs = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth)));
    for (text, place, message) in [
        ("[".repeat(1 << 20), "1:257: ", DEEP),
        ("{a: ".repeat(1 << 18), "1:1025: ", DEEP),
        ("- ".repeat(1 << 12), "1:65: ", DEEP),
        (stairs.collect(), "33:33: ", DEEP),
        ("a: &a [*a, *a]\n".to_owned(), "1:4: ", DEEP),
        (laughs, " ", REPEATED),
        (many(&format!("[{}]", "x,".repeat(100))), "1:38: ", MANY),
        (many(&"x".repeat(9000)), "1:4: ", MANY),
        ("? ".repeat(1 << 20), "1:800001: ", MANY),
        (format!("[{}", "b,".repeat(1 << 20)), "1:800003: ", MANY),
    ] {
        assert_eq!(problems(&text), format!("wsgate.yaml:{place}{message}"));
    }
}

#[test]
fn brackets_in_comments_and_quotes_are_text() {
    let lines = ["- a # [{", "- \"[{\" # {", "- 'it''s [{'", "# [{"];
    let lines = lines.map(|line| format!("{line}\n").repeat(300));
    assert!(yaml::parse(&lines.concat()).is_ok());
    let open = format!("a: [b's, {}\n", "[".repeat(300));
    assert!(
        problems(&open).contains("nested too deeply"),
        "{}",
        problems(&open)
    );
}

/// Such as a page with drawings.
#[test]
fn brackets_and_commas_in_block_text_are_text() {
    let body = |depth: usize| format!("{}/* don't {{ [,,, */\n\n", " ".repeat(depth)).repeat(300);
    for (begin, depth) in [
        ("a: |", 1),
        ("a: >-", 1),
        ("a: &a |2+ # a page", 2),
        ("- |", 1),
        ("- a: |", 3),
        ("-   - >", 5),
    ] {
        let text = format!("{begin}\n{}", body(depth));
        assert!(yaml::parse(&text).is_ok(), "{begin}");
    }
    for (begin, depth) in [("- a: |\n  b: x", 2), ("a: |\nb: x", 0), ("a: b|", 1)] {
        let text = format!("{begin}\n{}", body(depth));
        assert!(problems(&text).contains("nested too deeply"), "{begin}");
    }
}

/// A hundred problems are told, the lines of as many are looked for as 8 MiB of walking allow, and the rest is counted.
#[test]
fn a_file_of_problems_is_told_in_part() {
    let keys = (0..60_000).map(|number| format!("key{number}: 1\n"));
    let text: String = keys.collect();
    let told = problems(&text);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "wsgate.yaml:1:1: key0: unknown key");
    assert_eq!(lines[99], "wsgate.yaml: key99: unknown key");
    assert_eq!(lines[100..], ["and 59902 more"]);
    let placed = lines.iter().filter(|line| line.starts_with("wsgate.yaml:"));
    let placed = placed.filter(|line| !line.starts_with("wsgate.yaml: "));
    assert_eq!(placed.count(), (8 << 20) / text.len());
}

/// Looking for the nearest key is what costs.
#[test]
fn a_problem_that_is_only_counted_is_not_put_into_words() {
    let mut findings = Findings::default();
    let place = Place::default();
    for _ in 0..100 {
        findings.add(&place, "told");
    }
    findings.add_with(&place, || panic!("nobody is told of it"));
    let told = findings.locate("wsgate.yaml", "");
    assert_eq!((told.iter().count(), told.count()), (100, 101));
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let directory = tempfile::tempdir().expect("directory");
    let load = |path: &Path| {
        let problems = Written::load(path, &|_| None).err().expect("a problem");
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
    assert_eq!(load(&large), "/large.yaml: is larger than 4 MiB");
    let long = format!("{SOUND}{}", "# a remark\n".repeat(300_000));
    let long = write("long.yaml", long.as_bytes());
    assert!(Written::load(&long, &|_| None).is_ok());
    let latin = write("latin.yaml", b"log: {}\nname: caf\xe9\n");
    assert_eq!(load(&latin), "/latin.yaml:2:10: is not UTF-8 from here on");
}
