"""What a .tflite file is: the only place that parses or signs one."""
