"""A SageMaker MLflow tracking server on loopback (see README.md)."""

from emulators.sagemaker.proxy import SageMaker

__all__ = ["SageMaker"]
