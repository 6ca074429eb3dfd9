"""Verbs on prompts where they lie: list, show."""
