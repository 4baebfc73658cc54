"""A problem as data: what its operator is, where it holds, and what is known on the boundary."""
