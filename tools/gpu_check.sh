#!/bin/sh
# What matters on a GPU, in order of value: correctness, times, peak memory. One JSON, one table.
#
#   tools/gpu_check.sh             on one card of 80 GB, in under eight minutes; torch and Triton alone
#   tools/gpu_check.sh --rehearse  the same on a processor, with tiny sizes and Triton's interpreter
#
# The files come to $OUT, or to the folder output/gpu_check.
set -eu
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" -P tools/gpu_check.py "$@"
