"""`python -m thalweg` is `thalweg`."""

import sys

# `python -m` puts the current folder first on the path, where a file random.py or torch.py would be imported and run.
if not sys.flags.safe_path:
    del sys.path[0]

from thalweg.cli import main

sys.exit(main())
