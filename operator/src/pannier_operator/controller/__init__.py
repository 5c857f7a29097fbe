"""The control loop: what should be, compared with what is, and the difference applied."""
