"""MLflow as Amazon SageMaker runs it: an open-source server behind AWS signatures, with artifacts in S3."""
