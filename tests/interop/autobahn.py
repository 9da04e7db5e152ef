"""The public Autobahn suite: which of its cases are run, and what it found."""

import json
import re
import subprocess

import tools
from rig.programs import ProgramFailed

TIMEOUT_SECONDS = 600  # about one minute where nothing else runs
ATTEMPTS = 3
GROUPS = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
# 8 and 16 MiB, 4 MiB in thousands of fragments, 1 MiB in segments of 64 bytes: the suite itself takes minutes for them.
TOO_LONG = ("9.1.5", "9.1.6", "9.2.5", "9.2.6", "9.3.1", "9.3.2", "9.4.1", "9.4.2", "9.5.1", "9.6.1")
# Each runs 1,000 messages, in 18 sizes: the smallest, and once in each group a larger one that comes in fragments.
DEFLATE = [*(f"12.{group}.1" for group in range(1, 6)), "12.1.11", *(f"13.{group}.1" for group in range(1, 8)), "13.1.11"]
LEFT_OUT = f"Left out for their time: {', '.join(TOO_LONG)}; of 12 and 13 all but size 1, and 11 of the first."
# Seconds. The suite's own are of one second, which a busy machine does not keep.
PATIENCE = {"openHandshakeTimeout": 30, "closeHandshakeTimeout": 10, "serverConnectionDropTimeout": 10}
# What is found, without what differs from run to run: times, keys, and how bytes were cut on their way.
FACTS = ("behavior", "behaviorClose", "received", "remoteCloseCode", "remoteCloseReason", "wasClean", "wasNotCleanReason")


def version():
    """Raises Unavailable where it cannot be installed."""
    tools.wstest()
    pinned = (tools.HERE / "autobahn-requirements.txt").read_text(encoding="ascii")
    return re.search(r"^autobahntestsuite==(.+)$", pinned, re.MULTILINE)[1]


def run(way, url, folder):
    """What each case found, by its number. Most cases end a session after half a second by a clock of the suite's own,
    which on a busy machine is before the answer: what does not conform for that is run again."""
    found, cases = {}, [*GROUPS, *DEFLATE]
    for attempt in range(ATTEMPTS):
        place = folder / f"autobahn-{''.join(letter for letter in way if letter.isalnum())}-{attempt}"
        reports = attempt_cases(cases, url, place)
        found |= {case: {fact: report[fact] for fact in FACTS} for case, report in reports.items()}
        cases = [case for case, report in reports.items() if is_cut_short(report) and not conforms(case, report)]
        if not cases:
            break
    return found


def attempt_cases(cases, url, place):
    """The suite's reports, by the number of the case. Raises ProgramFailed."""
    place.mkdir()
    spec = {
        "outdir": str(place),
        "servers": [{"agent": "echo", "url": url}],
        "options": PATIENCE,
        "cases": cases,
        "exclude-cases": TOO_LONG,
        "exclude-agent-cases": {},
    }
    spec_path = place / "spec.json"
    spec_path.write_text(json.dumps(spec), encoding="ascii")
    command = [tools.wstest(), "-m", "fuzzingclient", "-s", spec_path]
    try:
        with open(place / "wstest.log", "w", encoding="utf-8") as log:
            subprocess.run(command, stdout=log, stderr=log, check=True, timeout=TIMEOUT_SECONDS)
        index = json.loads((place / "index.json").read_text(encoding="utf-8"))["echo"]
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        raise ProgramFailed(f"the suite did not come to its end, see {place}: {error}") from None
    if not index:
        raise ProgramFailed(f"the suite ran no case, see {place}")
    return {case: read_report(place / entry["reportfile"]) for case, entry in index.items()}


def read_report(path):
    return json.loads(path.read_text(encoding="utf-8"))


def is_cut_short(report):
    """Whether the suite's own clock ended the session."""
    return ["KLE"] in report["wirelog"]


def conforms(case, result):
    """FAILED and its like are not in the lists."""
    fine = ("OK", "NON-STRICT", "INFORMATIONAL")
    return result["behavior"] in fine and result["behaviorClose"] in fine
