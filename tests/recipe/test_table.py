"""The before/after table, from records written by hand."""

from tfzip.recipe.run_folder import StepRecord
from tfzip.recipe.table import comparison_rows, turned


def record(step, facts, exported="", scheme=""):
    return StepRecord(step, {}, {}, "", facts, "", 0.0, exported=exported, scheme=scheme)


def parity(file_score, agreement):
    quality = {"metric": "accuracy", "file": file_score}
    return {"outputs": [{"cosine": 0.5, "agreement": agreement, "quality": quality}]}


BEFORE = record("export", {"size_bytes": 4000, "sparsity": 0.0}, "a.tflite", "float32")
AFTER = record("export", {"size_bytes": 1000, "sparsity": 0.6}, "b.tflite", "int8")
EXPORTS = [("01-export/a.tflite", BEFORE), ("03-export/b.tflite", AFTER)]


def test_the_table_has_a_column_for_each_file_and_the_change():
    compared = record(
        "compare",
        {"files": {"01-export/a.tflite": parity(0.9, 1.0), "03-export/b.tflite": parity(0.88, 0.97)}},
    )
    measured = record(
        "benchmark",
        {
            "latencies": [
                {"file": "01-export/a.tflite", "threads": 1, "p50_ms": 2.0},
                {"file": "03-export/b.tflite", "threads": 1, "p50_ms": 0.5},
                {"file": "01-export/a.tflite", "threads": 2, "p50_ms": 0.5},
                {"file": "03-export/b.tflite", "threads": 2, "p50_ms": 1.0},
            ]
        },
    )
    assert comparison_rows(EXPORTS, [BEFORE, AFTER, compared, measured]) == (
        ("", "float32 (01-export)", "int8 (03-export)", "change"),
        ("size", "4 kB", "1 kB", "4.00x smaller"),
        ("accuracy, test split", "90.00 %", "88.00 %", "-2.00 points"),
        ("latency, 1 thread", "2 ms", "500 µs", "4.00x smaller"),
        ("latency, 2 threads", "500 µs", "1 ms", "2.00x larger"),
        ("zeros in kernels", "0.00 %", "60.00 %", ""),
        ("agrees with its model", "100.00 %", "97.00 %", ""),
        ("cosine with its model", "0.500000", "0.500000", ""),
    )


def test_what_was_not_measured_has_no_row():
    assert comparison_rows(EXPORTS[1:], [AFTER]) == (
        ("", "int8 (03-export)"),
        ("size", "1 kB"),
        ("zeros in kernels", "60.00 %"),
    )
    assert comparison_rows([], []) == ()


def test_many_files_have_a_row_each():
    few, many = (tuple((f"{row}", *["x"] * count) for row in range(3)) for count in (6, 7))
    assert turned(few) == few
    assert turned(many) == (("0", "1", "2"), *[("x",) * 3] * 7)
    assert turned(()) == ()
