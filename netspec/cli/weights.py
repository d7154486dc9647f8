"""`netspec weights`: converts weights of torchvision, timm and keras-applications for the specs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from netspec.cli.console import print_json, print_out, print_table, progress
from netspec.cli.options import FILE, json_option, set_option
from netspec.cli.table import Cell, Column
from netspec.cli.weights_report import Imported, print_report, relative_path, report_as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from click.shell_completion import CompletionItem

    from netspec.ops.base import Array
    from netspec.transfer import Transfer, WeightMapping

SUFFIX: Final = ".safetensors"


class ModelName(click.ParamType[str]):
    """A name `ORIGIN:MODEL`. The mappings check later that the model exists."""

    name = "model"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the models of the mappings that come with netspec whose names begin with `incomplete`."""
        del ctx, param
        from click.shell_completion import CompletionItem

        from netspec.transfer import model_names, shipped_mappings

        return [CompletionItem(name) for name in model_names(shipped_mappings()) if name.startswith(incomplete)]


@click.group(
    "weights",
    short_help="Import the weights of other libraries.",
    epilog="""\b
Examples:
  netspec weights list
  netspec weights import --from torchvision:resnet50 resnet50-11ad3fa6.pth
""",
)
def command() -> None:
    """Import weights of torchvision, timm and keras-applications for the specs of the same networks."""


@command.command(
    "list",
    short_help="Show the models whose weights can be imported.",
    epilog="""\b
Examples:
  netspec weights list
  netspec weights list --json
""",
)
@json_option
def list_models(as_json: bool) -> None:
    """Show every model whose weights can be imported, its spec and parameters, and the mapping of its names."""
    from netspec.files import shipped_specs
    from netspec.transfer.catalog import shipped_mappings

    folder = shipped_specs()
    models = [(mapping, model) for mapping in shipped_mappings() for model in mapping.models]
    if as_json:
        print_json([_model_as_json(mapping, model) for mapping, model in models])
        return
    rows: list[list[Cell]] = []
    for mapping, model in models:
        spec, path = mapping.spec.relative_to(folder), mapping.path.relative_to(folder / "weights")
        rows.append([f"{mapping.origin}:{model}", str(spec), " ".join(mapping.settings(model)), str(path)])
    columns = (Column("model"), Column("spec", fold=True), Column("with", fold=True), Column("mapping", spare=True))
    print_table(columns, rows)
    print_out(f"\nspecs: {relative_path(folder)}, mappings: {relative_path(folder / 'weights')}")


def _model_as_json(mapping: WeightMapping, model: str) -> dict[str, Any]:
    return {
        "model": f"{mapping.origin}:{model}",
        "spec": str(mapping.spec),
        "settings": dict(mapping.models[model]),
        "mapping": str(mapping.path),
        "source": mapping.source,
    }


@command.command(
    "import",
    short_help="Convert a file of weights for a spec.",
    epilog="""\b
Examples:
  netspec weights import --from torchvision:resnet50 resnet50-11ad3fa6.pth
  netspec weights import --from timm:vit_base_patch16_224 model.safetensors --out vit.safetensors
  netspec weights import --from torchvision:resnet18 flowers.pth --set classes=102
  netspec weights import --from timm:resnet50 model_best.pth.tar --under state_dict_ema
  netspec weights import --from mynet --mapping mynet-weights.yaml mynet.pth

\b
What FILE is:
  .safetensors              written by any program
  .pth, .pt, .pth.tar,      a state dict of PyTorch, alone or in a checkpoint
  .bin, .ckpt
  .keras, .weights.h5, .h5  written by Keras, version 1 or newer
  .index.json               the index of weights in several files beside it
""",
)
@click.argument("file", type=FILE, metavar="FILE")
@click.option(
    "--from",
    "name",
    type=ModelName(),
    required=True,
    metavar="ORIGIN:MODEL",
    help="The model whose weights FILE holds; `netspec weights list` prints the names.",
)
@click.option(
    "--mapping", "mapping_path", type=FILE, metavar="FILE", help="A mapping of your own that names the model."
)
@click.option("--out", type=FILE, metavar="FILE", help="File to write.  [default: ORIGIN-MODEL.safetensors]")
@click.option(
    "--under",
    default="",
    metavar="KEY",
    help="Part of FILE that holds the weights: a key of the checkpoint, or a prefix of their names.",
)
@click.option("--unfold", is_flag=True, help="Show each array, not one line per layer or block.")
@set_option
@json_option
def import_weights(
    file: Path,
    name: str,
    mapping_path: Path | None,
    out: Path | None,
    under: str,
    unfold: bool,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Convert weights that another library wrote into the weights of the spec of the same network.

    A mapping translates the names of the library. Every array of FILE and every weight of the spec has to be accounted
    for: if any is left over on either side, all of them are listed, and nothing is written. No code in FILE is
    executed: tensors and plain values of a pickle are read, and anything else in it is an error.

    `netspec run`, `build`, `eval` and `train` take the result as --weights, in every backend.
    """
    from netspec.transfer import find_model, read_mapping, read_weights, shipped_mappings
    from netspec.weights import save_weights

    mapping, model = find_model(name, [read_mapping(mapping_path)] if mapping_path else shipped_mappings())
    target = _target(file, out or Path(f"{mapping.origin}-{model}{SUFFIX}"))
    with progress() as show:
        show(f"reading {file}")
        read = read_weights(file, under)
        show("weights")
        transferred = _transfer(file, mapping, model, read.arrays, settings)
        show(f"writing {target}")
        save_weights(target, transferred.graph, transferred.weights)
    imported = Imported(file, mapping, model, settings, read.notes, transferred, target)
    if as_json:
        print_json(report_as_json(imported))
    else:
        print_report(imported, unfold=unfold)


def _target(file: Path, target: Path) -> Path:
    """Return the file to write.

    Raises:
        click.UsageError: it has another suffix than .safetensors, or is the file that is read.
    """
    if target.suffix != SUFFIX:
        raise click.UsageError(f"--out {target}: expected a name that ends in {SUFFIX}")
    if target.resolve() == file.resolve() or (target.exists() and file.exists() and target.samefile(file)):
        raise click.UsageError(f"{target} is the file to read: name another file with --out")
    return target


def _transfer(
    file: Path, mapping: WeightMapping, model: str, arrays: Mapping[str, Array], settings: Sequence[str]
) -> Transfer:
    """Return the transfer. Its error names the file and, if they fit, other models of the mapping."""
    from netspec.errors import WeightsError
    from netspec.transfer import models_of, transfer

    try:
        return transfer(mapping, model, arrays, settings)
    except WeightsError as error:
        fitting = [f"{mapping.origin}:{other}" for other in models_of(mapping, arrays, settings)]
        hint = f"they are those of {' or '.join(fitting)}" if fitting else error.hint
        raise WeightsError(f"{file}: {error.message}", hint) from error
