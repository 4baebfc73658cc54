"""Self-supervision: networks that begin with what images without grades can teach."""
