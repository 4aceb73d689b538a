"""`make evaluator`: every benchmark of speed, one after another, each a process of its own.

python benchmarks/speed/run.py [--quick]
"""

import subprocess
import sys
from pathlib import Path

SCRIPTS = ("startup", "engine", "vae", "measures", "dcgan", "spectral", "transport")

if __name__ == "__main__":
    for script in SCRIPTS:
        subprocess.run([sys.executable, str(Path(__file__).with_name(f"{script}.py")), *sys.argv[1:]], check=True)
