"""Becomes Debian's mosquitto with MQTT over WebSockets. Usage: with_mosquitto.py PROGRAM.

Mosquitto cannot be asked for any free port, so one is looked for here; it names it when it listens.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rig.programs import free_ports  # noqa: E402  (the path to it is set above)

# The listener on a unix socket is there because this version ends where it has none but for WebSockets.
CONFIGURATION = """\
listener 0 {folder}/mqtt.sock
listener {port} 127.0.0.1
socket_domain ipv4
protocol websockets
allow_anonymous true
user root
log_dest stderr
log_timestamp false
persistence false
"""

folder = Path(tempfile.mkdtemp(prefix="wsgate-interop-mosquitto-"))
path = folder / "mosquitto.conf"
path.write_text(CONFIGURATION.format(folder=folder, port=free_ports(1)[0]), encoding="utf-8")
os.execv(sys.argv[1], [sys.argv[1], "-c", str(path)])
