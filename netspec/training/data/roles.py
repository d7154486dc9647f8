"""The role of each part of a dataset, training or validation, from names such as `train`, `val` and `test`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeVar

from netspec.errors import NetspecError
from netspec.training.data.findings import Findings

Part = TypeVar("Part")
Role = Literal["training", "validation"]
WORDS: Final[dict[str, Role]] = {  # in order of preference
    **dict.fromkeys(("train", "training"), "training"),
    **dict.fromkeys(("validation", "valid", "val", "test"), "validation"),
}


def assign_roles(origin: str, parts: Mapping[str, Part], findings: Findings) -> dict[Role, Part]:
    """Return the parts by role.

    Args:
        origin: the dataset, for messages.
        parts: parts by name; the empty name stands for training.
        findings: gets a note for each part that is not used.

    Raises:
        NetspecError: there are two training parts, or none.
    """
    training = [word for word in ("", *WORDS) if word in parts and WORDS.get(word, "training") == "training"]
    validation = [word for word in WORDS if word in parts and WORDS[word] == "validation"]
    if len(training) != 1:
        received = ", ".join(f"`{word}`" if word else "one without a name" for word in training) or "none"
        names = " or ".join(f"`{word}`" for word, role in WORDS.items() if role == "training")
        raise NetspecError(f"{origin}: expected one part to train on, named {names}, received {received}")
    for word in validation[1:]:
        findings.notes.append(f"{origin}: `{validation[0]}` is the validation set; `{word}` is not read")
    roles: dict[Role, Part] = {"training": parts[training[0]]}
    if validation:
        roles["validation"] = parts[validation[0]]
    return roles
