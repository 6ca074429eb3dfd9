"""A verifying gate in front of real MLflow servers, as Amazon SageMaker has one: see README.md."""
