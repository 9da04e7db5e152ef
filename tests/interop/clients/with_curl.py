"""HTTP by curl, in HTTP/1.1 and HTTP/2. Usage: with_curl.py PLAN; prints one line of JSON per case.

The pages are those of backends/with_http.mjs.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

PATTERN = b"0123456789abcdefghijklmnopqrstuvwxyz\n"
LARGE = 16 << 20
HOLD_SECONDS = 25


@dataclass
class Answer:
    """What curl made of one or several requests: one head (status line, headers, trailers) a message."""

    exit_code: int
    heads: list
    body: bytes
    said: str

    @property
    def status(self):
        return int(self.heads[-1].split()[1])

    def header(self, name):
        for line in self.heads[-1].splitlines()[1:]:
            have, _, value = line.partition(":")
            if have.lower() == name:
                return value.strip()
        return None


class Curl:
    """curl on one target in one version of HTTP."""

    def __init__(self, plan, target, version):
        self.plan = plan
        self.version = version
        self.base = target["url"].replace("ws", "http", 1)
        self.folder = Path(tempfile.mkdtemp(prefix="wsgate-interop-curl-"))

    def command(self, *arguments):
        quietly = ("--silent", "--show-error", "--max-time", "40", "--cacert", self.plan["ca"])
        return [self.plan["curl"], *quietly, f"--http{self.version}", *arguments]

    def url(self, path):
        return f"{self.base}/{path}"

    def __call__(self, path, *arguments, data=None, paths=()):
        """Requests `path`, then `paths` on the same connection."""
        heads, body = self.folder / "heads", self.folder / "body"
        body.write_bytes(b"")
        outputs = [word for each in (path, *paths) for word in (self.url(each), "--output", body)]
        options = ("--dump-header", heads, "--globoff", *arguments)
        done = subprocess.run(self.command(*options, *outputs), input=data, capture_output=True, check=False)
        said = (done.stdout + done.stderr).decode(errors="replace")
        messages = [part for part in heads.read_text().split("HTTP/") if part.strip()] if heads.exists() else []
        return Answer(done.returncode, messages, body.read_bytes(), said)

    def release(self, request_id):
        deadline = time.monotonic() + 10
        while self("release?id=" + request_id).status != 200:
            expect(time.monotonic() < deadline, "the request never arrived")
            time.sleep(0.05)


# === the cases ===


def get(curl):
    for size in (0, 1, 100, 65_536, LARGE):
        for query in (f"bytes?size={size}", f"bytes?size={size}&chunked"):
            answer = curl(query)
            expect_same(answer.status, 200)
            expect(answer.body == pattern(size), f"{query}: {len(answer.body)} bytes, or other ones")


def head(curl):
    answer = curl("bytes?size=5000", "--head", "--write-out", "%{num_connects} ", paths=["bytes?size=7"])
    expect_same((answer.exit_code, answer.header("content-length"), answer.said), (0, "7", "1 0 "))


def without_body(curl):
    for code in (204, 304):
        answer = curl(f"status?code={code}", "--write-out", "%{num_connects} ", paths=["bytes?size=3"])
        expect_same((answer.exit_code, answer.body), (0, pattern(3)))
        expect_same(answer.said, "1 0 ")


def method_and_target(curl):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"):
        seen = inspect(curl, "inspect/a%2Fb/c%20d?x=%20&y=%2B+&z", "--request", method)
        expect_same((seen["method"], seen["path"]), (method, "/http/inspect/a%2Fb/c%20d?x=%20&y=%2B+&z"))


def upload(curl):
    for size in (0, 10, LARGE):
        expect_uploaded(inspect(curl, "inspect", "--data-binary", "@-", data=pattern(size)), size)


def upload_of_unknown_length(curl):
    seen = inspect(curl, "inspect", "--upload-file", "-", data=pattern(LARGE))
    expect_uploaded(seen, LARGE)
    expect(header(seen, "content-length") is None, "it became one of known length")


def continued(curl):
    answer = curl("inspect", "--header", "Expect: 100-continue", "--expect100-timeout", "30", "--data-binary", "@-",
        data=pattern(2 << 20))  # fmt: skip
    expect_same(answer.status, 200)
    expect(answer.heads[0].split()[1] == "100", f"no 100 before it: {answer.heads}")
    expect_uploaded(json.loads(answer.body), 2 << 20)


def trailers(curl):
    answer = curl("trailers", "--header", "TE: trailers")
    expect_same(answer.body, b"body, then trailers\n")
    expect_same(answer.header("x-checksum"), "4711")


def events(curl):
    """The first event is here while the backend has not written the second one."""
    request_id = uuid.uuid4().hex
    command = curl.command("--no-buffer", curl.url(f"events?id={request_id}"))
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        expect_same(process.stdout.readline(), b"data: first\n")
        curl.release(request_id)
        expect_same((process.stdout.read(), process.wait()), (b"\ndata: second\n\n", 0))
    finally:
        process.kill()


def long_poll(curl):
    request_id = uuid.uuid4().hex
    answers = []
    other = Curl(curl.plan, {"url": curl.base}, curl.version)
    asking = threading.Thread(target=lambda: answers.append(other(f"hold?id={request_id}")))
    asking.start()
    time.sleep(HOLD_SECONDS)
    curl.release(request_id)
    asking.join()
    expect_same((answers[0].status, answers[0].body), (200, b"released\n"))


def client_gone(curl):
    request_id = uuid.uuid4().hex
    expect_same(curl(f"vanish?id={request_id}", "--max-time", "1").exit_code, 28)
    deadline = time.monotonic() + 10
    while curl(f"gone?id={request_id}").status != 200:
        expect(time.monotonic() < deadline, "the backend's request goes on")
        time.sleep(0.05)


def connection_kept(curl):
    answer = curl("bytes?size=1", "--write-out", "%{num_connects} ", paths=["bytes?size=2", "bytes?size=3"])
    expect_same(answer.said, "1 0 0 ")


def hop_by_hop(curl):
    forged = ["Connection: X-Secret, Host", "X-Secret: 1", "Keep-Alive: 5", "Proxy-Connection: keep-alive"]
    seen = inspect(curl, "inspect", *(word for line in forged for word in ("--header", line)))
    for name in ("x-secret", "keep-alive", "proxy-connection"):
        expect(header(seen, name) is None, f"{name} reached the backend")
    expect(header(seen, "host"), "Host did not reach the backend")


def forged_forwarded(curl):
    seen = inspect(curl, "inspect", "--header", "X-Forwarded-For: 192.0.2.1", "--header", "X-Real-IP: 192.0.2.1")
    expect_same(header(seen, "x-forwarded-for"), "127.0.0.1")
    expect_same(header(seen, "x-real-ip"), "127.0.0.1")
    expect_same(header(seen, "x-forwarded-proto"), curl.base.partition(":")[0])


def version(curl):
    expect_same(curl("bytes?size=1", "--write-out", "%{http_version}").said, curl.version)


# Name, case, what stands in front must be able to, versions.
BOTH = ("1.1", "2")
CASES = [
    ("version", version, (), BOTH),
    ("GET, up to 16 MiB", get, (), BOTH),
    ("HEAD", head, (), BOTH),
    ("204 and 304", without_body, (), BOTH),
    ("method and target", method_and_target, (), BOTH),
    ("upload, up to 16 MiB", upload, (), BOTH),
    ("upload of unknown length", upload_of_unknown_length, ("streamed-uploads",), BOTH),
    ("Expect: 100-continue", continued, (), ("1.1",)),  # curl sends none in HTTP/2
    ("trailers", trailers, ("trailers",), BOTH),
    ("server-sent events unbuffered", events, (), BOTH),
    (f"held for {HOLD_SECONDS} s", long_poll, (), ("1.1",)),
    ("client gone", client_gone, (), BOTH),
    ("connection kept", connection_kept, (), BOTH),
    ("hop-by-hop fields", hop_by_hop, ("hop-by-hop",), ("1.1",)),
    ("forged X-Forwarded-For", forged_forwarded, ("forwarded",), BOTH),
]


# === what they are made of ===


def inspect(curl, path, *arguments, **options):
    answer = curl(path, *arguments, **options)
    expect_same((answer.exit_code, answer.heads and answer.status), (0, 200))
    return json.loads(answer.body)


def header(seen, name):
    return next((value for have, value in seen["headers"] if have.lower() == name), None)


def pattern(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def expect_uploaded(seen, size):
    expect_same((seen["size"], seen["sha256"]), (size, hashlib.sha256(pattern(size)).hexdigest()))


def expect(holds, reason):
    if not holds:
        raise AssertionError(reason)


def expect_same(have, want):
    expect(have == want, f"got {have!r:.160}, not {want!r:.160}")


def main():
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for target in plan["targets"]:
        is_secure = target["url"].startswith("wss:")
        for name, case, needs, versions in CASES:
            for http_version in versions if is_secure and "http2" in target["features"] else versions[:1]:
                if plan["only"] in name and set(needs) <= set(target["features"]):
                    judge(name, case, Curl(plan, target, http_version), target)


def judge(name, case, curl, target):
    try:
        case(curl)
        reason = ""
    except (AssertionError, OSError, ValueError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
    print(json.dumps(["FAIL" if reason else "PASS", target["name"], f"{name}, HTTP/{curl.version}", reason]), flush=True)


main()
