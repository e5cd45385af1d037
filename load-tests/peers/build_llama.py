"""Builds llama.cpp's server, and a Python environment with `gguf`, in a folder of its own.

Usage: build_llama.py <folder> [--jobs N]. What is there already is left as it is, so a build that was broken off goes on.
The source is what the `llama-cpp-python` sdist carries; needs pip's package index, cmake and a C++ compiler
(clang++ where the CPU has AMX).
Prints one line of JSON: {"server": path, "python": path, "version": of the sdist}.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import venv

VERSION = "0.3.36"
GGUF = "0.19.0"
# Plain CPU code for this machine, no page, no TLS: what answers requests and nothing else.
OPTIONS = (
    "CMAKE_BUILD_TYPE=Release GGML_NATIVE=ON LLAMA_BUILD_SERVER=ON LLAMA_BUILD_UI=OFF LLAMA_OPENSSL=OFF "
    "LLAMA_BUILD_TESTS=OFF LLAMA_BUILD_EXAMPLES=OFF BUILD_SHARED_LIBS=OFF"
).split()


# GCC 12 leaves out the stores of AMX's tile settings. The server then ends at its first product.
WITHOUT_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"


def compiler_options():
    """CMake options of a compiler whose code runs on this CPU; none if `CXX` names one, or the CPU has no AMX."""
    cpu = pathlib.Path("/proc/cpuinfo")
    has_amx = cpu.exists() and "amx_tile" in cpu.read_text()
    if "CXX" in os.environ or not has_amx:
        return []
    if shutil.which("clang++"):
        return ["CMAKE_C_COMPILER=clang", "CMAKE_CXX_COMPILER=clang++"]
    print("llama.cpp is built without AMX, because there is no clang++", file=sys.stderr)
    return [f"CMAKE_C_FLAGS={WITHOUT_AMX}", f"CMAKE_CXX_FLAGS={WITHOUT_AMX}"]


def run(*command):
    """Runs a program; its output goes to stderr, since stdout is for the result."""
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)


def python_of(folder):
    """A virtual environment with what the converter needs."""
    home = folder / "venv"
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    has_gguf = subprocess.run([python, "-c", "import gguf"], stderr=subprocess.DEVNULL).returncode == 0
    if not has_gguf:
        run(python, "-m", "pip", "install", "--quiet", f"gguf=={GGUF}")
    return python


def source_of(folder, python):
    """The unpacked llama.cpp."""
    source = folder / f"source-{VERSION}"
    if source.exists():
        return source / "vendor" / "llama.cpp"
    archive = folder / f"llama_cpp_python-{VERSION}.tar.gz"
    if not archive.exists():
        package = ("--no-binary", "llama-cpp-python", f"llama-cpp-python=={VERSION}")
        run(python, "-m", "pip", "download", "--quiet", "--no-deps", *package, "--dest", folder)
    unpacked = folder / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
    (unpacked / f"llama_cpp_python-{VERSION}").rename(source)
    return source / "vendor" / "llama.cpp"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    python = python_of(folder)
    build = folder / f"build-{VERSION}"
    server = build / "bin" / ("llama-server.exe" if os.name == "nt" else "llama-server")
    if not server.exists():
        source = source_of(folder, python)
        run("cmake", "-S", source, "-B", build, *(f"-D{option}" for option in OPTIONS + compiler_options()))
        run("cmake", "--build", build, "--target", "llama-server", "--parallel", arguments.jobs)
    print(json.dumps({"server": str(server), "python": str(python), "version": VERSION}))


if __name__ == "__main__":
    main()
