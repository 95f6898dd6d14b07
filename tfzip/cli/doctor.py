"""`tfzip doctor`: what is installed, what answers, and what to install for the rest."""

import json
import platform
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from tfzip.cli.list import names_of
from tfzip.errors import TfzipError, one_line
from tfzip.tables import table
from tfzip.version import __version__

_PROBE_TIMEOUT_S = 120.0
_COLUMNS = ("name", "found", "what", "remedy")
_PACKAGES = {
    "tensorflow": ("training and conversion", "pip install tensorflow", True),
    "keras": ("models", "pip install keras", True),
    "ai-edge-litert": ("running and measuring files", "pip install ai-edge-litert", False),
    "tflite-runtime": (
        "running files on 32-bit ARM",
        "pip install tflite-runtime (armv7l, Python 3.11)",
        False,
    ),
    "tensorflow-model-optimization": (
        "models pruned or clustered with TFMOT",
        "pip install tensorflow-model-optimization",
        False,
    ),
    "tf_keras": ("Keras 2 models", "pip install 'tfzip[legacy]'", False),
    "scikit-learn": ("sklearn:digits and the demo", "pip install 'tfzip[datasets]'", False),
    "pillow": ("folders of images", "pip install 'tfzip[images]'", False),
    "tensorboard": ("sparsity curves in TensorBoard", "pip install 'tfzip[tensorboard]'", False),
}
_TOOLS = {
    "adb": ("reaching Android devices, see android_bench/", "apt-get install adb"),
    "qemu-aarch64-static": ("running programs for 64-bit ARM here", "apt-get install qemu-user-static"),
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(as_json: bool) -> None:
    """Say what is installed, which runtimes and devices answer, and what to install for the rest.

    Ends with status 1 when models cannot be converted or no runtime answers.
    """
    findings = examine()
    if as_json:
        click.echo(json.dumps(findings, indent=2))
    else:
        _print(findings)
    sys.exit(0 if findings["ready"] else 1)


def examine() -> dict[str, Any]:
    """Returns everything found, ready for JSON."""
    from tfzip.sources.datasets.keras import data_folder

    packages = [_package(name) for name in _PACKAGES]
    runtimes = _runtimes()
    folder = data_folder()
    has_required = all(entry["version"] for entry in packages if _PACKAGES[entry["name"]][2])
    return {
        "tfzip": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": packages,
        "runtimes": runtimes,
        "devices": [{"name": name, "what": what} for name, what in names_of("devices").items()],
        "tools": [_tool(name) for name in _TOOLS],
        "data_folder": str(folder),
        "data_sets": sorted(file.stem for file in folder.glob("*.npz")),
        "ready": has_required and any(runtime["runs"] for runtime in runtimes),
    }


def _package(name: str) -> dict[str, Any]:
    purpose, remedy, _ = _PACKAGES[name]
    try:
        return {"name": name, "version": metadata.version(name), "for": purpose, "remedy": ""}
    except metadata.PackageNotFoundError:
        return {"name": name, "version": None, "for": purpose, "remedy": remedy}


def _tool(name: str) -> dict[str, Any]:
    purpose, remedy = _TOOLS[name]
    path = shutil.which(name)
    return {"name": name, "path": path, "for": purpose, "remedy": "" if path else remedy}


def _runtimes() -> list[dict[str, Any]]:
    """Asks every registered runtime to run one addition, each in a child of its own."""
    from tfzip.runtime.runtimes import runtimes
    from tfzip.sandbox import run_isolated

    found = []
    with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
        file = Path(folder) / "add.tflite"
        file.write_bytes(tiny_file())
        for name in runtimes:
            runtime = runtimes.get(name)
            facts = {"name": name, "package": runtime.package, "version": runtime.version()}
            try:
                takes = run_isolated("tfzip.cli.doctor:probe", str(file), name, timeout_s=_PROBE_TIMEOUT_S)
                found.append(facts | {"runs": True, "xnnpack": takes, "detail": ""})
            except TfzipError as error:
                found.append(facts | {"runs": False, "xnnpack": False, "detail": one_line(error)})
    return found


def probe(path: str, runtime: str) -> bool:
    """Runs the file of one addition and returns whether XNNPACK took it; meant for a child process.

    Raises:
        TfzipError: The runtime is missing, or its answer is wrong.
    """
    import numpy as np

    from tfzip.runtime.session import open_session

    session = open_session(path, runtime=runtime)
    ones = np.ones((1, 4), np.float32)
    (answer,) = session.run({session.inputs[0].name: ones}).values()
    if not np.array_equal(answer, ones + ones):
        raise TfzipError(f"{runtime} says that 1 + 1 is {answer.flat[0]}. Reinstall its package.")
    return any(op.name == "DELEGATE" for op in session.ops())


def tiny_file() -> bytes:
    """Returns a .tflite that adds its input of shape (1, 4) to itself."""
    import flatbuffers

    from tfzip.tflite.schema import schema

    t = schema()
    code, options = t.OperatorCodeT(), t.AddOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = t.BuiltinOperator.ADD
    op = t.OperatorT()
    op.inputs, op.outputs = [0, 0], [1]
    op.builtinOptionsType, op.builtinOptions = t.BuiltinOptions.AddOptions, options
    graph = t.SubGraphT()
    graph.tensors = [_tensor(t, "x"), _tensor(t, "y")]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [op]
    model = t.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [t.BufferT()]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(t: Any, name: str) -> Any:
    tensor = t.TensorT()
    tensor.name, tensor.shape, tensor.type = name, [1, 4], t.TensorType.FLOAT32
    return tensor


def _print(findings: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    console.print(f"tfzip {findings['tfzip']}, Python {findings['python']}, {findings['system']}")
    console.print(
        _table("Packages", [(p["name"], p["version"], p["for"], p["remedy"]) for p in findings["packages"]])
    )
    answers = [
        (r["name"], r["version"], "answers" + ", XNNPACK" * r["xnnpack"] if r["runs"] else "", r["detail"])
        for r in findings["runtimes"]
    ]
    console.print(_table("Runtimes", answers))
    console.print(_table("Devices", [(d["name"], "", d["what"], "") for d in findings["devices"]]))
    console.print(_table("Tools", [(t["name"], t["path"], t["for"], t["remedy"]) for t in findings["tools"]]))
    sets = ", ".join(findings["data_sets"]) or "no data sets"
    console.print(f"Data in {findings['data_folder']}: {sets}", soft_wrap=True)
    if not findings["ready"]:
        console.print("Not ready: install what is missing among tensorflow, keras and one runtime.")


def _table(title: str, rows: list[tuple[str, str | None, str, str]]) -> Any:
    absent = "missing" if title in ("Packages", "Tools") else ""
    cells = [(name, found or absent, what, remedy) for name, found, what, remedy in rows]
    return table(_COLUMNS, cells, folding=_COLUMNS, title=title)
