"""What a load runs on: four backends, wsgate in front of them, and its configuration, rewritten as often as asked."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from rig.certificate import make_certificate
from rig.gateway import Gateway, locate_binary
from rig.programs import Program, free_ports
from sessions import Entrance

HERE = Path(__file__).resolve().parent
TLS_EVERY = 4
BACKEND_NAMES = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Variant:
    """What differs between two configurations."""

    has_extra_route: bool = False
    has_extra_listener: bool = False
    weight_of_b: int = 1
    certificate: int = 0


class Stage:
    """Everything that runs; `stop` ends it."""

    request_header_seconds = 10
    drain_window_seconds = 1
    drain_deadline_seconds = 5

    def __init__(self, folder):
        self.folder = folder
        self.certificates = [make_certificate(folder, f"certificate-{number}") for number in range(2)]
        self.plain_port, self.secure_port, self.extra_port, self.admin_port = free_ports(4)
        self.backends = {}
        for name in BACKEND_NAMES:
            self.start_backend(name)
        self.config_path = folder / "wsgate.yaml"
        self.write(Variant())
        try:
            self.gateway = Gateway(locate_binary(), self.config_path, self.admin_port, folder / "wsgate.log")
        except BaseException:
            self.stop_backends()
            raise

    def start_backend(self, name, port=0):
        command = [sys.executable, HERE / "echo_backend.py", name, str(port)]
        program = Program(f"backend {name}", command, self.folder / f"backend-{name}.log")
        program.port = int(program.wait_for_line("listening "))
        self.backends[name] = program

    def stop_backends(self):
        for program in self.backends.values():
            program.stop()

    def stop(self):
        """The exit code of wsgate."""
        try:
            return self.gateway.stop()
        finally:
            self.stop_backends()

    def entrance(self, number):
        """Where session `number` comes in: one in TLS_EVERY through TLS."""
        is_tls = number % TLS_EVERY == 0
        return Entrance(self.secure_port if is_tls else self.plain_port, "/load", is_tls)

    def write(self, variant):
        """Certificate and key are replaced in place, as certbot and its like do."""
        chosen = self.certificates[variant.certificate]
        replace(chosen.certificate, self.folder / "current.crt")
        replace(chosen.key, self.folder / "current.key")
        pending = self.folder / "wsgate.yaml.new"
        pending.write_text(self.configuration(variant), encoding="utf-8")
        os.replace(pending, self.config_path)

    def configuration(self, variant):
        ports = {name: program.port for name, program in self.backends.items()}
        return CONFIGURATION.format(
            stage=self,
            ports=ports,
            weight_of_b=variant.weight_of_b,
            extra_listener=EXTRA_LISTENER.format(stage=self) if variant.has_extra_listener else "",
            extra_route=EXTRA_ROUTE if variant.has_extra_route else "",
        )


def replace(source, destination):
    pending = destination.with_suffix(".new")
    shutil.copyfile(source, pending)
    os.replace(pending, destination)


CONFIGURATION = """\
admin:
  address: 127.0.0.1:{stage.admin_port}

log:
  format: json
  level: info

# The generator may be slow to ask and to answer.
defaults:
  timeouts: {{ close: 30s }}

listeners:
  plain:
    address: 127.0.0.1:{stage.plain_port}
    timeouts: {{ request_header: {stage.request_header_seconds}s }}
  secure:
    address: 127.0.0.1:{stage.secure_port}
    timeouts: {{ request_header: {stage.request_header_seconds}s }}
    tls:
      handshake_timeout: 60s
      certificates:
        - {{ certificate: "{stage.folder}/current.crt", key: "{stage.folder}/current.key" }}
{extra_listener}
routes:
  load:
    match: {{ path: /load }}
    origins: {{ allow: ["https://app.example.com"], missing: deny }}
    pool: load
{extra_route}
pools:
  load:
    strategy: round_robin
    attempts: 3
    backends:
      - {{ name: a, url: "ws://127.0.0.1:{ports[a]}", weight: 1 }}
      - {{ name: b, url: "ws://127.0.0.1:{ports[b]}", weight: {weight_of_b} }}
      - {{ name: c, url: "ws://127.0.0.1:{ports[c]}", weight: 1 }}
      - {{ name: d, url: "ws://127.0.0.1:{ports[d]}", weight: 1 }}

drain: {{ window: {stage.drain_window_seconds}s, deadline: {stage.drain_deadline_seconds}s }}
"""

EXTRA_LISTENER = """\
  extra:
    address: 127.0.0.1:{stage.extra_port}
"""

EXTRA_ROUTE = """\
  extra:
    match: { path: /extra }
    origins: { allow: ["https://app.example.com"] }
    pool: load
"""
