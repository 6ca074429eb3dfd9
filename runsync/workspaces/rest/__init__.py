"""MLflow tracking servers, over their REST API: source, target and editor."""
