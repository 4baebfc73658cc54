"""NIfTI-1 and NIfTI-2, single files, plain or gzip: one reader, one writer, one affine rule."""
