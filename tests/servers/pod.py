"""Containers of a rendered pod, run on this machine as their manifests say.

No container runtime and no cluster: Linux namespaces. Each container gets a root of its own, read only, with the
manifest's volumes at the manifest's paths; the containers of a pod share a network and, where the manifest says so,
memory; the processes are the manifest's user and have no privileges. The images' contents are this checkout's.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.triton.installation import PROJECT, Installation, library_path
from tests.factories import chart

INTERPRETER = Path(sys.prefix)
UNSHARE = ["unshare", "--mount", "--net", "--propagation", "private"]
SYSTEM = ("usr", "bin", "lib", "lib64", "sbin")


class Container:
    """A container of a pod: a root, a user, an environment."""

    def __init__(self, pod: "Pod", manifest: chart.Manifest, image: dict[str, str]) -> None:
        self.manifest = manifest
        self.log = pod.folder / f"{manifest['name']}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._root = pod.make_root(manifest)
        user, group = (str(pod.manifest["securityContext"][key]) for key in ("runAsUser", "runAsGroup"))
        environment = image | chart.variables(manifest)
        self._enter = [
            *pod.enter, "chroot", str(self._root),
            "setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", "--bounding-set=-all",
            "env", "--ignore-environment", f"--chdir={PROJECT}", *(f"{k}={v}" for k, v in environment.items()),
        ]  # fmt: skip

    def start(self) -> None:
        """Start the container's own command line."""
        command = [*self.manifest["command"], *self.manifest.get("args", ())]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*self._enter, *command], stdout=log, stderr=log)

    def run(self, *command: str, timeout_seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command inside, or the container's own where none is given, and wait for its end."""
        what = command or (*self.manifest["command"], *self.manifest.get("args", ()))
        return subprocess.run(
            [*self._enter, *what], capture_output=True, text=True, timeout=timeout_seconds, check=False
        )

    def probe(self, kind: str) -> bool:
        """Run one of the container's exec probes once."""
        probe = self.manifest[f"{kind}Probe"]
        return self.run(*probe["exec"]["command"], timeout_seconds=probe["timeoutSeconds"] + 5).returncode == 0

    def stop(self, timeout_seconds: float) -> int:
        """Stop it as the kubelet does; return its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout_seconds)


class Pod:
    """A pod's namespaces and volumes.

    Args:
        manifest: The pod's specification.
        contents: Files of ConfigMaps and Secrets, by name.
        folder: Where roots and volumes lie.
        models: What a claim or an image holds as model repository.
    """

    def __init__(
        self, manifest: chart.Manifest, contents: dict[str, dict[str, str]], folder: Path, models: Path
    ) -> None:
        self.manifest, self.folder, self._models = manifest, folder, models
        self._contents = contents
        self._holder = subprocess.Popen([*UNSHARE, "sleep", "infinity"])
        self.enter = ["nsenter", f"--target={self._holder.pid}", "--mount", "--net"]
        self.containers: list[Container] = []
        deadline = time.monotonic() + 10  # until it has left our namespaces
        while self._link(self._holder.pid) == self._link(os.getpid()) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._inside("ip", "link", "set", "lo", "up")
        (folder / "hosts").write_text("127.0.0.1 localhost demo-entrust demo-entrust-triton\n")

    @staticmethod
    def _link(pid: int) -> str:
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{pid}/ns/net")
        return ""

    def add(self, name: str, image: dict[str, str]) -> Container:
        """Make a container of the pod ready; it is not started."""
        (manifest,) = [c for c in chart.containers(self.manifest) if c["name"] == name]
        self.containers.append(Container(self, manifest, image))
        return self.containers[-1]

    def curl(self, *arguments: str, timeout_seconds: float = 120.0) -> subprocess.CompletedProcess[bytes]:
        """Call from inside the pod's network."""
        command = [*self.enter[:2], "--net", "curl", "--silent", "--show-error", "--fail", *arguments]
        return subprocess.run(command, capture_output=True, timeout=timeout_seconds, check=False)

    def shared_memory(self) -> list[str]:
        """Return the names that lie in the pod's shared memory."""
        return self._inside("ls", str(self._volume("shared-memory"))).split()

    def close(self) -> None:
        """End what still runs; the namespaces and all that is mounted in them go with their last process."""
        for container in self.containers:
            if container.process is not None and container.process.poll() is None:
                container.process.kill()
                container.process.wait()
        self._holder.kill()
        self._holder.wait()

    def make_root(self, container: chart.Manifest) -> Path:
        """Mount a root for one container: this system's programs, this checkout, the manifest's volumes."""
        root = self.folder / "roots" / container["name"]
        root.mkdir(parents=True)
        self._inside("mount", "-t", "tmpfs", "-o", "mode=755", "root", str(root))
        # volumes first: this checkout may lie in /tmp, which is a volume inside
        mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", ())}
        if "/models" not in mounts:
            self._bind(self._models, root / "models")
        for path, mount in mounts.items():
            self._bind(self._volume(mount["name"]), root / path.lstrip("/"), read_only=mount.get("readOnly", False))
        places = [Path("/", name) for name in SYSTEM] + [Path("/etc/ld.so.cache"), Path("/etc/alternatives")]
        places += [PROJECT, INTERPRETER, INTERPRETER.resolve(), Path(sys.base_prefix).resolve(), Path(library_path())]
        places += [(PROJECT / ".triton").resolve()]
        for place in dict.fromkeys(places):
            if self._has(root, place):
                continue
            if place.is_symlink():
                self._inside("ln", "-sfn", os.readlink(place), str(root / place.relative_to("/")))
            elif place.exists():
                self._bind(place, root / place.relative_to("/"))
        self._bind(self.folder / "hosts", root / "etc/hosts")
        for name in ("null", "zero", "random", "urandom"):
            self._bind(Path("/dev", name), root / "dev" / name, read_only=False)
        self._bind(Path("/proc"), root / "proc", read_only=False)
        self._bind(Installation().home, root / "opt/triton")  # where the images have them
        self._bind(PROJECT / "weights", root / "weights")
        self._inside("mount", "-o", "remount,ro", str(root))
        return root

    def _has(self, root: Path, place: Path) -> bool:
        here = root / place.relative_to("/")
        return subprocess.run([*self.enter, "test", "-e", here, "-o", "-L", here], check=False).returncode == 0

    def _volume(self, name: str) -> Path:
        """Return the folder of a volume; made when it is first asked for."""
        (volume,) = [volume for volume in self.manifest["volumes"] if volume["name"] == name]
        if "persistentVolumeClaim" in volume:
            return self._models
        folder = self.folder / "volumes" / name
        if folder.exists():
            return folder
        folder.mkdir(parents=True)
        group = self.manifest["securityContext"]["fsGroup"]
        source = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName")
        if source:
            for file, content in self._contents[source].items():
                (folder / file).write_text(content)
                if "secret" in volume:  # as the kubelet makes it: for the group alone
                    os.chown(folder / file, 0, group)
                    (folder / file).chmod(volume["secret"]["defaultMode"])
        else:
            size = volume["emptyDir"]["sizeLimit"].rstrip("i")
            options = f"mode=2770,uid=0,gid={group},size={size}"  # as the kubelet makes it
            self._inside("mount", "-t", "tmpfs", "-o", options, name, str(folder))
        return folder

    def _bind(self, source: Path, target: Path, *, read_only: bool = True) -> None:
        if source.is_dir():
            self._inside("mkdir", "-p", str(target))
        else:
            self._inside("mkdir", "-p", str(target.parent))
            self._inside("touch", str(target))
        self._inside("mount", "--bind", str(source), str(target))
        if read_only:
            self._inside("mount", "-o", "remount,bind,ro", str(target))

    def _inside(self, *command: str) -> str:
        done = subprocess.run([*self.enter, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout


def gateway_image() -> dict[str, str]:
    """Environment of the gateway's image."""
    return {"PATH": f"{INTERPRETER}/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def triton_image() -> dict[str, str]:
    """Environment of Triton's image."""
    return {
        "PATH": "/opt/triton/venv/bin:/opt/triton/server/pytriton/tritonserver/bin:/usr/bin:/bin",
        "LD_LIBRARY_PATH": library_path(),
        "LANG": "C.UTF-8",
    }


StartPod = Callable[..., Pod]


@pytest.fixture(scope="module")
def start_pod(
    triton_installation: object, model_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartPod]:
    """Make the pod of a Deployment of a rendered chart; its containers are then added and started one by one."""
    missing = [tool for tool in ("unshare", "nsenter", "setpriv", "ip", "curl") if shutil.which(tool) is None]
    if missing or subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"pods need root, Linux namespaces and the commands {missing or 'unshare'}")
    with contextlib.ExitStack() as stack:

        def start(
            found: list[chart.Manifest], name: str = "demo-entrust", secrets: dict[str, dict[str, str]] | None = None
        ) -> Pod:
            (manifest,) = [pod for pod_name, _, pod in chart.pods(found) if pod_name == name]
            contents: dict[str, Any] = {m["metadata"]["name"]: m["data"] for m in chart.of_kind(found, "ConfigMap")}
            folder = tmp_path_factory.mktemp("pod")
            for parent in (folder, *folder.parents[:2]):
                parent.chmod(0o755)  # the pod's user is another than ours
            pod = Pod(manifest, contents | (secrets or {}), folder, model_repository)
            stack.callback(pod.close)
            return pod

        yield start
