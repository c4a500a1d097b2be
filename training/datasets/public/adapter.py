"""The one interface of all public data sets: list the cases under a root, load a case."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from entrust.errors import NotFoundError
from training.datasets.public.case import PublicCase
from training.datasets.public.files import Source, find_cases, list_files, naming, read_labels, read_volume
from training.datasets.public.questions import question

REFERENCE = "reference"
"""Name of the rater whose labels are the data set's own."""


@dataclass(frozen=True)
class CaseFiles:
    """Where a case lies.

    Attributes:
        name: The data set's own name for it.
        images: Files by slug; those that are there.
        labels: Files by rater, the reference first; none where labels are kept back.
    """

    name: str
    images: Mapping[str, Path]
    labels: Mapping[str, Path]


@dataclass(frozen=True)
class PublicSet:
    """What is to be known of a data set to read it.

    Attributes:
        name: On the command line.
        title: Words for people.
        task: Whose modalities and structures its files are.
        images: Files by modality slug.
        label: The reference's label maps.
        values: Our label of each value in them: label r lies in the nested structures 1 … r.
        example: A case as it lies on a disk.
        ignored: Values of voxels that count neither for nor against.
        raters: Label maps of further raters by name.
        caveat: What a table of this set does not say, in a sentence.
    """

    name: str
    title: str
    task: str
    images: Mapping[str, Source]
    label: Source
    values: Mapping[int, int]
    example: str
    ignored: frozenset[int] = frozenset()
    raters: Mapping[str, Source] = field(default_factory=dict)
    caveat: str = ""

    def cases(self, root: Path) -> tuple[CaseFiles, ...]:
        """List the cases under a root, by name; a case has at least one image.

        Args:
            root: The folder as it was unpacked, or any folder above or below that holds the cases.

        Raises:
            NotFoundError: The root is no folder, or no case of this set lies under it.
            InvalidInputError: A case lies there twice.
        """
        paths = list_files(root)
        images = {slug: find_cases(paths, where) for slug, where in self.images.items()}
        raters = {REFERENCE: self.label, **self.raters}
        labels = {rater: find_cases(paths, where) for rater, where in raters.items()}
        names = sorted(set().union(*images.values()))
        if not names:
            raise NotFoundError(
                f"No case of {self.title} lies under the root.",
                fix=f"Give the folder that holds, for example, {self.example}.",
                details={"files": len(paths)},
            )

        def of(name: str, kinds: Mapping[str, Mapping[str, str]]) -> dict[str, Path]:
            return {kind: root / found[name] for kind, found in kinds.items() if name in found}

        return tuple(CaseFiles(name, of(name, images), of(name, labels)) for name in names)

    def load(self, files: CaseFiles) -> PublicCase:
        """Read a case.

        Raises:
            InvalidInputError: A file cannot be read, or a label map holds what the set does not define.
            GeometryConflictError: A file's axes do not span a regular grid.
        """
        with naming(files.name):
            volumes = {slug: read_volume(path, self.images[slug].channel) for slug, path in files.images.items()}
            read = {rater: read_labels(path, self.values, self.ignored) for rater, path in files.labels.items()}
            return PublicCase(
                name=files.name,
                slugs=question(self.task).slugs,
                volumes=volumes,
                labels={rater: labels for rater, (labels, _) in read.items()},
                ignored=read[REFERENCE][1] if self.ignored and REFERENCE in read else None,
            )
