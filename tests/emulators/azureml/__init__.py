"""Azure ML's MLflow on loopback, as far as documents tell of it: see README.md."""
