"""What a gateway begins with must not load what takes seconds: Triton starts meanwhile (decision 128)."""

import subprocess
import sys

SLOW = ("SimpleITK", "highdicom", "matplotlib", "pydicom", "scipy", "fastapi", "service.pipeline")


def test_the_command_line_imports_no_room() -> None:
    program = "import sys, service.__main__; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [name for name in SLOW if name in done.stdout.split()] == []
