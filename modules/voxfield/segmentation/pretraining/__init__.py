"""Learning from scans that nobody annotated."""
