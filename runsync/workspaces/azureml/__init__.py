"""MLflow as Azure Machine Learning speaks it: experimental, since nothing but documents and an emulator tell of it."""
