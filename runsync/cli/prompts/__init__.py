"""Commands of the group prompts."""
