"""What stands between clients and backends: wsgate, or nginx, or nothing.

A case that fails with nginx or nothing in between too is not the gateway's fault.
"""

import string

import tools
from rig.gateway import Gateway, locate_binary
from rig.programs import Program, eventually, free_ports, is_listening


class Wsgate:
    """wsgate on wsgate.yaml."""

    features = (
        *("origin", "origin-once", "spelling", "half-close-passed", "bare-lf"),
        *("http", "streamed-uploads", "trailers", "hop-by-hop", "forwarded", "spread", "sticky", "http2", "head-limit"),
    )
    schemes = ("ws", "wss")

    def __init__(self, settings, folder):
        self.binary = locate_binary()
        ws_port, wss_port, admin_port = free_ports(3)
        self.ports = {"ws": ws_port, "wss": wss_port}
        names = {"ADMIN_PORT": admin_port, "WS_PORT": ws_port, "WSS_PORT": wss_port, **settings}
        self.config_path = fill_in("wsgate.yaml", names, folder)
        self.log_path = folder / "wsgate.log"
        self.gateway = Gateway(self.binary, self.config_path, admin_port, self.log_path)

    def url(self, scheme, backend):
        return f"{scheme}://localhost:{self.ports[scheme]}/{backend.route}"

    def stop(self):
        return self.gateway.stop()


class Nginx:
    """Debian's nginx on nginx.conf, as a second opinion."""

    features = ("origin", "bare-lf", "http", "http2", "sticky")
    schemes = ("ws", "wss")

    def __init__(self, settings, folder):
        ws_port, wss_port = free_ports(2)
        self.ports = {"ws": ws_port, "wss": wss_port}
        names = {"WS_PORT": ws_port, "WSS_PORT": wss_port, "FOLDER": folder, **settings}
        config_path = fill_in("nginx.conf", names, folder)
        command = [tools.nginx(), "-c", config_path, "-p", folder, "-e", folder / "nginx-error.log"]
        self.program = Program("nginx", command, folder / "nginx.log")
        if not eventually(lambda: is_listening(wss_port)):
            self.stop()
            raise tools.Unavailable(f"nginx did not start: {self.program.log_tail()}")

    def url(self, scheme, backend):
        return f"{scheme}://localhost:{self.ports[scheme]}/{backend.route}"

    def stop(self):
        return self.program.stop()


class Nothing:
    """Clients speak to the backends themselves; ws only, and nobody checks the Origin."""

    features = ("half-close-passed",)
    schemes = ("ws",)

    def __init__(self, settings, folder):
        self.settings = settings

    def url(self, scheme, backend):
        return f"{scheme}://localhost:{self.settings[port_name(backend.name)]}/{backend.route}"

    def stop(self):
        return 0


FRONTS = {"wsgate": Wsgate, "nginx": Nginx, "nothing": Nothing}


def port_name(backend_name):
    """The name that stands for a backend's port in the templates."""
    return backend_name.upper().replace("-", "_") + "_BACKEND_PORT"


def fill_in(template, names, folder):
    text = (tools.HERE / template).read_text(encoding="utf-8")
    path = folder / template
    path.write_text(string.Template(text).substitute(names), encoding="utf-8")
    return path
