"""Point clouds as points of a plane or space whose distances are those along the manifold."""
