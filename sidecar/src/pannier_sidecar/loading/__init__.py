"""Opens the stores that component files describe, and exchanges them when the files change."""
