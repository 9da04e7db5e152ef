"""What is measured, and the backend behind it: how each is started, and what it has used."""

import os
import shutil
import string
import sys
from pathlib import Path

from rig.programs import Program, ProgramFailed, eventually, free_ports, is_listening

CONFIGS = Path(__file__).resolve().parent / "configs"
PROXY_CORE, GENERATOR_CORE = 0, 1

# nginx keeps no connection to a backend unless it is told to in three places.
KEPT = {"KEEPALIVE": "keepalive 128;", "TO_BACKENDS": 'proxy_http_version 1.1; proxy_set_header Connection "";'}
NOT_KEPT = {"KEEPALIVE": "", "TO_BACKENDS": ""}


class Stage:
    """The folder of a run, its certificate, and the backend."""

    def __init__(self, folder, certificate):
        self.folder = folder
        both = folder / "certificate-and-key.pem"
        both.write_text(certificate.certificate.read_text() + certificate.key.read_text(), encoding="ascii")
        os.chmod(folder, 0o755)  # nginx's worker reads the pages as another user
        (folder / "pages").mkdir()
        (folder / "pages" / "16k").write_bytes(b"0123456789abcdef" * 1024)
        (self.origin_port,) = free_ports(1)
        self.names = {
            "FOLDER": folder,
            "CERTIFICATE": certificate.certificate,
            "KEY": certificate.key,
            "CERTIFICATE_AND_KEY": both,
            "ORIGIN_PORT": self.origin_port,
            "BODY_OF_100": "x" * 100,
        }
        config = self.fill_in("origin.conf", {})
        self.origin = self.start("origin", ["nginx", "-c", config, "-p", folder], GENERATOR_CORE, self.origin_port)

    def fill_in(self, template, names):
        path = self.folder / template
        text = string.Template((CONFIGS / template).read_text(encoding="utf-8"))
        path.write_text(text.substitute({**self.names, **names}), encoding="utf-8")
        return path

    def start(self, name, command, core, port):
        """Raises ProgramFailed where it does not listen in time."""
        program = Program(name, ["taskset", "-c", core, *command], self.folder / f"{name}.log")
        if not eventually(lambda: is_listening(port) or not program.is_running()) or not program.is_running():
            program.stop()
            raise ProgramFailed(f"{name} does not listen: {program.log_tail()}")
        return program

    def stop(self):
        self.origin.stop()


class Proxy:
    """One proxy by name, on ports of its own; freshly started for each figure."""

    def __init__(self, name, template, command, names=None):
        self.name = name
        self.template = template
        self.command = command
        self.names = names or {}

    def is_installed(self):
        return shutil.which(self.command("")[0]) is not None

    def start(self, stage):
        self.plain_port, self.tls_port, admin_port = free_ports(3)
        ports = {"PLAIN_PORT": self.plain_port, "TLS_PORT": self.tls_port, "ADMIN_PORT": admin_port}
        config = stage.fill_in(self.template, {**self.names, **ports})
        return stage.start(self.name, self.command(config), PROXY_CORE, self.tls_port)


def proxies(binary):
    return [
        Proxy("wsgate", "wsgate.yaml", lambda config: [str(binary), "run", "--config", config]),
        Proxy("nginx", "nginx.conf", lambda config: ["nginx", "-c", config], KEPT),
        Proxy("nginx, defaults", "nginx.conf", lambda config: ["nginx", "-c", config], NOT_KEPT),
        Proxy("haproxy", "haproxy.cfg", lambda config: ["haproxy", "-db", "-f", config]),
    ]


def keep_cores_awake():
    """Has idle cores poll instead of halt while the returned file is open, as `proxies` does; only root may."""
    try:
        control = open("/dev/cpu_dma_latency", "wb", buffering=0)
    except OSError as error:
        print(f"idle cores may halt, which favours proxies that keep the generator busy: {error}\n")
        return None
    control.write((0).to_bytes(4, sys.byteorder))
    return control


def processor_seconds(pid):
    """Of a process, its children and theirs, in all threads."""
    own = sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(processor_seconds(child) for child in children)
