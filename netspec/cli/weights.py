"""`netspec weights`: those that people have already, under the names that other libraries give them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from netspec.cli.console import print_json, print_out, print_table, progress, terminal_width
from netspec.cli.options import FILE, json_option, set_option
from netspec.cli.table import GAP, Cell, Column
from netspec.cli.weights_report import Imported, near, print_report, report_as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from click.shell_completion import CompletionItem

    from netspec.ops.base import Array
    from netspec.transfer import Transfer, WeightMapping

SUFFIX: Final = ".safetensors"


class ModelName(click.ParamType[str]):
    """`ORIGIN:MODEL`. The mappings say whether there is such a model."""

    name = "model"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that come with netspec, for the one that is being typed."""
        del ctx, param
        from click.shell_completion import CompletionItem

        from netspec.transfer import model_names, shipped_mappings

        return [CompletionItem(name) for name in model_names(shipped_mappings()) if name.startswith(incomplete)]


@click.group(
    "weights",
    short_help="Bring in weights that other libraries hold.",
    epilog="""\b
Examples:
  netspec weights list
  netspec weights import --from torchvision:resnet50 resnet50-11ad3fa6.pth
""",
)
def command() -> None:
    """Weights of torchvision, timm and keras-applications as those of the specs that are the same networks."""


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
    """Show every model whose weights can be imported, what it is here, and the mapping of its names."""
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
    columns = [Column("model"), *(Column(title, fold=True) for title in ("spec", "with", "mapping"))]
    # On a narrow terminal the mapping's file would break every row; `--json` has it.
    shown = slice(3 if _is_too_wide(rows) else 4)
    print_table(columns[shown], [row[shown] for row in rows])
    print_out(f"\nspecs: {near(folder)}, mappings: {near(folder / 'weights')}")


def _is_too_wide(rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether a terminal has too few columns for a table of these rows."""
    width = terminal_width()
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    return width is not None and sum(widths) + GAP * (len(widths) - 1) > width


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
    short_help="Write the weights of a file as those of a spec.",
    epilog="""\b
Examples:
  netspec weights import --from torchvision:resnet50 resnet50-11ad3fa6.pth
  netspec weights import --from timm:vit_base_patch16_224 model.safetensors --out vit.safetensors
  netspec weights import --from torchvision:resnet18 flowers.pth --set classes=102
  netspec weights import --from timm:resnet50 model_best.pth.tar --under state_dict_ema
  netspec weights import --from mynet --mapping mynet-weights.yaml mynet.pth

\b
What FILE is:
  .safetensors                        of any program
  .pth, .pt, .pth.tar, .bin, .ckpt    a state dict of PyTorch, alone or in a checkpoint
  .keras, .weights.h5, .h5            of Keras, from version 1 on
  .index.json                         of weights in several files, which lie beside it
""",
)
@click.argument("file", type=FILE, metavar="FILE")
@click.option(
    "--from",
    "name",
    type=ModelName(),
    required=True,
    metavar="ORIGIN:MODEL",
    help="Whose weights they are: `netspec weights list` prints the names.",
)
@click.option("--mapping", "mapping_path", type=FILE, metavar="FILE", help="A mapping of your own that has the model.")
@click.option("--out", type=FILE, metavar="FILE", help="File to write.  [default: ORIGIN-MODEL.safetensors]")
@click.option(
    "--under",
    default="",
    metavar="KEY",
    help="Where in FILE the weights are, if it holds more: a key of the checkpoint, or what their names begin with.",
)
@click.option("--unfold", is_flag=True, help="Show each array, not one line for all of a layer or block.")
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
    """Read weights that another library wrote, and write them as those of the spec that is the same network.

    The mapping says what the library calls each layer. Every array of FILE and every weight of the spec has to be
    accounted for: when one is left over on either side, all of those are named, and nothing is written. Nothing that
    is in FILE is executed: of a pickle tensors and plain values are read, and what needs code is an error.

    What is written is taken by --weights of `netspec run`, `build`, `eval` and `train`, in every backend.
    """
    from netspec.transfer import find_model, read_mapping, read_weights, shipped_mappings
    from netspec.weights import save_weights

    mapping, model = find_model(name, [read_mapping(mapping_path)] if mapping_path else shipped_mappings())
    target = _target(file, out, Path(f"{mapping.origin}-{model}{SUFFIX}"))
    with progress() as say:
        say(f"reading {file}")
        found = read_weights(file, under)
        say("weights")
        transferred = _transfer(file, mapping, model, found.arrays, settings)
        say(f"writing {target}")
        save_weights(target, transferred.graph, transferred.weights)
    imported = Imported(file, mapping, model, settings, found.notes, transferred, target)
    if as_json:
        print_json(report_as_json(imported))
    else:
        print_report(imported, unfold=unfold)


def _target(file: Path, out: Path | None, default: Path) -> Path:
    """Where the weights go: to another file than the one that is read, under a name that says what it is."""
    target = out or default
    if target.suffix != SUFFIX:
        raise click.UsageError(f"--out {target}: the name of what is written ends in {SUFFIX}")
    if target.resolve() == file.resolve() or (target.exists() and file.exists() and target.samefile(file)):
        raise click.UsageError(f"{target} is what is read: name another file with --out")
    return target


def _transfer(
    file: Path, mapping: WeightMapping, model: str, arrays: Mapping[str, Array], settings: Sequence[str]
) -> Transfer:
    """The transfer; an error names the file, and the family's model whose weights they are, if it is another."""
    from netspec.errors import WeightsError
    from netspec.transfer import models_of, transfer

    try:
        return transfer(mapping, model, arrays, settings)
    except WeightsError as error:
        others = models_of(mapping, arrays, settings)
        fitting = [f"{mapping.origin}:{other}" for other in others]
        hint = f"they are those of {' or '.join(fitting)}" if fitting else error.hint
        raise WeightsError(f"{file}: {error.message}", hint) from error
