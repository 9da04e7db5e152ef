"""The backends: how each is started and what it can do."""

from dataclasses import dataclass

import tools
from rig.programs import Program

LIBRARY = ("subprotocol", "deflate", "set-cookie")
RAW = ("fragments", "raw-names")
BY_HAND = (*RAW, "bare", "half-close")


@dataclass(frozen=True)
class Backend:
    """`name` is also the path of its route; `features` are what cases may ask of it."""

    name: str
    script: str
    interpreter: object
    features: tuple
    arguments: tuple = ()
    needs: tuple = ()  # of what stands in front

    def start(self, folder):
        """Raises Unavailable or ProgramFailed. The port it listens on is `program.port`."""
        command = [self.interpreter(), tools.HERE / "backends" / self.script, *self.arguments]
        program = Program(self.name, command, folder / f"backend-{self.name}.log")
        try:
            program.port = int(program.wait_for_line("listening "))
        except Exception:
            program.stop()
            raise
        return program


BACKENDS = [
    Backend("ws", "with_ws.mjs", tools.node, (*LIBRARY, *RAW)),
    Backend("websockets", "with_websockets.py", tools.python, (*LIBRARY, *RAW)),
    Backend("tornado", "with_tornado.py", tools.python, LIBRARY),
    Backend("by-hand-crlf", "by_hand.mjs", tools.bare_node, BY_HAND, ("crlf",)),
    Backend("by-hand-lf", "by_hand.mjs", tools.bare_node, BY_HAND, ("lf",), ("bare-lf",)),
]
