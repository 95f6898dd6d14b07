"""What held-out images choose among files, and whether it meets a bar on the test images."""

import statistics
from collections.abc import Callable


def chosen_file(
    rows: list[dict], *, is_own: Callable[[str], bool], bar_accuracy: float, bar_bytes: int
) -> dict:
    """Returns mean and spread over the seeds, the file that is best on held-out images, and if it does.

    Args:
        rows: For each file and seed: `file`, `bytes`, and the accuracies `held out` and `test`.
        is_own: Whether a file's name is one of ours and not a peer's.
        bar_accuracy: Least mean accuracy on the test images.
        bar_bytes: Most bytes.
    """
    by_name = {row["file"]: [other for other in rows if other["file"] == row["file"]] for row in rows}
    mean = {
        split: {name: statistics.mean(row[split] for row in found) for name, found in by_name.items()}
        for split in ("held out", "test")
    }
    spread = {
        name: statistics.stdev(row["test"] for row in found) if len(found) > 1 else None
        for name, found in by_name.items()
    }
    best = max(filter(is_own, by_name), key=lambda name: mean["held out"][name])
    largest = max(row["bytes"] for row in by_name[best])
    reached = mean["test"][best] >= bar_accuracy and largest <= bar_bytes
    for name in by_name:
        print(f"{name:32} held out {mean['held out'][name]:.4f}  test {mean['test'][name]:.4f}")
    print(f"chosen: {best}; >= {bar_accuracy} at <= {bar_bytes:,} bytes: {'yes' if reached else 'no'}")
    return {"mean": mean, "spread": spread, "chosen": best, "reached": reached}
