"""`python -m voxfield` is the command `voxfield`."""

import sys

from voxfield.cli import main

sys.exit(main())
