"""Runs a script in a virtual environment that holds the named packages: venv.py FOLDER PACKAGES SCRIPT ARGUMENTS...

The environment is made once and kept in FOLDER. PACKAGES is a comma-separated list of requirements. When it cannot be
made the exit code is 77 and the last line on stderr says why.
"""

import fcntl
import os
import subprocess
import sys

NOT_AVAILABLE = 77


def make(folder, packages):
    """Makes the environment unless it stands already; several processes may ask at a time."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = os.path.join(folder, "complete")
        python = os.path.join(folder, "venv", "bin", "python")
        if os.path.exists(complete):
            with open(complete) as told:
                if told.read() == packages:
                    return python
        run([sys.executable, "-m", "venv", "--clear", os.path.join(folder, "venv")])
        run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages.split(",")])
        with open(complete, "w") as told:
            told.write(packages)
        return python


def run(command):
    """Runs a command; when it fails, says so and ends."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        print(f"{' '.join(command[1:4])}: {said[-1]}", file=sys.stderr)
        sys.exit(NOT_AVAILABLE)


def main():
    """Makes the environment and becomes the script."""
    folder, packages, script, *arguments = sys.argv[1:]
    python = make(folder, packages)
    os.execv(python, [python, script, *arguments])


main()
