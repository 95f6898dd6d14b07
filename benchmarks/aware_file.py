"""What a file answers, on LiteRT alone, and how far its simulation is from it."""

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def scored(path: Path, simulated: np.ndarray, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Runs a file on the test images, one at a time as on a device, and compares.

    Args:
        path: A file with one input and one output.
        simulated: What the simulation answers to the images.
        images: As the model takes them; put on the file's grid first.
        labels: The right classes.

    Returns:
        Bytes, accuracies, and for an integer file the agreement (top-1, the simulation's answers on the
        grid of the file's output) and the largest difference in steps of that grid.
    """
    interpreter = Interpreter(str(path), num_threads=2)
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    held = []
    for image in _on_grid(images, given):
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        held.append(interpreter.get_tensor(result["index"])[0])
    answers, own = np.array(held), _on_grid(simulated, result)
    facts = {
        "bytes": path.stat().st_size,
        "file_accuracy": float((answers.argmax(-1) == labels).mean()),
        "model_accuracy": float((simulated.argmax(-1) == labels).mean()),
        "agreement": float((answers.argmax(-1) == own.argmax(-1)).mean()),
    }
    if answers.dtype != np.float32:
        difference = np.abs(answers.astype(int) - own.astype(int))
        facts |= {"max_lsb": int(difference.max()), "exact": float((difference == 0).all(-1).mean())}
    return facts


def _on_grid(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero = details["quantization"]
    if not scale:
        return values
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(values / scale) + zero, limits.min, limits.max).astype(details["dtype"])
