#!/bin/sh
# Products of int8 in blocks of 32, written for AVX2. usage: int8-products.sh [threads] [steps]. Needs g++.
set -eu
program=$(mktemp)
trap 'rm -f "$program"' EXIT
g++ -O3 -march=haswell -std=c++17 -Wall -Wextra -pthread "$(dirname "$0")/int8-products.cpp" -o "$program"
"$program" "${1:-2}" "${2:-8}"
