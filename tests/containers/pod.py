"""A pod of the rendered chart, run by podman from the built images as its manifest says.

Its containers share a network without a way out, held by one that sleeps, as a cluster's pause container does; a
container gets the manifest's command line, environment, user, read-only root, dropped capabilities and volumes.
"""

import subprocess
from pathlib import Path
from typing import Any

from tests.containers.engine import Engine
from tests.factories import chart

NAME = "entrust-pod"


class Pod:
    """A Deployment's pod.

    Args:
        engine: Runs it.
        found: The rendered chart.
        deployment: Whose pod.
        folder: For the files of ConfigMaps.
    """

    def __init__(self, engine: Engine, found: list[chart.Manifest], deployment: str, folder: Path) -> None:
        (self.manifest,) = [pod for name, _, pod in chart.pods(found) if name == deployment]
        self._contents: dict[str, Any] = {m["metadata"]["name"]: m["data"] for m in chart.of_kind(found, "ConfigMap")}
        self._engine, self._folder = engine, folder
        self._volumes = {volume["name"]: self._make(volume) for volume in self.manifest["volumes"]}

    def start(self) -> None:
        """Make the network that the containers share."""
        image = self.containers["gateway"]["image"]
        self._engine.podman(
            "run", "--detach", "--name", NAME, "--network", "none", "--entrypoint", "sleep", image, "infinity"
        )

    @property
    def containers(self) -> dict[str, chart.Manifest]:
        """The manifest's containers by name."""
        return {each["name"]: each for each in chart.containers(self.manifest)}

    def up(self, name: str) -> None:
        """Start a container."""
        container = self.containers[name]
        self._engine.podman("run", "--detach", "--name", f"{NAME}-{name}", *self._arguments(container))

    def once(self, container: chart.Manifest) -> str:
        """Run a container to its end and return its output."""
        return self._engine.podman("run", "--rm", *self._arguments(container))

    def probe(self, name: str, kind: str) -> subprocess.CompletedProcess[str]:
        """Run one of a container's exec probes once."""
        probe = self.containers[name][f"{kind}Probe"]
        return self.inside(name, *probe["exec"]["command"])

    def inside(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a container."""
        return subprocess.run(
            ["podman", "exec", f"{NAME}-{name}", *command],
            env=self._engine.environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def curl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Call from inside the pod's network."""
        pid = self._engine.podman("inspect", "--format", "{{.State.Pid}}", NAME).strip()
        command = ["nsenter", f"--target={pid}", "--net", "curl", "--silent", "--show-error", "--fail", *arguments]
        return subprocess.run(command, capture_output=True, timeout=300)

    def stop(self, name: str, seconds: int) -> int:
        """Stop a container as the kubelet does and return its exit status."""
        self._engine.podman("stop", "--time", str(seconds), f"{NAME}-{name}")
        return int(self._engine.podman("inspect", "--format", "{{.State.ExitCode}}", f"{NAME}-{name}"))

    def logs(self, name: str) -> str:
        """Return what a container has written."""
        return self._engine.logs(f"{NAME}-{name}")

    def close(self) -> None:
        """Remove everything."""
        for name in (*(f"{NAME}-{each}" for each in self.containers), NAME):
            self._engine.podman("rm", "--force", "--ignore", "--time", "5", name)

    def _arguments(self, container: chart.Manifest) -> list[str]:
        """Return the options, image and command line of a container."""
        pod, security = self.manifest["securityContext"], container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        options = ["--network", f"container:{NAME}", "--user", f"{pod['runAsUser']}:{pod['runAsGroup']}", "--read-only"]
        options += ["--read-only-tmpfs=false", "--security-opt", "no-new-privileges"]
        options += [f"--cap-drop={name.lower()}" for name in security["capabilities"]["drop"]]
        options += [f"--env={name}={value}" for name, value in chart.variables(container).items()]
        for mount in container.get("volumeMounts", ()):
            mode = "ro" if mount.get("readOnly") else "rw"
            options.append(f"--volume={self._volumes[mount['name']]}:{mount['mountPath']}:{mode}")
        entry, *rest = [*container["command"], *container.get("args", ())]
        return [*options, "--entrypoint", entry, container["image"], *rest]

    def _make(self, volume: dict[str, Any]) -> str:
        """Make a volume as the kubelet does and return what podman mounts."""
        source = volume.get("configMap", {}).get("name")
        if source:
            folder = self._folder / volume["name"]
            folder.mkdir()
            for name, content in self._contents[source].items():
                (folder / name).write_text(content)
            return str(folder)
        name = f"{NAME}-{volume['name']}"
        group, size = self.manifest["securityContext"]["fsGroup"], volume["emptyDir"]["sizeLimit"].rstrip("i")
        options = f"o=mode=2770,uid=0,gid={group},nr_blocks={_bytes(size) // 4096}"  # podman takes size= for a quota
        self._engine.podman("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", options, name)
        return name


def _bytes(quantity: str) -> int:
    """Return a quantity such as ``1G`` in bytes."""
    return int(quantity[:-1]) * {"M": 2**20, "G": 2**30}[quantity[-1]]
