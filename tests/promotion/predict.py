"""Run by an MLflow's own Python: `predict.py URI MODEL...` prints what models predict for 1 and 2, by their URIs."""

import json
import sys

import mlflow

uri, *models = sys.argv[1:]
mlflow.set_tracking_uri(uri)
print(json.dumps({model: mlflow.pyfunc.load_model(f"models:/{model}").predict([1.0, 2.0]) for model in models}))
