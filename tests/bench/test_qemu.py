"""Instructions on emulated cores: exact for a program that is known, equal in every run, of equal outputs."""

import json
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzip
from tests.bench.arm import arm_library, needs_qemu  # noqa: F401 (a fixture)
from tests.bench.files import convert_function
from tests.bench.schema_check import violations
from tests.bench.test_benchmark import SCHEMA
from tfzip.bench import BenchPlan
from tfzip.bench.devices import QemuDevice, devices, find_device
from tfzip.bench.devices.arm_cores import CORES, SYSROOT
from tfzip.bench.native.instructions import parse_counts
from tfzip.bench.native.toolchain import counter
from tfzip.bench.plan import Workload
from tfzip.errors import DeviceError, FileFormatError, MissingDependencyError, OptionError, UnknownNameError
from tfzip.runtime.runtimes.probe import rounds_unevenly

pytestmark = needs_qemu

KNOWN = """
#define REPEAT(n, code) __asm__ volatile(".rept " #n "\\n" code "\\n.endr" ::: "memory", "v0", "x9", "x10")
#include <unistd.h>
#include <sys/syscall.h>
int main(void) {
  char room[64];
  syscall(0x7a66, 1, 0);
  REPEAT(100, "fmla v0.4s, v1.4s, v2.4s");
  REPEAT(10, "fmla v0.2s, v1.2s, v2.s[1]");
  REPEAT(7, "fmadd s0, s1, s2, s3");
  REPEAT(20, "smlal v0.8h, v1.8b, v2.8b");
  REPEAT(5, "smlal2 v0.4s, v1.8h, v2.h[2]");
  REPEAT(3, "umull v0.8h, v1.8b, v2.8b");
  REPEAT(30, "sdot v0.4s, v1.16b, v2.4b[1]");
  REPEAT(4, "udot v0.2s, v1.8b, v2.8b");
  REPEAT(50, "add v0.4s, v1.4s, v2.4s");
  __asm__ volatile("mov x9, %0\\n.rept 40\\nldr q0, [x9]\\n.endr\\n.rept 12\\nldp x10, xzr, [x9]\\n.endr\\n"
                   ".rept 11\\nld1 {v0.16b}, [x9]\\n.endr\\n.rept 25\\nstr q0, [x9]\\n.endr\\n"
                   ".rept 6\\nstrb w10, [x9]\\n.endr\\n.rept 9\\nldrsw x10, [x9]\\n.endr\\n"
                   :: "r"(room) : "memory", "v0", "x9", "x10");
  syscall(0x7a66, 2, 0);
  syscall(0x7a66, 1, 1);
  syscall(0x7a66, 2, 1);
  return 0;
}
"""


def test_every_class_is_counted_exactly(tmp_path):
    (tmp_path / "known.c").write_text(KNOWN)
    build = ["aarch64-linux-gnu-g++", "-x", "c", "-O1", "-march=armv8.2-a+dotprod", "-o", "known", "known.c"]
    subprocess.run(build, cwd=tmp_path, check=True)
    plugin = f"{counter()},out=counts"
    run = ["qemu-aarch64", "-plugin", plugin, "-cpu", "cortex-a76", "-L", str(SYSROOT), "./known"]
    subprocess.run(run, cwd=tmp_path, check=True)
    head, full, empty = map(json.loads, (tmp_path / "counts").read_text().splitlines())
    pairs = zip(head["classes"], full["counts"], empty["counts"], strict=True)
    found = {name: counted - overhead for name, counted, overhead in pairs}
    assert found["fmla"] == 100 + 10 + 7
    assert found["smlal"] == 20 + 5 + 3
    assert found["sdot"] == 30 + 4
    assert found["smmla"] == 0
    assert found["simd"] == 50
    assert found["load"] == 40 + 12 + 11 + 9
    assert found["store"] == 25 + 6
    assert found["macs"] == 100 * 4 + 10 * 2 + 7 + 20 * 8 + 5 * 4 + 3 * 8 + 30 * 16 + 4 * 8
    named = sum(found[name] for name in found if name not in ("total", "macs"))
    assert found["total"] == named


@pytest.fixture(scope="module")
def counted(arm_library, large, int8):  # noqa: F811
    return tfzip.benchmark([large, int8], device="qemu:cortex-a72")


def test_the_multiplications_counted_are_those_of_the_graph(counted, large):
    macs = tfzip.inspect(large).macs
    assert counted.instructions[0].instructions.macs == pytest.approx(macs, rel=0.02)


def test_two_runs_count_the_same(counted, large):
    again = tfzip.benchmark(large, device="qemu:cortex-a72")
    first, second = counted.instructions[0].instructions, again.instructions[0].instructions
    assert second.total == pytest.approx(first.total, rel=1e-4)
    assert counted.instructions[0].spread <= 1e-4


def test_operations_add_up_to_the_whole(counted):
    for one in counted.instructions:
        between = (1 - one.covered) * one.instructions.total
        assert 0 <= between < 40_000  # LiteRT's own, of a run of any file
        assert all(operation.instructions.total > 0 for operation in one.operations)
    kinds = [operation.name for operation in counted.instructions[0].operations]
    assert any("Convolution" in kind for kind in kinds)


def test_a_loop_is_the_operations_of_its_body(arm_library, lstm):  # noqa: F811
    (one,) = tfzip.benchmark(lstm, device="qemu").instructions
    names = [operation.name for operation in one.operations]
    assert "WHILE" not in names
    assert sum("Fully Connected" in name for name in names) >= 2 * 6  # two in each of the six steps
    assert 0 < one.covered < 1
    assert all(operation.instructions.total > 0 for operation in one.operations)


