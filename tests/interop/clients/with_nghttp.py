"""HTTP/2 by nghttp, which shows the frames. Usage: with_nghttp.py PLAN; prints one line of JSON per case.

The pages are those of backends/with_http.mjs.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

PATTERN = b"0123456789abcdefghijklmnopqrstuvwxyz\n"
LARGE = 4 << 20


class Nghttp:
    """nghttp on one target."""

    def __init__(self, plan, target):
        self.program = plan["nghttp"]
        self.folder = Path(plan["folder"])
        self.base = target["url"].replace("ws", "http", 1)

    def __call__(self, path, *options):
        """What it writes: bodies, or frames with --verbose."""
        command = [self.program, "--timeout=30s", "--no-verify-peer", *options, f"{self.base}/{path}"]
        done = subprocess.run(command, capture_output=True, check=False)
        expect(done.returncode == 0, f"exit code {done.returncode}: {done.stderr!r:.300}")
        return done.stdout

    def file(self, content):
        path = self.folder / "nghttp-upload"
        path.write_bytes(content)
        return path


# === the cases ===


def get(nghttp):
    for size in (0, 1, 65_536, LARGE):
        body = nghttp(f"bytes?size={size}")
        expect(body == pattern(size), f"{len(body)} bytes of {size}, or other ones")


def together(nghttp):
    body = nghttp("bytes?size=37", "--multiply=100")
    expect(body == pattern(37) * 100, f"{len(body)} bytes of 3700, or other ones")


def upload(nghttp):
    seen = json.loads(nghttp("inspect", f"--data={nghttp.file(pattern(LARGE))}"))
    want = (LARGE, hashlib.sha256(pattern(LARGE)).hexdigest())
    expect((seen["size"], seen["sha256"]) == want, f"{seen['size']} bytes arrived, or other ones")


def trailers(nghttp):
    """A body of unknown length, as those of known length have none in HTTP/1.1."""
    options = (f"--data={nghttp.file(b'body')}", "--no-content-length", "--trailer=x-checksum: 4711")
    seen = json.loads(nghttp("inspect", *options))
    expect(seen["trailers"] == {"x-checksum": "4711"}, f"trailers: {seen['trailers']}")


def continuations(nghttp):
    """It sends 32 KiB of fields in CONTINUATION frames, which is more than the gateway takes."""
    frames = nghttp("bytes?size=1", "--verbose", "--continuation", "--null-out").decode(errors="replace")
    expect(":status: 431" in frames, f"not refused: {frames[-300:]}")


CASES = [
    ("GET, up to 4 MiB", get, ()),
    ("100 requests at once", together, ()),
    ("upload of 4 MiB", upload, ()),
    ("trailers of a request", trailers, ("trailers",)),
    ("a head too large in CONTINUATION", continuations, ("head-limit",)),
]


# === what they are made of ===


def pattern(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def expect(holds, reason):
    if not holds:
        raise AssertionError(reason)


def main():
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for target in plan["targets"]:
        for name, case, needs in CASES:
            if plan["only"] in name and set(needs) <= set(target["features"]):
                judge(name, case, Nghttp(plan, target), target)


def judge(name, case, nghttp, target):
    try:
        case(nghttp)
        reason = ""
    except (AssertionError, OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
    print(json.dumps(["FAIL" if reason else "PASS", target["name"], name, reason]), flush=True)


main()
