"""Development tasks, the same as in CI; `nox -l` lists them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2026.8.10"  # older ones fail on pyenv shims of inactive Pythons
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "typing", "docs", "tests"]
# Use the installed Pythons; nox reports and skips the others.
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
# Without cached bytecode, every test worker would compile all packages again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
# nox always finds the Python that it runs on, so at least one session is not skipped.
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
if RUNNING not in PYTHONS:
    PYTHONS.append(RUNNING)

# Most tests wait for sockets or timers, so use more workers than cores.
PARALLEL = ("--numprocesses=4", "--dist=worksteal")
EXTRAS = "[aiohttp,redis,sandbox,testing]"

# The programs that `servers` needs, and their packages.
PROGRAMS = {
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "squid": "squid",
    "ip": "iproute2",
}
# The packages of services ask the policy whether they may start them.
INSTALL_SCRIPT = """
policy=/usr/sbin/policy-rc.d
if ! test -e $policy; then
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\\nexit 101\\n' >$policy
    chmod 755 $policy
fi
apt-get update -qq
apt-get install -qq --yes "$2"
if command -v systemctl >/dev/null; then
    for name; do
        systemctl disable --quiet "$name" 2>/dev/null || true # it may be no service
    done
fi
"""


def install(session: nox.Session, *groups: str, extras: str = EXTRAS) -> None:
    """Install the project and dependency groups.

    The project is editable, because uv would reuse a wheel that it has built before.
    """
    wanted = nox.project.dependency_groups(PYPROJECT, *groups) if groups else ()
    session.install("-e", f".{extras}", *wanted)


def ensure_program(session: nox.Session, program: str, package: str) -> None:
    """Install the Debian package of a program, unless the program is installed.

    If the program is a service, it is neither started now nor when the machine starts.
    """
    # The search path of users who are not root lacks these folders.
    if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        return
    if not shutil.which("apt-get"):
        session.error(f"{program} is not installed")
    admin = [] if os.geteuid() == 0 else ["sudo"]
    script = ("sh", "-euc", INSTALL_SCRIPT, "install", program, package)
    session.run(*admin, *script, external=True)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the quickstart example with the local fake, and take a payment."""
    install(session, extras="[sandbox]")
    examples = Path("examples").resolve()
    # The second example writes a file.
    with session.chdir(session.create_tmp()):
        for name in ("quickstart.py", "take_a_payment.py"):
            session.run(
                *("python", "-m", "plastiq_async.sandbox"),
                *("python", str(examples / name)),
            )


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; without arguments, require 100 % branch coverage."""
    install(session, "tests")
    if session.posargs:
        session.run("python", "-m", "pytest", *PARALLEL, *session.posargs)
        return
    # A data file per Python, so that each must reach 100 % on its own.
    session.env["COVERAGE_FILE"] = str(Path(session.virtualenv.location, "coverage"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *PARALLEL)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=PYTHONS)
def tests_lowest(session: nox.Session) -> None:
    """Run the tests with the minimum version of every direct dependency."""
    session.env["UV_RESOLUTION"] = "lowest-direct"
    install(session, "tests")
    session.run("python", "-m", "pytest", *PARALLEL, *session.posargs)


@nox.session(python=PYTHONS[-1])
def compat(session: nox.Session) -> None:
    """Test with the newest mocking and instrumentation tools that users have."""
    install(session, "tests", "compat")
    tests = ("tests/compat", *PARALLEL)
    session.run("python", "-m", "pytest", *tests, *session.posargs)


@nox.session
def worker(session: nox.Session) -> None:
    """Test the worker example and the rate limiter with a real Redis."""
    ensure_program(session, "redis-server", "redis-server")
    install(session, "tests", "worker")
    tests = (
        "tests/integrations/test_limits_with_redis.py",
        "tests/examples/test_worker_taskiq.py",
    )
    session.run("python", "-m", "pytest", *PARALLEL, *tests, *session.posargs)


@nox.session
def outbox(session: nox.Session) -> None:
    """Test the outbox example with SQLite and a real PostgreSQL."""
    # Debian has the server's own programs outside the search path.
    ensure_program(session, "pg_ctlcluster", "postgresql")
    install(session, "tests", "outbox")
    session.run("python", "-m", "pytest", "tests/outbox", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Test the checkout example in a real browser."""
    ensure_program(session, "chromium", "chromium")
    install(session, "tests", "browser")
    # By file, because each file starts a browser.
    tests = ("--numprocesses=2", "--dist=loadfile", "tests/browser")
    session.run("python", "-m", "pytest", *tests, *session.posargs)


