"""wsgate as a program: found or built, started on a configuration, asked through its admin address."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from .programs import Program, ProgramFailed, eventually

PROJECT = Path(__file__).resolve().parents[2]


def locate_binary():
    """$WSGATE_BIN where it is given; otherwise a release build of this tree."""
    given = os.environ.get("WSGATE_BIN")
    if given:
        return Path(given).resolve()
    try:
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "wsgate"], cwd=PROJECT, check=True)
        metadata = subprocess.run(
            ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"],
            cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError) as error:
        raise ProgramFailed(f"wsgate could not be built: {error}") from None
    return Path(json.loads(metadata.stdout)["target_directory"]) / "release" / "wsgate"


class Gateway:
    """One running wsgate. The configuration file may be rewritten between reloads."""

    def __init__(self, binary, config_path, admin_port, log_path):
        self.config_path = config_path
        self.admin = f"http://127.0.0.1:{admin_port}"
        self.program = Program("wsgate", [binary, "run", "--config", config_path], log_path)
        if not eventually(self.is_ready_or_ended, timeout_seconds=15) or not self.program.is_running():
            self.program.stop()
            raise ProgramFailed(f"wsgate did not become ready:\n{self.program.log_tail()}")

    @property
    def pid(self):
        return self.program.pid

    def is_ready_or_ended(self):
        return not self.program.is_running() or self.is_ready()

    def is_ready(self):
        try:
            return self.fetch("/readyz") is not None
        except (urllib.error.URLError, OSError):
            return False

    def fetch(self, path, method="GET"):
        """The body of an admin page; an answer that is no 2xx raises."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(self.admin + path, method=method)
        with opener.open(request, timeout=10) as answer:
            return answer.read().decode()

    def post(self, path):
        return self.fetch(path, "POST")

    def metrics(self):
        return Metrics(self.fetch("/metrics"))

    def reload(self):
        self.program.send_signal(signal.SIGHUP)

    def resident_kib(self):
        return int(self._status_field("VmRSS:").split()[0])

    def descriptor_count(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _status_field(self, name):
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(name):
                return line.removeprefix(name).strip()
        raise KeyError(name)

    def stop(self, timeout_seconds=20):
        return self.program.stop(timeout_seconds)


class Metrics:
    """One scrape, in Prometheus' text form."""

    def __init__(self, text):
        self.text = text
        self.samples = [parse_sample(line) for line in text.splitlines() if line and not line.startswith("#")]

    def total(self, name, **labels):
        """The sum over all series of `name` that carry these labels; None where there is no such series."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        values = [value for series, have, value in self.samples if series == name and wanted <= have]
        return sum(values) if values else None


def parse_sample(line):
    """`name{a="b"} 1` as name, the set of its labels and its value."""
    series, value = line.rsplit(" ", 1)
    name, _, labels = series.partition("{")
    return name, set(labels.rstrip("}").split(",")) if labels else set(), float(value)
