"""Everything that is checked, here as in CI: `nox -l` lists it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2026.8.10"  # older ones fail on shims of inactive Pythons
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "typing", "docs", "tests"]
# Test on what is there. nox names each Python that is missing, and goes on, in CI, too.
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
# nox always finds the Python that it runs on: with it, "all skipped" cannot happen.
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
if RUNNING not in PYTHONS:
    PYTHONS.append(RUNNING)

# Most tests wait, for sockets or for time: more workers than cores keep those busy.
PARALLEL = ("--numprocesses=4", "--dist=worksteal")
EXTRAS = "[aiohttp,sandbox,testing]"


def install(session: nox.Session, *groups: str, extras: str = EXTRAS) -> None:
    """Install the project and dependency groups.

    Editable, since uv would take a wheel that it built before for unchanged sources.
    """
    wanted = nox.project.dependency_groups(PYPROJECT, *groups) if groups else ()
    session.install("-e", f".{extras}", *wanted)


def require(session: nox.Session, program: str, package: str) -> None:
    """Make sure that a program is there which comes as a Debian package."""
    if shutil.which(program):
        return
    if not shutil.which("apt-get"):
        session.error(f"{program} is not installed")
    admin = [] if os.geteuid() == 0 else ["sudo"]
    for arguments in (("update", "-qq"), ("install", "-qq", "--yes", package)):
        session.run(*admin, "apt-get", *arguments, external=True)


@nox.session
def demo(session: nox.Session) -> None:
    """Create a client secret against the sandbox, over a real socket."""
    install(session, extras="[sandbox]")
    session.run(
        *("python", "-m", "plastiq_async.sandbox"),
        *("python", "examples/quickstart.py", *session.posargs),
    )


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; without arguments of your own, at 100 % branch coverage."""
    install(session, "tests")
    # Each Python has its data apart, so that each has to reach 100 % alone.
    session.env["COVERAGE_FILE"] = str(Path(session.virtualenv.location, "coverage"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *PARALLEL, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    if not session.posargs:
        session.run("coverage", "report")


@nox.session(python=PYTHONS)
def tests_lowest(session: nox.Session) -> None:
    """Run the tests with every direct dependency at its floor."""
    session.env["UV_RESOLUTION"] = "lowest-direct"
    install(session, "tests")
    session.run("python", "-m", "pytest", *PARALLEL, *session.posargs)


@nox.session
def worker(session: nox.Session) -> None:
    """Test the worker of examples/ with a real Redis."""
    require(session, "redis-server", "redis-server")
    install(session, "tests", "worker")
    test = "tests/test_worker_taskiq.py"
    session.run("python", "-m", "pytest", test, *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Test the checkout of examples/ in a real browser."""
    require(session, "chromium", "chromium")
    install(session, "tests", "browser")
    session.run("python", "-m", "pytest", "tests/browser", *session.posargs)


@nox.session
def faults_control(session: nox.Session) -> None:
    """Run the fault tests that plain httpx fails on plain httpx: it must fail."""
    install(session, "tests")
    control = ("tests/faults", "--plain-httpx", *PARALLEL)
    session.run("python", "-m", "pytest", *control, *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Make calls among random faults and cancellations; `-- --minutes 10`."""
    install(session, "tests")
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Feed what no server would send to the decoder; `-- --minutes 5`."""
    install(session, "tests", "fuzz")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, spelling and metadata; `-- --fix` repairs what can be repaired."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []))
    session.run("ruff", "format", *([] if fix else ["--check"]))
    session.run("codespell")
    session.run("validate-pyproject", "pyproject.toml")


@nox.session
def typing(session: nox.Session) -> None:
    """Check our types with two checkers, and that none is missing for users."""
    install(session, "typing")
    session.run("mypy", "src", "tests", "examples", "benchmarks", "docs", "noxfile.py")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "plastiq_async", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """Run the examples of the README and of the docstrings against the sandbox."""
    install(session, "tests")
    session.run(
        *("python", "-m", "plastiq_async.sandbox"),
        *("python", "-m", "pytest", "docs", "--doctest-modules", "src"),
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Compare with httpx and aiohttp, in three minutes; draw the README's picture."""
    install(session, "bench", extras="[aiohttp]")
    results = str(Path(session.virtualenv.location, "results.json"))
    compare = ("python", "-m", "benchmarks.compare", "--json", results)
    session.run(*compare, *session.posargs)
    session.run("python", "-m", "benchmarks.plot", results, "docs/benchmark.svg")


@nox.session
def memory(session: nox.Session) -> None:
    """Make bursts and a long loop of calls; fail if the loop's memory grows."""
    install(session, "bench", extras="[aiohttp]")
    session.run("python", "-m", "benchmarks.burst", *session.posargs)


@nox.session
def bulk(session: nox.Session) -> None:
    """Compare `create_many` with workers by hand; fail if it needs too much."""
    install(session, "bench", extras="[aiohttp]")
    session.run("python", "-m", "benchmarks.bulk", *session.posargs)


@nox.session
def import_cost(session: nox.Session) -> None:
    """Print what the import and a session cost, with run-time dependencies alone."""
    install(session, extras="")
    session.run("python", "benchmarks/import_cost.py")


@nox.session
def build(session: nox.Session) -> None:
    """Build, look into the wheel, and test it from the unpacked sdist without src/."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "build"))
    dist = Path(session.virtualenv.location, "dist")
    shutil.rmtree(dist, ignore_errors=True)
    # The wheel is built from the sdist: what one lacks, the other lacks, too.
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
        # The faults of the network have nothing to do with what is in a wheel.
        tests = (*PARALLEL, "--ignore=tests/faults", *session.posargs)
        session.run("python", "-m", "pytest", *tests)
