"""Learning from labels that are wrong in places, and from several readers who differ."""
