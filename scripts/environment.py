"""The environment that the Makefile works in: made from nothing, and brought up to date in a blink.

    python3 scripts/environment.py wheel   # .venv with the tools and both packages, from their wheels
    python3 scripts/environment.py dev     # the same, but editable: the tree is what runs
    python3 scripts/environment.py tools   # whichever of the two is there; wheels where there is neither

Needs Python 3.11 and nothing else. uv does the installing where it can be had, since it takes seconds where
pip takes minutes: the one on PATH, or one put into .venv (the system's Python is never changed); pip does it
otherwise. Which registry is asked is the affair of the machine: its own settings for uv and pip hold.

What was done is noted in .venv/killick.json by fingerprints of what it was made from, so a second call does
nothing (some 50 ms), a changed source file costs two wheels (about 2 s), and a changed pyproject.toml a fresh
look at the dependencies. An interrupted call is made good by the next. Two calls at once wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "killick.json"
WHEELS = ROOT / "build" / "wheels"
UV_ASIDE = ROOT / "build" / "uv"
PACKAGES = {"killick": ROOT, "killick_client": ROOT / "client"}
SOURCES = (ROOT / "src" / "killick", ROOT / "client" / "killick_client")
NOT_SOURCES = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}

# uv brings its own certificates; behind a company's proxy only the system's will do.
SYSTEM_CERTIFICATES = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}


def main(mode: str) -> None:
    """Bring `.venv` to the wished mode (`wheel`, `dev` or `tools`), doing only what is not done yet."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "environment.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not answers([str(PYTHON), "--version"]):
            create()
        done = json.loads(STAMP.read_text()) if STAMP.exists() else {}
        if mode == "tools":
            mode = done.get("mode") or "wheel"
        requirements = fingerprint(project_files())
        if done.get("requirements") != requirements:
            say("installing what Killick and its tools need ...")
            install(wanted())
            done = {"requirements": requirements}
            STAMP.write_text(json.dumps(done))
        # An editable install follows its sources by itself: only a wheel can be out of date.
        sources = fingerprint([*project_files(), *source_files()]) if mode == "wheel" else requirements
        if (done.get("mode"), done.get("sources")) != (mode, sources):
            STAMP.write_text(json.dumps(done | {"mode": None}))
            install_wheels() if mode == "wheel" else install_editable()
            STAMP.write_text(json.dumps(done | {"mode": mode, "sources": sources}))


def create() -> None:
    """Make an empty `.venv`: with uv, with `venv`, or where Debian has no `venv` with uv from aside."""
    say("making .venv ...")
    shutil.rmtree(VENV, ignore_errors=True)
    if answers(["uv", "--version"]):
        run(["uv", "venv", "--quiet", "--python", sys.executable, str(VENV)])
    elif answers([sys.executable, "-m", "venv", str(VENV)]):
        answers([str(PYTHON), "-m", "pip", "install", "--quiet", "uv"])  # pip will do where uv cannot be had
    else:
        shutil.rmtree(VENV, ignore_errors=True)
        if not answers([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(UV_ASIDE), "uv"]):
            sys.exit("This Python can make no environment: install uv, or python3-venv, and try again.")
        run([str(UV_ASIDE / "bin" / "uv"), "venv", "--quiet", "--python", sys.executable, str(VENV)])


def install(arguments: list[str]) -> None:
    """Install into `.venv` with the first installer that manages it."""
    here = ["--quiet", "--python", str(PYTHON)]
    attempts: list[tuple[list[str], dict[str, str]]] = []
    for uv in ("uv", str(VENV / "bin" / "uv"), str(UV_ASIDE / "bin" / "uv")):
        if answers([uv, "--version"]):
            attempts += [
                ([uv, "pip", "install", *here], {}),
                ([uv, "pip", "install", *here], SYSTEM_CERTIFICATES),
            ]
            break
    attempts.append(([str(PYTHON), "-m", "pip", "install", "--quiet"], {}))
    said = []
    for command, settings in attempts:
        if command[1:3] == ["-m", "pip"] and not answers([str(PYTHON), "-m", "pip", "--version"]):
            answers([str(PYTHON), "-m", "ensurepip"])
        done = subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return
        said.append(f"$ {' '.join([*command, *arguments])}\n{done.stdout}{done.stderr}")
    sys.exit("\n".join(said) + "\nNo installer managed it; each one's words are above.")


def install_wheels() -> None:
    """Build both wheels with the backend in `.venv` (no network) and install exactly them."""
    say("building and installing the wheels ...")
    shutil.rmtree(WHEELS, ignore_errors=True)
    for folder in PACKAGES.values():
        run([str(PYTHON), "-m", "hatchling", "build", "-t", "wheel", "-d", str(WHEELS)], cwd=folder)
    install(["--no-deps", "--force-reinstall", *sorted(map(str, WHEELS.glob("*.whl")))])


def install_editable() -> None:
    """Install both packages so that the files in the tree are what runs."""
    say("installing both packages, editable ...")
    editable = [argument for folder in PACKAGES.values() for argument in ("--editable", str(folder))]
    install(["--no-deps", "--no-build-isolation", "--force-reinstall", *editable])


def wanted() -> list[str]:
    """Return every requirement of both packages, the demo and the tools, without the packages themselves."""
    found: list[str] = []
    for folder in PACKAGES.values():
        project = tomllib.loads((folder / "pyproject.toml").read_text())
        found += project["project"]["dependencies"]
        found += project["project"].get("optional-dependencies", {}).get("demo", [])
        found += group(project.get("dependency-groups", {}), "dev")
    return sorted({requirement for requirement in found if not requirement.startswith("killick")})


def group(groups: dict[str, Any], name: str) -> list[str]:
    """Return a dependency group with the groups that it includes (PEP 735)."""
    members: list[str] = []
    for member in groups.get(name, []):
        members += [member] if isinstance(member, str) else group(groups, member["include-group"])
    return members


def project_files() -> list[Path]:
    """Return the files that say what is needed."""
    return [folder / "pyproject.toml" for folder in PACKAGES.values()]


def source_files() -> list[Path]:
    """Return the files that go into the wheels."""
    files = [path for folder in SOURCES for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in files if not NOT_SOURCES.intersection(path.parts))


def fingerprint(files: list[Path]) -> str:
    """Return one hash of the names and contents of files: a deletion shows, a mere touch does not."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def answers(command: list[str]) -> bool:
    """Return whether a command is there and succeeds (a pyenv shim may be there and fail)."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(command: list[str], cwd: Path = ROOT) -> None:
    """Run a command; where it fails, show its words and stop."""
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}")


def say(words: str) -> None:
    """Tell the person at the terminal what takes the time."""
    print(f"killick: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.argv[1:] not in (["wheel"], ["dev"], ["tools"]):
        sys.exit(__doc__)
    main(sys.argv[1])
