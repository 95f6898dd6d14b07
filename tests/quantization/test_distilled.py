"""Distillation as the loss of an aware fit: the student is simulated, the teacher stays as it is."""

import keras
import numpy as np
import pytest

import tfzip
from tests.quantization.small import images, network
from tfzip.quantization_record import record_of

TEMPERATURE = 4.0


def softened(logits):
    return keras.ops.softmax(logits / TEMPERATURE)


class Distilled(keras.Model):
    """A Functional model that learns from a teacher, as people write one."""

    def learn_from(self, teacher):
        teacher.trainable = False
        self.teacher = teacher

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        target = keras.ops.stop_gradient(softened(self.teacher(x, training=False)))
        return keras.ops.mean(keras.losses.kl_divergence(target, softened(y_pred)))


def with_a_teacher_in_the_loss(teacher, x):
    small = network()
    student = Distilled(small.inputs, small.outputs, name="student")
    student.learn_from(teacher)
    student.compile(keras.optimizers.Adam(3e-3))
    return student, np.zeros(len(x))


def with_soft_labels(teacher, x):
    student = network()

    def loss(y_true, y_pred):
        return keras.losses.kl_divergence(y_true, softened(y_pred))

    student.compile(keras.optimizers.Adam(3e-3), loss)
    return student, np.asarray(softened(teacher(x)))


def taught():
    """Returns a teacher that answers with logits of some size."""
    teacher = network()
    kernel = teacher.get_layer("head").kernel
    kernel.assign(np.random.default_rng(1).normal(size=kernel.shape))
    return teacher


@pytest.mark.parametrize("kind", [with_a_teacher_in_the_loss, with_soft_labels])
def test_a_student_learns_from_its_teacher_while_it_is_rounded(kind, tmp_path):
    teacher, (x, _) = taught(), images()
    before = [weight.copy() for weight in teacher.get_weights()]
    student, y = kind(teacher, x)
    callback = tfzip.QuantizationCallback("int8")
    seen = student.fit(x, y, batch_size=16, epochs=20, callbacks=[callback], verbose=0).history["loss"]
    assert seen[-1] < 0.4 * seen[0]
    assert record_of(teacher) is None
    for weight, old in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    artifact = tfzip.export(student, tmp_path / "student.tflite")
    report = tfzip.parity(student, artifact, x)
    assert artifact.scheme == "int8"
    assert report.max_lsb == 0
