#!/bin/sh
# Installs the pinned packages of a lock file and the project itself into .venv: setup.sh PYTHON LOCK
set -eu
python=$1
lock=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    for candidate in python3.14 python3.13 python3.12 python3.11 ""; do
        if [ -z "$candidate" ]; then
            echo "Tidemark requires Python 3.11 or newer. Specify one with 'make PYTHON=/path/to/python3 …'." >&2
            exit 1
        fi
        if command -v "$candidate" >/dev/null 2>&1; then
            python=$candidate
            break
        fi
    done
fi
if ! "$python" -m pip --version >/dev/null 2>&1; then
    echo "Tidemark's setup requires pip for $python (on Debian: apt-get install python3-pip)." >&2
    exit 1
fi

# Recreate a virtual environment that was moved or whose Python no longer exists.
if ! .venv/bin/python -c 'import os, sys; sys.exit(not os.path.samefile(sys.prefix, ".venv"))' 2>/dev/null; then
    rm -rf .venv
    "$python" -m venv --without-pip .venv
fi

echo "Setting up .venv from $lock (only once, takes about a minute) …" >&2
"$python" -m pip --python .venv/bin/python install --quiet --quiet --disable-pip-version-check \
    --require-hashes --requirement "$lock"
"$python" -m pip --python .venv/bin/python install --quiet --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --editable .
