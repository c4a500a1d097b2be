"""``python -m training.datasets.phantoms``: look at ConflictWorld, check it, time it, write its cases as files.

Plain argparse, and libraries are imported by the one option that needs them: a machine that only trains has numpy and
scipy, and no matplotlib, pydicom or SimpleITK.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from entrust.errors import EnTrustError
from training.datasets.phantoms.world.case import DOMAINS, get_domain, make_case
from training.datasets.phantoms.world.checksums import measure, published
from training.datasets.phantoms.world.splits import REAL, SPLITS, TEST, get_split


def main() -> int:
    """Do what the options say, in their order; 0 where every check holds."""
    parser = argparse.ArgumentParser(prog="python -m training.datasets.phantoms", description="ConflictWorld")
    parser.add_argument("--preview", action="store_true", help="write contact sheets to OUT/preview-DOMAIN.png")
    parser.add_argument("--real", action="store_true", help="preview on real anatomies of ../shared/data")
    parser.add_argument("--check", action="store_true", help="make the splits anew and compare their checksums")
    parser.add_argument("--freeze", action="store_true", help="write the checksums of the splits (a decision!)")
    parser.add_argument("--time", action="store_true", help="cases per second of processor time")
    parser.add_argument("--export", metavar="LAYOUT", help="write cases: dicom, brats20, brats21, myops20, isles22 …")
    parser.add_argument("--domain", action="append", choices=DOMAINS, default=None, help="only these domains")
    parser.add_argument("--split", action="append", choices=SPLITS, default=None, help="only these splits")
    parser.add_argument("--cases", type=int, default=4, help="how many to draw or to export")
    parser.add_argument("--first", type=int, default=0, help="index of the first")
    parser.add_argument("--out", type=Path, default=Path("out/phantoms"), help="folder for what is written")
    options = parser.parse_args()
    domains, splits = options.domain or list(DOMAINS), options.split or []
    good = True
    try:
        if options.preview:
            _preview(domains, splits[0] if splits else TEST.name, options)
        if options.time:
            _time(domains, options.cases)
        if options.export:
            _export(options.export, domains, splits[0] if splits else TEST.name, options)
        if options.check:
            good = _check(domains, splits)
        if options.freeze:
            _freeze(domains, splits)
    except EnTrustError as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if good else 1


def _preview(domains: list[str], split: str, options: argparse.Namespace) -> None:
    from training.datasets.phantoms.world.preview import write_sheet  # matplotlib

    for name in domains:
        domain, chosen, path = get_domain(name), get_split(split), options.out / f"preview-{name}.png"
        if options.real:
            from training.datasets.phantoms.world.anatomies.real import with_real_anatomy  # SimpleITK

            domain, chosen, path = with_real_anatomy(domain), REAL, options.out / f"preview-{name}-real.png"
        print(write_sheet((domain,), chosen, path, cases=options.cases, first=options.first))


def _time(domains: list[str], cases: int) -> None:
    for name in domains:
        start = time.process_time()
        for index in range(cases):
            make_case(get_domain(name), TEST, index)
        print(f"{name}: {cases / (time.process_time() - start):.1f} cases per second of one processor")


def _export(layout: str, domains: list[str], split: str, options: argparse.Namespace) -> None:
    from training.datasets.phantoms.world.layouts import export_case  # SimpleITK, pydicom

    for name in domains:
        for index in range(options.first, options.first + options.cases):
            written = export_case(make_case(get_domain(name), get_split(split), index), layout, options.out)
            print(f"{written[0].parent}: {len(written)} files")


def _check(domains: list[str], splits: list[str]) -> bool:
    known, good = published(), True
    for domain, split, found in measure(domains, splits):
        same = known.get(domain, {}).get(split) == found
        good &= same
        print(f"{domain} {split}: {'as published' if same else 'DIFFERS'}", flush=True)
    return good


def _freeze(domains: list[str], splits: list[str]) -> None:
    path = Path(__file__).parent / "world" / "checksums.json"
    for domain, split, found in measure(domains, splits):
        known = published()
        known.setdefault(domain, {})[split] = found
        path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")  # each at once: a run takes minutes
        print(f"{domain} {split}: {found['sha256']}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
