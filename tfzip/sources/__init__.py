"""What a spec string names: models, data sets, calibration batches."""
