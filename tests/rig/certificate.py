"""Certificates for one run: P-256, self-signed, for localhost, made by openssl in a temporary folder."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """The paths of one certificate and its key."""

    certificate: Path
    key: Path


def make_certificate(folder, name="local"):
    """Writes `name`.crt and `name`.key into `folder`."""
    made = Certificate(Path(folder) / f"{name}.crt", Path(folder) / f"{name}.key")
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-days", "2", "-subj", f"/CN=wsgate {name}",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout", made.key, "-out", made.certificate,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return made
