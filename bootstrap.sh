#!/bin/sh
# Prepare a fresh machine for the Makefile's targets. Called by make; also good by hand.
#
#   sh bootstrap.sh venv            .venv holds exactly what requirements-dev.txt locks (nothing is done where it does)
#   sh bootstrap.sh python          print the Python to use: .venv's, else the machine's first one that is new enough
#   sh bootstrap.sh program NAME [PACKAGE]
#                                   the program NAME stands (from that Debian package, or from the one of the same name)
#
# As root on Debian and Ubuntu, missing packages are installed; otherwise the message says what to install. Exits 1 then.
set -eu
cd "$(dirname "$0")"

fail() {
    printf 'bootstrap: %s\n' "$*" >&2
    exit 1
}

# A symbolic link into a Python that an upgrade of the machine has removed does not run, and so is not chosen.
machine_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer here ($(python3 --version 2>&1 || true)). Install one, for example python3.11, and repeat."
}

chosen_python() {
    if .venv/bin/python -c '' 2>/dev/null; then echo .venv/bin/python; else machine_python; fi
}

install_package() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        fail "$1 is missing. Install it (on Debian and Ubuntu: sudo apt-get install $1) and repeat."
    fi
    echo "bootstrap: installing $1 with apt-get"
    apt-get update -qq </dev/null || fail "apt-get update failed (see above); $1 is needed."
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$1" </dev/null >/dev/null ||
        fail "apt-get could not install $1 (see above)."
}

# What the finished environment was made from, and where: it cannot be moved, so a copied checkout makes its own.
wanted_stamp() {
    pwd
    cat requirements-dev.txt
}

build_venv() {
    python=$(machine_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_package "$python-venv"
    echo "bootstrap: making .venv with $("$python" --version), about a minute"
    rm -rf .venv
    "$python" -m venv .venv
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --require-hashes \
        -r requirements-dev.txt ||
        fail "pip could not fill .venv (see above). It needs a package index: PyPI, or the mirror that pip is configured for."
    wanted_stamp >.venv/ready # last: without it an interrupted environment is made again
}

case "${1-}" in
venv)
    if ! .venv/bin/python -c '' 2>/dev/null || ! wanted_stamp | cmp -s - .venv/ready; then build_venv; fi
    ;;
python) chosen_python ;;
program) command -v "${2:?a program name}" >/dev/null || install_package "${3:-$2}" ;;
*) fail "usage: sh bootstrap.sh venv | python | program NAME [PACKAGE]" ;;
esac