@nox.session
def servers(session: nox.Session) -> None:
    """Test with real proxies, dying servers and a lossy network (Linux, as root)."""
    for program, package in PROGRAMS.items():
        ensure_program(session, program, package)
    install(session, "tests")
    arguments = ("--numprocesses=2", "--dist=worksteal", "tests/servers")
    session.run("python", "-m", "pytest", *arguments, *session.posargs)


@nox.session
def faults_control(session: nox.Session) -> None:
    """Run fault tests on plain httpx, which is known to fail them; it must fail."""
    install(session, "tests")
    control = ("tests/faults", "--plain-httpx", *PARALLEL)
    session.run("python", "-m", "pytest", *control, *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Make calls with random faults and cancellations; `-- --minutes 10`."""
    install(session, "tests")
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def orders(session: nox.Session) -> None:
    """Make purchases with random faults, cancellations and crashes; `-- --count 9`."""
    install(session, "tests")
    session.run("python", "-m", "tests.orders", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz the response decoder; `-- --minutes 5`."""
    install(session, "tests", "fuzz")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, spelling and metadata; `-- --fix` applies fixes."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []))
    session.run("ruff", "format", *([] if fix else ["--check"]))
    session.run("codespell")
    session.run("validate-pyproject", "pyproject.toml")


@nox.session
def typing(session: nox.Session) -> None:
    """Run mypy and pyright, and check that all public types are complete."""
    install(session, "typing")
    session.run("mypy", "src", "tests", "examples", "benchmarks", "docs", "noxfile.py")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "plastiq_async", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """Run the code blocks of the documents and docstrings with the local fake."""
    install(session, "tests")
    session.run(
        *("python", "-m", "plastiq_async.sandbox"),
        *("python", "-m", "pytest", "docs", "--doctest-modules", "src"),
    )


@nox.session
def mutants(session: nox.Session) -> None:
    """Change the code in small ways, and fail if too few changes fail a test."""
    install(session, "tests", "mutants")
    session.run("python", "-m", "tests.mutants", *session.posargs)


@nox.session
def regress(session: nox.Session) -> None:
    """Compare the cost of a call with that of an earlier commit; `-- COMMIT`."""
    install(session, "bench", extras="[aiohttp]")
    session.run("python", "-m", "benchmarks.regress", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Compare with httpx and aiohttp, and draw the chart of the README (3 minutes)."""
    install(session, "bench", extras="[aiohttp]")
    results = str(Path(session.virtualenv.location, "results.json"))
    compare = ("python", "-m", "benchmarks.compare", "--json", results)
    session.run(*compare, *session.posargs)
    session.run("python", "-m", "benchmarks.plot", results, "docs/benchmark.svg")


@nox.session
def memory(session: nox.Session) -> None:
    """Make bursts and a long loop of calls; fail if memory grows in the loop."""
    install(session, "bench", extras="[aiohttp]")
    session.run("python", "-m", "benchmarks.burst", *session.posargs)


@nox.session
def bulk(session: nox.Session) -> None:
    """Compare `create_many` with a task group; fail if it exceeds its limits."""
    install(session, "bench", extras="[aiohttp]")
    session.run("python", "-m", "benchmarks.bulk", *session.posargs)


@nox.session
def decode(session: nox.Session) -> None:
    """Compare the decoding of a page with `json.loads`; fail above the limit."""
    install(session, extras="")
    session.run("python", "-m", "benchmarks.decode")


@nox.session
def import_cost(session: nox.Session) -> None:
    """Print the cost of the import and of a new session."""
    install(session, extras="")
    session.run("python", "benchmarks/import_cost.py")


@nox.session
def build(session: nox.Session) -> None:
    """Build, check the wheel, and test it with the sdist's tests but without src/."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "build"))
    dist = Path(session.virtualenv.location, "dist")
    shutil.rmtree(dist, ignore_errors=True)
    # The wheel is built from the sdist, so its test covers both.
    session.run("pyproject-build", "--installer=uv", f"--outdir={dist}", silent=True)
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    session.run("check-wheel-contents", str(wheel))

    shutil.unpack_archive(sdist, dist)
    root = dist / sdist.name.removesuffix(".tar.gz")
    shutil.rmtree(root / "src")
    session.install(
        f"plastiq-async{EXTRAS} @ {wheel.as_uri()}",
        *nox.project.dependency_groups(PYPROJECT, "tests"),
    )
    with session.chdir(root):
        # The fault tests do not depend on the contents of the wheel.
        tests = (*PARALLEL, "--ignore=tests/faults", *session.posargs)
        session.run("python", "-m", "pytest", *tests)
