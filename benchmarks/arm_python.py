"""A Python for AArch64 with tflite-runtime, to be run under QEMU; made from Debian's and PyPI's packages."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tfzip.bench.devices.arm_cores import CORES, write_root

_CORE = "cortex-a72"
_PACKAGES = ("python3.11", "libstdc++6")
_WHEELS = ("numpy<2", "tflite-runtime==2.14.0")


def make(folder: Path) -> Path:
    """Returns a folder with `usr/bin/python3.11`, made unless it is there.

    Raises:
        subprocess.CalledProcessError: apt or pip cannot fetch something.
    """
    root = folder / "py64"
    if (root / ".ready").exists():
        return root
    debs, wheels = folder / "debs", folder / "wheels"
    for path in (root / "site", debs / "partial", folder / "state/lists/partial", wheels):
        path.mkdir(parents=True, exist_ok=True)
    _download(folder, debs)
    for deb in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(deb), str(root)], check=True)
    platforms = [
        word for name in ("manylinux2014_aarch64", "manylinux_2_34_aarch64") for word in ("--platform", name)
    ]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--only-binary=:all:",
        "--no-deps",
        *platforms,
    ]
    target = ["--python-version", "3.11", "--abi", "cp311", "--dest", str(wheels)]
    subprocess.run([*command, *target, *_WHEELS], check=True)
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(root / "site")
    machine = folder / "machine"
    machine.mkdir(exist_ok=True)
    write_root(machine, CORES[_CORE], root)
    for part in ("proc", "sys"):
        (machine / part).rename(root / part)
    (root / ".ready").touch()
    return root


def command(root: Path) -> list[str]:
    """Returns the words that start this Python under QEMU."""
    paths = ["-E", f"PYTHONHOME={root}/usr", "-E", f"PYTHONPATH={root}/site"]
    return ["qemu-aarch64", "-cpu", _CORE, *paths, "-L", str(root), str(root / "usr/bin/python3.11")]


def _download(folder: Path, debs: Path) -> None:
    """Fetches packages for AArch64 with a state of apt's own, so that the machine's is left alone."""
    (folder / "apt.conf").write_text(
        f'APT::Architecture "arm64";\nAPT::Architectures {{ "arm64"; }};\nDir::State "{folder}/state";\n'
        f'Dir::State::status "{folder}/state/status";\nDir::Cache "{folder}/cache";\n'
        f'Dir::Cache::archives "{debs}";\nAPT::Sandbox::User "root";\n'
    )
    (folder / "state/status").touch()
    (folder / "cache").mkdir(exist_ok=True)
    environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}
    subprocess.run(["apt-get", "-qq", "update"], env=environment, check=True)
    fetch = ["apt-get", "-qq", "install", "-y", "--download-only", "--no-install-recommends", *_PACKAGES]
    subprocess.run(fetch, env=environment, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    print(" ".join(command(make(Path(sys.argv[1]).resolve()))))
