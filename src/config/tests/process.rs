//! Problems of settings of the process as a whole.

use super::problems_after;

#[test]
fn a_drain_ends_in_time_with_a_code_that_may_be_sent() {
    assert_eq!(
        problems_after("drain: { grace: 10s, window: 55s }\n"),
        "wsgate.yaml:11:30: drain.window: `grace` (10s) and `window` (55s) together are longer than \
         `deadline` (60s), when whatever is left is cut"
    );
    assert_eq!(
        problems_after("drain: { grace: 90s }\n"),
        "wsgate.yaml:11:17: drain.grace: `grace` (90s) and `window` (0s) together are longer than `deadline` (60s), \
         when whatever is left is cut"
    );
    assert_eq!(
        problems_after("drain: { close_code: 1006 }\n"),
        "wsgate.yaml:11:22: drain.close_code: the code 1006 is never sent by a server; 1000 to 1003, \
         1007 to 1009, 1011 to 1014 and 3000 to 4999 are"
    );
    let reason = "\u{e9}".repeat(62);
    assert_eq!(
        problems_after(&format!("drain: {{ reason: {reason} }}\n")),
        "wsgate.yaml:11:18: drain.reason: has 124 bytes; a Close frame has room for 123"
    );
}
