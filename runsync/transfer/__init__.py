"""The verbs over the nouns: one engine that carries from a source to a target, and what stands on it. A file a verb."""
