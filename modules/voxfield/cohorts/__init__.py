"""From a folder to a cohort table: `voxfield cohort FOLDER`. One module a layout; standard library only."""
