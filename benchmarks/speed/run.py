"""Run every benchmark of speed, one after another, each in a process of its own.

    python benchmarks/speed/run.py [--quick]

`make bench` calls it. With `--quick` each script runs a few steps, and stores nothing.
"""

import subprocess
import sys
from pathlib import Path

SCRIPTS = ("startup", "engine", "vae", "flows", "pixelcnn", "measures", "dcgan", "spectral", "transport",
           "augment", "classifiers", "inside")  # fmt: skip

if __name__ == "__main__":
    commands = {name: [sys.executable, str(Path(__file__).with_name(f"{name}.py")), *sys.argv[1:]] for name in SCRIPTS}
    failed = [name for name, command in commands.items() if subprocess.run(command).returncode]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
