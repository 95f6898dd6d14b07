"""Our side of `bench_quantization_coverage`: one JSON line for each model named on the command line."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from common import answer

ROOT = Path(__file__).parent.parent
BATCH, IMAGES = 8, 2


def model_of(name: str) -> tuple[Any, list[Any]]:
    """Returns a case or a stock architecture, and random inputs for one step of training."""
    import keras
    from bench_architectures import NAMES, images, network

    if name in NAMES:
        model, side = network(name)
        return model, [images(IMAGES, side, seed=5)]
    sys.path.insert(0, str(ROOT))
    from tests.quantization.cases import build, samples

    model = build(name, keras)
    return model, samples(model, BATCH)


def one_step(model: Any, inputs: list[Any]) -> None:
    """Trains one step whose forward pass is simulated, on ranges found on the same batch."""
    import numpy as np

    import tfzip

    target = np.random.default_rng(2).normal(size=model(inputs[0][:1] if len(inputs) == 1 else inputs).shape)
    target = np.repeat(target[:1], len(inputs[0]), axis=0)
    model.compile("sgd", "mse")
    data = inputs[0] if len(inputs) == 1 else inputs
    callback = tfzip.QuantizationCallback("int8", calibration=data)
    model.fit(data, target, batch_size=len(inputs[0]), epochs=1, verbose=0, callbacks=[callback])


def covered(name: str, folder: Path) -> dict[str, Any]:
    """Trains one step, exports without calibration data, and reads the file."""
    import tfzip
    from tfzip.tflite import read

    model, inputs = model_of(name)
    one_step(model, inputs)
    artifact = tfzip.export(model, folder / "m.tflite")
    places = [(op, g) for g in read(artifact.path).subgraphs for op in g.operators]
    floats = [
        op.name
        for op, graph in places
        if op.name not in ("QUANTIZE", "DEQUANTIZE")
        and any(t.is_float and not t.is_constant for t in graph.tensors_of(op.inputs + op.outputs))
    ]
    islands = [f"{f.op} in {f.layer}" for f in artifact.findings if f.kind == "float_island"]
    io = {spec.dtype for spec in (*artifact.inputs, *artifact.outputs)}
    return {
        "result": "ok" if "float32" not in io else f"takes {sorted(io)}",
        "integer_ops": len(places) - len(floats),
        "float_ops": len(floats),
        "islands": islands,
    }


def main() -> None:
    """Covers every case named on the command line; one warm child converts for all."""
    from tfzip.conversion import export, inner
    from tfzip.sandbox import Sandbox

    with Sandbox() as child:
        export.run_isolated = inner.run_isolated = child.call
        for case in sys.argv[1:]:
            with tempfile.TemporaryDirectory() as place:
                answer(case, lambda case=case, place=place: covered(case, Path(place)))


if __name__ == "__main__":
    main()
