"""Does a client find through wsgate what it finds without it? The same cases against the very same echo server, once
directly and then through wsgate, over ws and wss: any difference fails.

The cases are those of the public Autobahn suite where it can be installed, and in any case our own of raw frames.
"""

import concurrent.futures

import autobahn
import raw_cases
import tools
from fronts import fill_in
from rig.gateway import Gateway, locate_binary
from rig.programs import Program, free_ports

DIRECTLY = "directly"


def prove(folder, certificate, report):
    """Raises Unavailable or ProgramFailed where there is nothing to compare."""
    echo = Program("echo", [tools.node(), tools.HERE / "backends" / "echo.mjs"], folder / "backend-echo.log")
    try:
        echo_port = int(echo.wait_for_line("listening "))
        ws_port, wss_port, admin_port = free_ports(3)
        names = {"WS_PORT": ws_port, "WSS_PORT": wss_port, "ADMIN_PORT": admin_port, "ECHO_PORT": echo_port}
        files = {"CERTIFICATE": certificate.certificate, "KEY": certificate.key}
        config_path = fill_in("conformance.yaml", {**names, **files}, folder)
        gateway = Gateway(locate_binary(), config_path, admin_port, folder / "conformance-wsgate.log")
        urls = {
            DIRECTLY: f"ws://127.0.0.1:{echo_port}/",
            "through wsgate (ws)": f"ws://127.0.0.1:{ws_port}/",
            "through wsgate (wss)": f"wss://127.0.0.1:{wss_port}/",
        }
        try:
            compare_all(urls, folder, report)
            judge_strict(f"ws://127.0.0.1:{ws_port}/strict", folder, report)
        finally:
            gateway.stop()
    finally:
        echo.stop()


def compare_all(urls, folder, report):
    try:
        version = autobahn.version()
        print(f"Autobahn {version} runs, and our own cases of raw frames besides. {autobahn.LEFT_OUT}", flush=True)
        compare("autobahn", autobahn, urls, folder, report)
    except tools.Unavailable as reason:
        report.skipped("autobahn, our own cases of raw frames stand in", reason)
    compare("raw frames", raw_cases, urls, folder, report)


def compare(suite_name, suite, urls, folder, report):
    """Each case of the suite against each URL; what differs from the direct one fails."""
    with concurrent.futures.ThreadPoolExecutor(len(urls)) as pool:
        running = {way: pool.submit(suite.run, way, url, folder) for way, url in urls.items()}
        results = {way: future.result() for way, future in running.items()}
    direct = results.pop(DIRECTLY)
    for case, result in direct.items():
        report.judge(f"{suite_name} {case}, {DIRECTLY}, conforms", suite.conforms(case, result), result)
    for way, found in results.items():
        for case in sorted({*direct, *found}, key=case_order):
            have, wanted = found.get(case), direct.get(case)
            report.judge(f"{suite_name} {case}, {way}, as {DIRECTLY}", have == wanted, f"{have}, directly {wanted}")


def case_order(case):
    return [int(number) for number in case.split(" ")[0].split(".")]


def judge_strict(url, folder, report):
    """Where the gateway itself closes on broken frames, its own answers have to conform."""
    for case, result in raw_cases.run("strictly", url, folder).items():
        does_conform = raw_cases.conforms(case, result, may_be_early=True)
        report.judge(f"raw frames {case}, on_protocol_error close, conforms", does_conform, result)
