"""A student that learns from a teacher, with the ordinary `compile` and `fit`."""

import inspect
import threading
from collections.abc import Sequence
from typing import Any

import keras

from tfzip.distillation.cached_fit import check_cached_fit, without_answers
from tfzip.distillation.cached_teacher import CachedTeacher, split
from tfzip.distillation.features import Feature, caught
from tfzip.distillation.logits import are_logits, as_logits, check_ends, said_of, seen
from tfzip.distillation.losses import distillation_losses
from tfzip.distillation.peek import first_inputs
from tfzip.distillation.sides import sides_of
from tfzip.distillation.terms import terms_of
from tfzip.distillation.weighting import mean_of, per_sample, weights_of
from tfzip.errors import ModelError, OptionError
from tfzip.given import is_number


@keras.saving.register_keras_serializable(package="tfzip")
class Distiller(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Trains a student on labels and on what a teacher makes of the same inputs.

    The loss is `label_weight` times the compiled one, plus the student's regularizers, plus the weighted
    distillation losses. A step runs the teacher once, in inference mode, and the student once. Only the
    student and what losses own is trained; the teacher is not changed, nor is whether it may be trained.
    Callbacks for pruning and quantization work on the student.

    After `fit`, `student` is a plain model. Metrics and `predict` are the student's.

    Args:
        teacher: A built model with the student's inputs, or what `cache_teacher` has made of one.
        student: A built model.
        losses: Names, mappings with `name` and fields, or objects, one or several: `"kd"`, `"dkd"`, `"mse"`,
            `"cosine"`, `"hint"`, `"attention_transfer"`, `"similarity_preserving"`, `"relational"`,
            `"contrastive"`.
        weights: A number for each loss. Defaults to None: those of the papers.
        label_weight: Weight of the compiled loss; with 0, labels are not looked at. Defaults to 1.
        from_logits: Whether outputs are logits. Otherwise they are probabilities, and losses that compare
            classes take their logarithm. A pair says it of teacher and student; None finds it out, by how a
            model ends and by its first outputs in `fit`. Defaults to True.
        **kwargs: `name` and `dtype`, as Keras takes them.

    Raises:
        OptionError: Losses, weights and models do not fit together.
        ModelError: A model is not built.

    Example:
        >>> distiller = tfzip.Distiller(teacher, student, ["kd", "hint"])
        >>> distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> distiller.fit(x, y, epochs=10)
        >>> distiller.student.save("student.keras")
    """

    def __init__(
        self,
        teacher: keras.Model | CachedTeacher,
        student: keras.Model,
        losses: Any = "kd",
        *,
        weights: float | Sequence[float] | None = None,
        label_weight: float = 1.0,
        from_logits: bool | Sequence[bool | None] | None = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "distiller", **kwargs})
        sides = sides_of(teacher, student)
        if not is_number(label_weight) or not label_weight >= 0:
            raise OptionError(f"label_weight is a number of at least 0. Received: {label_weight!r}.")
        self._terms = _Untracked(terms_of(losses, weights, *sides))
        said = said_of(from_logits)
        check_ends(self._terms.value, sides, said)
        self._sides = _Untracked(sides)
        self._logits = _Untracked(
            [are_logits(*one) for one in zip((s.ends for s in sides), said, strict=True)]
        )
        self.teacher = teacher
        self.student = student
        self.projectors = [
            layer for term in self._terms.value for layer in term.projectors if layer is not None
        ]
        self.label_weight = float(label_weight)
        self.from_logits = from_logits
        self._shares = [
            keras.Variable(1.0, trainable=False, name=f"{name}_share") for name in ("weight", "temperature")
        ]
        self._trackers = [keras.metrics.Mean(name="label_loss")]
        self._trackers += [keras.metrics.Mean(name=f"{term.name}_loss") for term in self._terms.value]
        self._caught = _Untracked(threading.local())
        self.built = True

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Fits as any model, after a look at what teacher and student make of the first samples."""
        inputs, source = first_inputs(x)
        if isinstance(self.teacher, CachedTeacher):
            given = inspect.signature(super().fit).bind(x, *args, **kwargs).arguments
            check_cached_fit(self.teacher, x, inputs, given)
        if inputs is not None and any(term.loss.per_class for term in self._terms.value):
            self._look_at(inputs)
        return super().fit(source, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, return_dict: bool = False, **kwargs: Any) -> Any:
        """Evaluates as any model; of samples that a cached teacher never saw, without what compares."""
        logs = super().evaluate(x, *args, return_dict=True, **kwargs)
        if self._is_cached:
            unseen = [one.name for one in self._trackers[1:] if not keras.ops.convert_to_numpy(one.count)]
            logs = {name: value for name, value in logs.items() if name not in unseen}
        return logs if return_dict else self._flatten_metrics_in_order(logs)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns what the student makes of the inputs."""
        if self._is_cached:
            inputs, _ = split(inputs)
        with caught(self._features("student")) as features:
            outputs = self.student(inputs, training=training)
        self._caught.value.latest = (outputs, features)
        return outputs

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the sum of all losses, a scalar."""
        if y_pred is None:
            y_pred = self(x, training=training)
        total = self._own_loss(x, y, y_pred, sample_weight, training)
        ours = self._student_features(x, y_pred)
        answers, theirs = self._asked(x)
        if answers is None:
            if training:
                raise OptionError(without_answers())
            return total
        outputs = [self._in_float32(one) for one in (answers, y_pred)]
        share, warmth = (keras.ops.convert_to_tensor(variable) for variable in self._shares)
        logits = [
            [one / warmth for one in as_logits(*both)]
            for both in zip(outputs, self._logits.value, strict=True)
        ]
        masks = [getattr(one, "_keras_mask", None) for one in keras.tree.flatten(y_pred)]
        weights = weights_of(sample_weight, [end.name for end in self._sides.value[1].ends])
        for term, tracker in zip(self._terms.value, self._trackers[1:], strict=True):
            compared = logits if term.loss.per_class else outputs
            values = zip(term.of_outputs(*compared), term.ends, strict=True)
            value = sum(mean_of(one, weights[index], masks[index]) for one, (_, index) in values)
            value += sum(mean_of(one, per_sample(weights)) for one in term.of_features(theirs, ours))
            if term.loss.per_class:
                value = value * keras.ops.square(warmth)  # as their own temperature is
            tracker.update_state(value)
            total = total + share * term.weight * value / self._replicas
        return total

    def set_shares(self, *, weight: float, temperature: float) -> None:
        """Sets by what the distillation losses' weights and the temperature are multiplied, 1 at first."""
        for variable, value in zip(self._shares, (weight, temperature), strict=True):
            variable.assign(value)

    @property
    def trainable_variables(self) -> list[Any]:
        """Variables of the student and of what losses own."""
        return self._without_teachers(super().trainable_variables)

    @property
    def trainable_weights(self) -> list[Any]:
        """Weights of the student and of what losses own."""
        return self._without_teachers(super().trainable_weights)

    @property
    def non_trainable_variables(self) -> list[Any]:
        """All other variables, the teacher's with them."""
        trained = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in trained]

    @property
    def non_trainable_weights(self) -> list[Any]:
        """All other weights, the teacher's with them."""
        trained = {id(weight) for weight in self.trainable_weights}
        return [weight for weight in self.weights if id(weight) not in trained]

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` builds an equal distiller from, both models included."""
        if self._is_cached:
            raise OptionError(
                "A distiller whose teacher is cached cannot be saved: its answers are in the cache. Save"
                " distiller.student, or its weights with save_weights."
            )
        terms = self._terms.value
        return {
            **super().get_config(),
            "teacher": keras.saving.serialize_keras_object(self.teacher),
            "student": keras.saving.serialize_keras_object(self.student),
            "losses": [distillation_losses.config_of(term.loss) for term in terms],
            "weights": [term.weight for term in terms],
            "label_weight": self.label_weight,
            "from_logits": self.from_logits,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Distiller":
        """Builds a distiller from its configuration."""
        models = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("teacher", "student")
        }
        return cls(**{**config, **models})

    def _asked(self, x: Any) -> tuple[Any, dict[str, Any]]:
        """Returns the teacher's outputs and features, or None for samples that it was never asked about."""
        if isinstance(self.teacher, CachedTeacher):
            return split(x)[1], {}
        with caught(self._features("teacher")) as features:
            return self.teacher(x, training=False), features

    def _own_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Any:
        """Returns the compiled loss, weighted, and the student's regularizers."""
        extra = [keras.ops.cast(keras.ops.sum(loss), "float32") / self._replicas for loss in self.losses]
        regular = sum(extra, keras.ops.zeros(()))
        if self.loss is None or not self.label_weight:  # compiled without one, or not to be looked at
            return regular
        labels = super().compute_loss(x, y, y_pred, sample_weight, training) - regular
        self._trackers[0].update_state(labels * self._replicas)
        return self.label_weight * labels + regular

    def _student_features(self, x: Any, y_pred: Any) -> Any:
        outputs, features = getattr(self._caught.value, "latest", (None, {}))
        self._caught.value.latest = (None, {})
        wanted = self._features("student")
        if not wanted:
            return {}
        if outputs is not y_pred:  # of another call, or of another graph
            with caught(wanted) as features:
                self.student(x, training=False)
        missing = [feature.path for feature in wanted if feature.path not in features]
        if missing:
            raise ModelError(
                f"The student does not run its layer {missing[0]!r} by itself, so its features cannot be"
                " compared. While it is simulated for a file, use losses of outputs, such as 'kd'."
            )
        return features

    def _features(self, side: str) -> list[Feature]:
        return [getattr(pair, side) for term in self._terms.value for pair in term.pairs]

    def _look_at(self, inputs: Any) -> None:
        """Checks by some outputs what is said of them, and finds out what is not said."""
        if isinstance(self.teacher, CachedTeacher):
            inputs, answers = split(inputs)
        else:
            answers = keras.tree.flatten(self.teacher(inputs, training=False))
        outputs = answers, keras.tree.flatten(self.student(inputs, training=False))
        found = seen(self._terms.value, self._sides.value, said_of(self.from_logits), outputs)
        for (side, index), is_logits in found.items():
            if self._logits.value[side][index] != is_logits:
                self._logits.value[side][index] = is_logits
                self.train_function = self.test_function = None  # what was compiled took the other

    @property
    def _is_cached(self) -> bool:
        return isinstance(self.teacher, CachedTeacher)

    @property
    def _replicas(self) -> int:
        return int(self.distribute_strategy.num_replicas_in_sync)

    def _without_teachers(self, variables: Sequence[Any]) -> list[Any]:
        teachers = {id(variable) for variable in getattr(self.teacher, "variables", ())}
        return [variable for variable in variables if id(variable) not in teachers]

    @staticmethod
    def _in_float32(outputs: Any) -> list[Any]:
        return [keras.ops.cast(one, "float32") for one in keras.tree.flatten(outputs)]


class _Untracked:
    """Holds what Keras is not to look into."""

    def __init__(self, value: Any) -> None:
        self.value = value
