"""Makes the hash-locked requirements files, all from one resolution.

The development set is resolved once; each service's file is cut from it with the versions held, so that two services
never disagree about a library. No index host is written into the files.
"""

import subprocess
import sys

COMPILE = [
    *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header"),
]


def main(services: list[str]) -> None:
    subprocess.run([*COMPILE, "--upgrade", "requirements-dev.in", "-o", "requirements-dev.txt"], check=True)
    for service in services:
        source, target = f"{service}/requirements.in", f"{service}/requirements.txt"
        subprocess.run([*COMPILE, "-c", "requirements-dev.txt", source, "-o", target], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
