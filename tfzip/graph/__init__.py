"""What a Keras model is: the only place that walks, flattens or rebuilds one."""
