"""The only door to tf_keras and TFMOT: Keras 2 models become Keras 3 models."""
