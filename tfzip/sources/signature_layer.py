"""A SavedModel's signature as a Keras layer with named inputs and outputs."""

import os
from typing import Any

import keras


@keras.saving.register_keras_serializable("tfzip")
class SignatureLayer(keras.layers.TFSMLayer):
    """Calls one signature by its input names; `TFSMLayer` itself passes one positional argument only.

    Args:
        filepath: Folder of the SavedModel.
        signature: Name of the signature.
        name: Name of the layer.
    """

    def __init__(self, filepath: str | os.PathLike[str], signature: str, name: str | None = None) -> None:
        super().__init__(os.fspath(filepath), call_endpoint=signature, trainable=False, name=name)
        self.call_endpoint_fn = self._reloaded_obj.signatures[signature]

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Runs the signature on a mapping from input names to tensors and returns one by output names."""
        return dict(self.call_endpoint_fn(**inputs))

    def get_config(self) -> dict[str, Any]:
        """Returns the folder and signature, not portable to a machine without the folder."""
        return {"filepath": self.filepath, "signature": self.call_endpoint, "name": self.name}