def test_int8_outputs_are_those_of_the_host_to_the_last_bit(counted):
    floats, integers = counted.instructions
    assert integers.agreement.identical
    assert floats.agreement.largest < 1e-5


def test_four_bit_convolutions_round_unevenly_and_have_to_be_alike_only(arm_library, int8, tmp_path):  # noqa: F811
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((12, 12, 8))
    for _ in range(6):
        x = keras.layers.Conv2D(32, 3, activation="relu")(x) if x.shape[1] > 2 else x
    x = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x))
    path = tmp_path / "narrow.tflite"
    images = np.random.default_rng(0).normal(size=(16, 12, 12, 8)).astype("float32")
    tfzip.export(keras.Model(inputs, x * 100.0), path, scheme="w4a8", calibration=images)
    assert rounds_unevenly(str(path))
    assert not rounds_unevenly(str(int8))
    (one,) = tfzip.benchmark(path, device="qemu:cortex-a76", data=images).instructions
    assert one.agreement.largest > 1


def test_sparse_files_load_where_sparse_kernels_are(arm_library, tmp_path):  # noqa: F811
    layers = keras.layers
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, 2, activation="relu")(layers.ZeroPadding2D(1)(x))
    for name in "ab":
        x = layers.Conv2D(64, 1, activation="relu", name=name)(x)
    x = layers.Conv2D(12, 1, name="c")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    model = keras.Model(inputs, layers.Flatten()(x))
    for name in "abc":
        kernel = model.get_layer(name).kernel
        values = np.array(kernel)
        values[np.abs(values) <= np.quantile(np.abs(values), 0.8)] = 0
        kernel.assign(values)
    totals = {}
    for name, one in (("as it is", model), ("ready", tfzip.prepare_for_sparse(model))):
        artifact = tfzip.export(one, tmp_path / f"{name}.tflite", sparse=True)
        told = [finding.cost for finding in artifact.findings if "on ARM does not load" in finding.cost]
        assert bool(told) == (name == "as it is")
        (counted,) = tfzip.benchmark(artifact.path, device="qemu:cortex-a76").instructions
        totals[name] = counted.instructions.total
    assert totals["ready"] < 0.7 * totals["as it is"]


def test_a_report_of_counts_has_no_latency_and_follows_the_schema(counted):
    assert counted.latencies == ()
    assert violations(json.loads(counted.to_json()), SCHEMA, SCHEMA) == []
    assert "instructions per inference" in str(counted)
    assert " ms" not in str(counted)


def test_cores_with_dot_products_need_fewer_instructions(arm_library, int8):  # noqa: F811
    totals = {}
    for core in ("cortex-a53", "cortex-a55", "cortex-a76"):
        (one,) = tfzip.benchmark(int8, device=f"qemu:{core}").instructions
        totals[core] = one.instructions
    assert totals["cortex-a53"].sdot == 0
    assert totals["cortex-a55"].sdot > 0
    assert totals["cortex-a76"].total < totals["cortex-a53"].total


def test_real_data_go_through(arm_library, pair):  # noqa: F811
    rng = np.random.default_rng(0)
    data = {"index": np.array([[4], [0], [3]], "int32"), "image": rng.normal(size=(3, 4)).astype("float32")}
    (one,) = tfzip.benchmark(pair, device="qemu", data=data).instructions
    assert one.agreement.largest < 1e-5


def test_bad_input_is_one_line(arm_library, small, tmp_path):  # noqa: F811
    with pytest.raises(UnknownNameError, match="Did you mean 'cortex-a78'"):
        find_device("qemu:cortex-a77")
    with pytest.raises(OptionError, match="nothing after a colon"):
        find_device("host:x")
    with pytest.raises(OptionError, match="one thread"):
        tfzip.benchmark(small, device="qemu", threads=(1, 2))
    with pytest.raises(MissingDependencyError, match="apt-get install"):
        tfzip.benchmark(small, device={"name": "qemu", "sysroot": str(tmp_path)})
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"\x00" * 64)
    with pytest.raises(FileFormatError, match="broken"):
        QemuDevice().measure([Workload(broken, 1)], BenchPlan())


def test_without_the_emulator_the_remedy_is_named(small, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependencyError, match="apt-get install qemu-user"):
        tfzip.benchmark(small, device="qemu")


def test_every_core_is_found_here():
    specs = [found.spec for found in devices.type_of("qemu").found_here()]
    assert specs == [f"qemu:{core}" for core in CORES]


@pytest.mark.parametrize(
    "text", ["", '{"classes": ["total"]}', '{"classes": ["total"]}\n{"run": 0', "no json"]
)
def test_a_report_of_the_counter_that_is_not_whole_is_refused(text):
    with pytest.raises(DeviceError, match="no whole report"):
        parse_counts(text, [])


def test_half_precision_that_a_core_lacks_is_noted(arm_library, int8):  # noqa: F811
    report = tfzip.benchmark(int8, device={"name": "qemu", "core": "cortex-a53", "fp16": True})
    assert report.notes == ("cortex-a53 has no arithmetic in half precision: --fp16 changed nothing.",)


def test_a_file_without_operations_has_counts_of_none(arm_library, tmp_path):  # noqa: F811
    path = convert_function(lambda x: x, [tf.TensorSpec((1, 4))], tmp_path / "nothing.tflite")
    (found,) = tfzip.benchmark(path, device="qemu:cortex-a53").instructions
    assert found.operations == ()
    assert found.agreement.identical
