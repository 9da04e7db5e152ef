"""What other people's tools say of the gateway's metrics, rules and unit file, and whether it comes to rest."""

import json
import re
import subprocess

import tools
from rig.gateway import PROJECT
from rig.programs import eventually


def check_gateway(gateway, report):
    """While it runs, after every client has ended."""
    check_at_rest(gateway, report)
    run_tool(report, "promtool, check metrics", [tools.promtool, "check", "metrics"], gateway.fetch("/metrics"))


def check_browser_used_http2(front, report):
    """RFC 8441 is the browser's own choice, and its cases pass without it too."""
    lines = [json.loads(line) for line in front.log_path.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
    opened = [line for line in lines if line.get("event") == "open" and "Chrome" in line.get("user_agent", "")]
    over_http2 = sum(line["protocol"] == "h2" for line in opened)
    report.judge("browser, WebSocket over HTTP/2", over_http2 > 0, f"none of {len(opened)} sessions")


def check_at_rest(gateway, report):
    at_rest = eventually(lambda: gateway.metrics().total("wsgate_sessions_active") == 0)
    found = gateway.metrics().total("wsgate_sessions_active")
    report.judge("wsgate, no session is left", at_rest, f"sessions_active is {found}")


def check_files(front, folder, report):
    """On the files of the tree; the binary of `front` stands in for the installed one."""
    run_tool(report, "wsgate, check --config", [front.binary, "check", "--config", front.config_path])
    check_prometheus_files(report)
    check_units(front.binary, folder, report)


def check_prometheus_files(report):
    paths = sorted((PROJECT / "deploy" / "prometheus").glob("*.y*ml"))
    if not paths:
        report.skipped("promtool, deploy/prometheus", "there is no such file yet")
    for path in paths:
        run_tool(report, f"promtool, {path.relative_to(PROJECT)}", [tools.promtool, *promtool_command(path), path])


def promtool_command(path):
    """Alerts, tests of alerts, or a configuration of Prometheus, which are told apart by a key of each."""
    keys = re.findall(r"^(\w+):", path.read_text(encoding="utf-8"), re.MULTILINE)
    if "groups" in keys:
        return ["check", "rules"]
    return ["test", "rules"] if "tests" in keys else ["check", "config", "--syntax-only"]


def check_units(binary, folder, report):
    paths = sorted((PROJECT / "deploy" / "systemd").glob("*.service"))
    if not paths:
        report.skipped("systemd-analyze verify, deploy/systemd", "there is no unit file yet")
    for path in paths:
        unit = folder / path.name
        installed = re.compile(r"^(Exec\w+=[-@:+!]*)\S*/wsgate\b", re.MULTILINE)
        unit.write_text(installed.sub(rf"\g<1>{binary}", path.read_text(encoding="utf-8")), encoding="utf-8")
        name = f"systemd-analyze verify, {path.relative_to(PROJECT)}"
        run_tool(report, name, [tools.systemd_analyze, "verify", unit], complaint=path.name)


def run_tool(report, case, command, text_in="", complaint=None):
    """One case: the tool ends with 0 and does not mention `complaint`, because some warn and still end with 0.

    The first word may be a function of `tools`, called here, because it may not be available.
    """
    try:
        words = [str(part() if callable(part) else part) for part in command]
    except tools.Unavailable as reason:
        report.skipped(case, reason)
        return
    try:
        done = subprocess.run(words, input=text_in, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired as error:
        report.failed(case, error)
        return
    said = done.stdout + done.stderr
    report.judge(case, done.returncode == 0 and not (complaint and complaint in said), said[-800:])
