"""Text prompts of a face: by the name of its expression, and by what its action units do."""
