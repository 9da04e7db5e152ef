"""What the run needs from outside, installed once: npm and PyPI packages beside this file, programs from Debian.

Each function returns a path, or raises Unavailable with the reason, which becomes that of a skipped case.
"""

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE / ".cache"
PATIENTLY = ("-o", "DPkg::Lock::Timeout=120")  # another installation may be under way
JAVA_LIBRARIES = Path("/usr/share/java")


class Unavailable(Exception):
    """A tool is not here and could not be installed."""


def once(attempt):
    """What failed once is not attempted again in this run: a missing network costs its timeouts one time."""
    outcomes = []

    @functools.wraps(attempt)
    def remembered():
        if not outcomes:
            try:
                outcomes.append(attempt())
            except Unavailable as reason:
                outcomes.append(reason)
        if isinstance(outcomes[0], Unavailable):
            raise outcomes[0]
        return outcomes[0]

    return remembered


def bare_python():
    """This interpreter, without packages."""
    return sys.executable


def bare_node():
    """Node, without packages."""
    path = shutil.which("node")
    if not path:
        raise Unavailable("node is not installed")
    return path


@once
def node():
    """Node, with the packages of package-lock.json installed."""
    path = bare_node()
    if not shutil.which("npm"):
        raise Unavailable("npm is not installed")
    lock = HERE / "package-lock.json"
    if not is_stamped("npm", lock) or not (HERE / "node_modules").is_dir():
        call("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retry-mintimeout=2000", cwd=HERE)
        stamp("npm", lock)
    return path


@once
def python():
    """The interpreter of a virtual environment that has the packages of requirements.txt."""
    environment, requirements = CACHE / "venv", HERE / "requirements.txt"
    path = environment / "bin" / "python"
    if not is_stamped("venv", requirements) or not path.exists():
        make_environment(environment)
        call(path, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements)
        stamp("venv", requirements)
    return path


@once
def wstest():
    """The Autobahn suite's program, in an environment of Python 2.7: it never came to Python 3."""
    environment, requirements = CACHE / "venv-autobahn", HERE / "autobahn-requirements.txt"
    path = environment / "bin" / "wstest"
    if not is_stamped("venv-autobahn", requirements) or not path.exists():
        shutil.rmtree(environment, ignore_errors=True)
        call(python(), "-m", "virtualenv", "--quiet", "--python", python2(), environment)
        pip = [environment / "bin" / "pip", "--quiet", "--disable-pip-version-check"]
        call(*pip, "install", "--no-deps", "--requirement", requirements)
        stamp("venv-autobahn", requirements)
    return path


def python2():
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [*sorted(pyenv.glob("versions/2.7.*/bin/python2.7")), shutil.which("python2.7")]
    found = next((candidate for candidate in candidates if candidate), None)
    if not found:
        raise Unavailable("Python 2.7 is not installed")
    return found


def make_environment(environment):
    shutil.rmtree(environment, ignore_errors=True)
    try:
        call(sys.executable, "-m", "venv", environment)
    except Unavailable:
        install("python3-venv")
        shutil.rmtree(environment, ignore_errors=True)
        call(sys.executable, "-m", "venv", environment)


@once
def chromium():
    return program("chromium", package="chromium")


@once
def openssl():
    return program("openssl", package="openssl")


@once
def curl():
    return program("curl", package="curl")


@once
def nghttp():
    return program("nghttp", package="nghttp2-client")


@once
def nginx():
    return program("nginx", package="nginx-light")


@once
def nginx_stream():
    """The module that nginx passes TCP on with."""
    module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    if not module.exists():
        install("libnginx-mod-stream")
    if not module.exists():
        raise Unavailable("nginx has no stream module")
    return module


@once
def mosquitto():
    return program("mosquitto", package="mosquitto")


@once
def java():
    program("javac", package="default-jdk-headless")
    return shutil.which("java")


@once
def tomcat_jars():
    return jars("tomcat10-*.jar", package="libtomcat10-java")


@once
def jetty_jars():
    return [*jars("jetty9-*.jar", package="libjetty9-extra-java"), *jars("servlet-api.jar", package="libservlet-api-java")]


def jars(pattern, package):
    """Debian's, by the names without a version."""
    if not list(JAVA_LIBRARIES.glob(pattern)):
        install(package)
    found = sorted(JAVA_LIBRARIES.glob(pattern))
    if not found:
        raise Unavailable(f"the package {package} has no {pattern}")
    return found


def java_program(source, libraries):
    """The command that runs `source`, compiled once together with Language.java beside it."""
    language = source.with_name("Language.java")
    classes, path = CACHE / source.stem, ":".join(map(str, libraries))
    if not is_stamped(source.stem, source, language):
        shutil.rmtree(classes, ignore_errors=True)
        call(Path(java()).with_name("javac"), "-proc:none", "-d", classes, "-cp", path, source, language)
        stamp(source.stem, source, language)
    return [java(), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{path}", source.stem]


@once
def promtool():
    """Taken out of Debian's package without installing it: that would start a Prometheus server."""
    found = shutil.which("promtool")
    if found:
        return found
    unpacked = CACHE / "prometheus"
    path = unpacked / "usr" / "bin" / "promtool"
    if not path.exists():
        downloads = CACHE / "downloads"
        downloads.mkdir(parents=True, exist_ok=True)
        update_package_lists()
        call("apt-get", "download", "--quiet", "prometheus", cwd=downloads)
        call("dpkg-deb", "--extract", next(downloads.glob("prometheus_*.deb")), unpacked)
    return path


@once
def systemd_analyze():
    found = shutil.which("systemd-analyze")
    if not found:
        raise Unavailable("systemd-analyze is not installed")
    return found


def program(name, package):
    found = shutil.which(name)
    if not found:
        install(package)
        found = shutil.which(name)
    if not found:
        raise Unavailable(f"the package {package} has no {name}")
    return found


def install(package):
    update_package_lists()
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    call("apt-get", *PATIENTLY, "install", "--yes", "--quiet", "--no-install-recommends", package, env=quietly)


@once
def update_package_lists():
    if not shutil.which("apt-get"):
        raise Unavailable("this is no Debian: there is no apt-get")
    if os.geteuid() != 0:
        raise Unavailable("only root may install Debian packages")
    call("apt-get", "update", "--quiet")


def call(*command, **options):
    """Runs it; its last words where it fails."""
    words = [str(part) for part in command]
    try:
        subprocess.run(words, check=True, capture_output=True, text=True, timeout=600, **options)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(words[:3])} failed: {complaint(error)}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{' '.join(words[:3])}: {error}") from None


def complaint(error):
    """The first line that npm, pip or apt calls an error."""
    lines = f"{error.stderr}\n{error.stdout}".splitlines()
    marked = (line for line in lines if line.lower().startswith(("npm error", "error", "e:")))
    return next(marked, f"exit code {error.returncode}")


def is_stamped(name, *sources):
    """Whether `name` was made from this very content of `sources`."""
    path = CACHE / f"{name}.stamp"
    return path.exists() and path.read_text(encoding="ascii") == digest(sources)


def stamp(name, *sources):
    CACHE.mkdir(exist_ok=True)
    (CACHE / f"{name}.stamp").write_text(digest(sources), encoding="ascii")


def digest(sources):
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
