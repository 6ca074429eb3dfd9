"""The filter language: MLflow's search filters, and more (docs/filters.md). Pure: text in, an expression, an answer.

`parse` makes an expression of a text, `evaluate` holds it against runs, `push` tells what of it a server may be asked.
"""
