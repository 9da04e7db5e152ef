"""The backends: how each is started, what it speaks and what it can do."""

from dataclasses import dataclass

import tools
from rig.programs import Program

LIBRARY = ("subprotocol", "deflate", "set-cookie")
FRAGMENTS = ("fragments",)
RAW = (*FRAGMENTS, "raw-names")
BY_HAND = (*RAW, "bare", "half-close")


def with_node(script, *arguments):
    return [tools.node(), script, *arguments]


def with_bare_node(script, *arguments):
    return [tools.bare_node(), script, *arguments]


def with_python(script, *arguments):
    return [tools.python(), script, *arguments]


def with_tomcat(script, *_arguments):
    return tools.java_program(script, tools.tomcat_jars())


def with_jetty(script, *_arguments):
    return tools.java_program(script, tools.jetty_jars())


def with_mosquitto(script, *_arguments):
    return [tools.bare_python(), script, tools.mosquitto()]


@dataclass(frozen=True)
class Backend:
    """One program. `route` is the path of its route, and several may stand behind one; `features` are what cases may
    ask of it, and clients that speak something else never see it.
    """

    name: str
    script: str
    launch: object
    features: tuple = ()
    arguments: tuple = ()
    needs: tuple = ()  # of what stands in front
    speaks: str = "echo"
    shared_route: str = ""
    announces: str = "listening "

    @property
    def route(self):
        return self.shared_route or self.name

    def start(self, folder):
        """Raises Unavailable or ProgramFailed. The port it listens on is `program.port`."""
        command = self.launch(tools.HERE / "backends" / self.script, *self.arguments)
        program = Program(self.name, command, folder / f"backend-{self.name}.log")
        try:
            program.port = int(program.wait_for_line(self.announces, timeout_seconds=60).rstrip("."))
        except Exception:
            program.stop()
            raise
        return program


BACKENDS = [
    Backend("ws", "with_ws.mjs", with_node, (*LIBRARY, *RAW)),
    Backend("websockets", "with_websockets.py", with_python, (*LIBRARY, *RAW)),
    Backend("tornado", "with_tornado.py", with_python, LIBRARY),
    Backend("tomcat", "WithTomcat.java", with_tomcat, (*LIBRARY, *FRAGMENTS)),
    Backend("jetty", "WithJetty.java", with_jetty, (*LIBRARY, *FRAGMENTS)),
    Backend("by-hand-crlf", "by_hand.mjs", with_bare_node, BY_HAND, ("crlf",)),
    Backend("by-hand-lf", "by_hand.mjs", with_bare_node, BY_HAND, ("lf",), ("bare-lf",)),
    Backend("mosquitto", "with_mosquitto.py", with_mosquitto, speaks="mqtt",
        announces="Opening websockets listen socket on port "),
    Backend("socket-io-a", "with_socket_io.mjs", with_node, (), ("a",), speaks="socket.io", shared_route="socket.io"),
    Backend("socket-io-b", "with_socket_io.mjs", with_node, (), ("b",), speaks="socket.io", shared_route="socket.io"),
    Backend("http", "with_http.mjs", with_bare_node, needs=("http",), speaks="http"),
]  # fmt: skip
