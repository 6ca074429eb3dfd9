"""Run by an MLflow's own Python: `save_model.py FOLDER` saves a model there that triples what it is given."""

import sys
from pathlib import Path

import mlflow

CODE = """
import mlflow
from mlflow.models import set_model

class Scaled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [3 * each for each in model_input]

set_model(Scaled())
"""
Path("scaled.py").write_text(CODE)
mlflow.pyfunc.save_model(sys.argv[1], python_model="scaled.py", pip_requirements=["mlflow"])
print("{}")
