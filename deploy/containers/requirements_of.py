"""Print the project's requirements with those of the extras that are named: ``requirements_of.py export``."""

import sys
import tomllib
from pathlib import Path

if __name__ == "__main__":
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = [requirement for extra in sys.argv[1:] for requirement in project["optional-dependencies"][extra]]
    print("\n".join([*project["dependencies"], *extras]))
