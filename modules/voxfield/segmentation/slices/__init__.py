"""From masks on a few planes to a dense shape: points in the world, the planes they lie on, a field between them."""
