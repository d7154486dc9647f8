"""`netspec data`: checks data sets, and prepares them for fast reading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from netspec.cli.console import GREEN, print_error, print_json, print_note, print_out, print_table, progress, style
from netspec.cli.options import FILE, bad_sample_option, json_option
from netspec.cli.table import Cell, Column, memory
from netspec.words import counted, indented

if TYPE_CHECKING:
    from netspec.training.data.check import DataReport, PartReport
    from netspec.training.data.findings import OnBadSample
    from netspec.training.data.manifest import Manifest

UNUSABLE = 1  # the exit code of a check that found a problem
COLUMNS = (
    Column("part"),
    Column("samples", right=True),
    Column("bad", right=True),
    Column("classes", right=True),
    Column("a class", right=True),
    Column("smallest", right=True),
    Column("largest", right=True),
)
SOURCES = """\b
What SRC is, local or as a URL that fsspec opens:
  digits           the 1,797 scanned digits of scikit-learn
  a folder         with a subfolder for each class; with Parquet files; or
                   with a training and a validation part of either kind:
                   train/ and val/, train.parquet and test.parquet
  images/, masks/  a folder of both, whose files have the same stems: a mask
                   holds the class of each pixel, 255 where it is unknown;
                   classes.txt may name the classes, one per line
  a .parquet file  with the columns `image` (encoded bytes) and `label`
  a .npz file      with x and y (labels or masks), or x_train, y_train, x_test
                   and y_test
"""

workers_option = click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Threads that decode.  [default: one per core]"
)


@click.group(
    "data",
    short_help="Check data sets, and prepare them for fast reading.",
    epilog="""\b
Examples:
  netspec data check ~/imagenet
  netspec data prepare ~/imagenet ~/imagenet-256 --side 256
""",
)
def command() -> None:
    """Check a data set before training, and prepare it for fast reading."""


@command.command(
    "check",
    short_help="Decode every sample, and list those that cannot be used.",
    epilog=f"""\b
Examples:
  netspec data check ~/imagenet
  netspec data check cifar10/train.parquet --json
  netspec data check s3://bucket/flowers

{SOURCES}""",
)
@click.argument("source", metavar="SRC")
@workers_option
@json_option
def check(source: str, workers: int | None, as_json: bool) -> int:
    """Decode every sample of a data set, and print its parts, classes and sizes.

    Each sample, file or class that cannot be used is listed with its place and the reason; the exit code is then 1.
    """
    from netspec.training.data.check import check_data

    with progress() as show:
        report = check_data(source, workers=workers, progress=show)
    if as_json:
        print_json(_as_json(source, report))
    else:
        print_table(COLUMNS, [_row(part) for part in report.parts], lambda index: report.parts[index].bad > 0)
        for note in report.notes:
            print_out(f"note: {note}")
        if report.problems:
            print_error(f"{source}: {counted(len(report.problems), 'problem')}:\n{indented(report.problems)}")
        else:
            samples = sum(part.samples for part in report.parts)
            print_out(f"{style('✓', GREEN)} {source}: all of {counted(samples, 'sample')} can be used")
    return UNUSABLE if report.problems else 0


def _row(part: PartReport) -> list[Cell]:
    nonzero = part.counts[part.counts > 0]
    least, most = (int(nonzero.min()), int(nonzero.max())) if len(nonzero) else (0, 0)
    counts = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    sizes = (part.features, part.features) if part.features is not None else (part.smallest, part.largest)
    smallest, largest = ("x".join(map(str, size)) if size else None for size in sizes)
    return [part.role, part.samples, part.bad, len(part.classes), counts, smallest, largest]


def _as_json(source: str, report: DataReport) -> dict[str, Any]:
    return {
        "source": source,
        "parts": [
            {
                "role": part.role,
                "images": part.images,
                "masks": part.maps,
                "samples": part.samples,
                "bad": part.bad,
                "classes": dict(enumerate(part.classes)),
                "counts": part.counts.tolist(),
                "smallest": part.smallest,
                "largest": part.largest,
                "features": part.features,
            }
            for part in report.parts
        ],
        "problems": list(report.problems),
        "notes": list(report.notes),
    }


@command.command(
    "prepare",
    short_help="Decode and resize a data set once, for fast reading.",
    epilog=f"""\b
Examples:
  netspec data prepare ~/imagenet ~/imagenet-256 --side 256
  netspec data prepare cifar10/train.parquet cifar10-fast --validation cifar10/test.parquet
  netspec data prepare s3://bucket/flowers flowers --side 256 --holdout 0.2 --on-bad-sample skip
  netspec data prepare cells cells-512 --side 512 --gray          # cells/images, cells/masks

{SOURCES}""",
)
@click.argument("source", metavar="SRC")
@click.argument("out", type=FILE, metavar="OUT")
@click.option(
    "--side",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Resize the shorter side to this and keep the centre square; masks by nearest neighbor.  "
    "[default: no resizing; all images must have one size]",
)
@click.option("--gray", is_flag=True, help="Convert to one channel.")
@click.option("--validation", metavar="PATH", help="Another set with the same classes, to validate on.")
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
    help="Share of SRC to hold back for validation.  [default: 0.1, if SRC has no validation part]",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, metavar="N", show_default=True, help="Seed of the held-back share."
)
@bad_sample_option
@workers_option
def prepare(
    source: str,
    out: Path,
    side: int | None,
    gray: bool,
    validation: str | None,
    holdout: float | None,
    seed: int,
    on_bad_sample: str,
    workers: int | None,
) -> None:
    """Decode and resize every image once, into uint8 arrays that training maps into memory: `train --data OUT`.

    OUT must not exist yet, and is written whole or not at all. It takes side · side · channels bytes per image, and
    side · side more for a mask. The pixels of each class are counted, for losses that weight classes by them.
    """
    from netspec.training.data.prepare import prepare as prepare_data

    with progress() as show:
        manifest = prepare_data(
            source,
            out,
            side=side,
            gray=gray,
            on_bad_sample=cast("OnBadSample", on_bad_sample),
            validation=validation,
            holdout=holdout,
            seed=seed,
            workers=workers,
            progress=show,
        )
    _print_manifest(out, manifest)


def _print_manifest(out: Path, manifest: Manifest) -> None:
    for note in manifest.notes:
        print_note(f"note: {note}")
    if manifest.skipped:
        print_note(f"note: left out, {counted(len(manifest.skipped), 'sample')}:\n{indented(manifest.skipped)}")
    rows: list[list[Cell]] = []
    for role, part in manifest.parts.items():
        shards = (*part.shards, *part.masks)
        size = sum(file.size for file in (part.labels, *shards))
        rows.append([role, part.labels.rows, "x".join(map(str, manifest.shape)), len(shards), memory(size)])
    has_masks = any(part.masks for part in manifest.parts.values())
    titles = ("part", "images and masks" if has_masks else "images", "each", "files", "size")
    print_table([Column(title, right=title != "part") for title in titles], rows)
    print_out(f"{style('✓', GREEN)} {out}")
