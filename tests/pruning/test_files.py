"""What is saved while pruning is a plain Keras file."""

import subprocess
import sys

import keras
import numpy as np

from tests.pruning.small import SIZES, compiled, images, network, zeros_of
from tfzip.pruning.callback import PruningCallback
from tfzip.pruning.schedules import ConstantSchedule

TARGETS = {name: round(0.6 * size) for name, size in SIZES.items()}

LOAD = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tfzip":
            raise ImportError("tfzip is not installed here")
sys.meta_path.insert(0, Nothing())
import keras, numpy as np
for path in sys.argv[2:]:
    model = keras.models.load_model(path)
    x = np.load(sys.argv[1])["x"]
    expected = np.load(path + ".npz")["y"]
    assert np.array_equal(model.predict(x, verbose=0), expected), path
    assert type(model.get_layer("conv").kernel.constraint) in (type(None), keras.constraints.NonNeg)
    kernels = [model.get_layer(name).weights[0].numpy() for name in ("conv", "depthwise", "head")]
    print(*[kernel.size - np.count_nonzero(kernel) for kernel in kernels])
"""


def test_files_written_in_the_middle_and_at_the_end_load_without_tfzip(tmp_path):
    x, y = images()
    model = compiled(network(kernel_constraint=keras.constraints.NonNeg()))
    config = model.get_config()
    np.savez(tmp_path / "x.npz", x=x[:8])

    def save(path):
        model.save(path)
        np.savez(f"{path}.npz", y=model.predict(x[:8], verbose=0))

    class SaveInTheMiddle(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                save(str(tmp_path / "middle.keras"))

    pruning = PruningCallback(ConstantSchedule(0.6))
    model.fit(x, y, batch_size=16, callbacks=[pruning, SaveInTheMiddle()], verbose=0)
    assert model.get_config() == config
    save(str(tmp_path / "end.keras"))
    arguments = [str(tmp_path / name) for name in ("x.npz", "middle.keras", "end.keras")]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    middle, end = (list(map(int, line.split())) for line in done.stdout.splitlines())
    assert middle == list(TARGETS.values())
    assert end[1:] == list(TARGETS.values())[1:]
    assert end[0] >= TARGETS["conv"], "NonNeg's own zeros come on top"


def test_a_checkpoint_goes_on_in_another_fit_with_initial_epoch(tmp_path):
    path = tmp_path / "{epoch}.keras"
    x, y = images()

    def pruned_fit(model, callbacks=(), initial_epoch=0):
        model.fit(
            x,
            y,
            batch_size=16,
            epochs=4,
            initial_epoch=initial_epoch,
            callbacks=[PruningCallback(0.8), *callbacks],
            shuffle=False,
            verbose=0,
        )
        return model.get_layer("head").kernel.numpy()

    whole = pruned_fit(compiled(network()), callbacks=[keras.callbacks.ModelCheckpoint(path)])
    half = keras.models.load_model(tmp_path / "2.keras")
    assert 0 < zeros_of(half.get_layer("head").kernel) < 1024
    resumed = pruned_fit(half, initial_epoch=2)
    np.testing.assert_array_equal(whole == 0, resumed == 0)
    np.testing.assert_allclose(whole, resumed, atol=1e-5)
