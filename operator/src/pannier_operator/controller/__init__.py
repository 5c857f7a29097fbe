"""The control loop: compares what exists with what should exist, and applies the difference."""
