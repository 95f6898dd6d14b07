"""The direction of imports, the single door to each optional dependency, file sizes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "tfzip"
LEVELS = [
    {"cli"},
    {"recipe"},
    {"precision", "costs"},
    {"bench"},
    {"runtime"},
    {"conversion"},
    {"quantization"},
    {"sources"},
    {"legacy", "pruning", "distillation", "nas", "packing"},
    {"graph", "tflite"},
    {
        "registry",
        "artifact",
        "schemes",
        "sandbox",
        "untrusted",
        "picture",
        "scan_file",
        "explained",
        "quantization_record",
        "fit_step",
        "fingerprint",
    },
    {"errors", "files", "units", "tables", "version", "given", "html_page"},
]
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}
DOORS = {
    "ai_edge_litert": {"runtime/runtimes", "tflite/schema.py"},
    "tflite_runtime": {"runtime/runtimes"},
    "tf_keras": {"legacy"},
    "zstandard": {"packing/zstd.py"},
    "matplotlib": {"picture.py"},
    "optuna": {"nas/study.py"},
    "tensorflow_model_optimization": {"legacy"},
}
MAX_LINES = 320
FILES = sorted(ROOT.rglob("*.py"))


def imports_of(file: Path) -> set[str]:
    """Returns the dotted names a file imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def package_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.parent != ROOT], ids=lambda f: str(f.relative_to(ROOT))
)
def test_imports_point_down(file):
    own = package_of(file)
    for name in imports_of(file):
        parts = name.split(".")
        if parts[0] != "tfzip" or len(parts) < 2 or parts[1] == own:
            continue
        assert LEVEL_OF[parts[1]] > LEVEL_OF[own], f"{file.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_each_dependency_has_one_door(file):
    relative = file.relative_to(ROOT).as_posix()
    for name in imports_of(file):
        assert not name.startswith("keras.src"), f"{relative} imports {name}"
        allowed = DOORS.get(name.split(".")[0])
        assert allowed is None or any(relative.startswith(door) for door in allowed), (
            f"{relative} imports {name}"
        )
    if not relative.startswith(("conversion/converters", "runtime/runtimes")):
        assert "tf.lite." not in file.read_text(), f"{relative} uses tf.lite"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_files_stay_readable_alone(file):
    assert len(file.read_text().splitlines()) <= MAX_LINES


def test_no_framework_is_loaded_by_importing_the_command_line():
    code = (
        "import sys, tfzip, tfzip.cli;"
        "heavy = {'tensorflow', 'keras', 'numpy', 'rich', 'ai_edge_litert'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_resolves():
    import tfzip

    for name in tfzip.__all__:
        assert getattr(tfzip, name) is not None
