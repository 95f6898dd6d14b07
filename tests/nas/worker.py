"""A search in a process of its own, which a test may end: python -m tests.nas.worker FIELDS-AS-JSON."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import tfzip

SPACE = tfzip.Space({f"x{i}": tfzip.IntRange(0, 9) for i in range(4)})


def value(choices):
    """Returns the metrics of a sample."""
    apart = sum((option - 6) ** 2 for option in choices.values())
    return {"accuracy": -float(apart), "cost": sum(choices.values())}


def main(storage, trials, log, kill_at=None, together=0):
    """Searches; kills itself in a trial, and waits for others to be ready, if it is told so."""
    done = 0

    def objective(choices):
        nonlocal done
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        done += 1
        with Path(log).open("a") as stream:
            stream.write(f"{os.getpid()} {sorted(choices.items())}\n")
        return value(choices)

    ready = Path(f"{log}.ready")
    ready.mkdir(exist_ok=True)
    (ready / str(os.getpid())).touch()
    while len(list(ready.iterdir())) < together:
        time.sleep(0.01)
    found = tfzip.search(SPACE, objective, trials=trials, storage=storage, constraints={"cost": 22})
    sys.stdout.write(f"{len(found.trials)} {found.best.metrics['accuracy']}\n")


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
