"""The rows of the benchmark: what is measured, against which peer, and with which target."""

from __future__ import annotations

from pathlib import Path

from measure import Row

PLAIN = "hand-written PyTorch"
EXPORTED = "what PyTorch exports of it"
ROOT = Path(__file__).parents[1]
CORE = "import pydantic, yaml, numpy"


def torch_steps() -> list[Row]:
    """Training steps in PyTorch: time and memory."""
    ours, peer = "torch_steps:netspec_training", "torch_steps:hand_training"
    rows = []
    for batch, target, pairs in ((32, 0.60, 9), (128, 0.55, 5)):
        alexnet = {"network": "alexnet", "batch": batch}
        name = f"AlexNet, training step in PyTorch, batch {batch}"
        rows += [
            Row(name, PLAIN, ours, peer, target, alexnet, pairs=pairs),
            Row(f"{name}: peak memory", PLAIN, ours, peer, 0.85, alexnet, pairs=3, quantity="memory"),
        ]
    alexnet = {"network": "alexnet", "batch": 32}
    name = "AlexNet, training step in PyTorch, batch 32"
    no_lrn = {"network": "alexnet-no-lrn"}
    rows += [
        Row(name, f"{PLAIN} without LRN", ours, peer, 1.10, alexnet, peer_arguments={"norm": False}, pairs=9),
        Row(name, "itself without LRN", ours, ours, 1.10, alexnet, peer_arguments=no_lrn, pairs=9, calls=3),
    ]
    for network, title in (("resnet", "ResNet-50"), ("mobilenet-v2", "MobileNet v2")):
        arguments = {"network": network, "batch": 8}
        rows.append(Row(f"{title}, training step in PyTorch, batch 8", PLAIN, ours, peer, 1.0, arguments))
    return rows


def torch_inference() -> list[Row]:
    """Inference in PyTorch, compiled for the batch size."""
    ours, peer = "torch_steps:netspec_inference", "torch_steps:hand_inference"
    cases = (
        ("AlexNet", "alexnet", 32, 0.42, 1),
        ("AlexNet", "alexnet", 1, 0.55, 40),
        ("ResNet-50", "resnet", 8, 1.0, 1),
        ("MobileNet v2", "mobilenet-v2", 8, 1.0, 5),
    )
    return [
        Row(
            f"{title}, inference in PyTorch, compiled, batch {batch}",
            f"{PLAIN}, eager",
            ours,
            peer,
            target,
            {"network": network, "batch": batch},
            pairs=9,
            calls=calls,
            same_outputs=True,
        )
        for title, network, batch, target, calls in cases
    ]


def keras_steps() -> list[Row]:
    """Training steps in Keras on TensorFlow."""
    ours, name, batch = "keras_steps:netspec_training", "AlexNet, training step in Keras, batch 32", {"batch": 32}
    return [
        Row(name, "hand-written Keras, Conv2D(groups=2)", ours, "keras_steps:hand_training", 0.36, batch, pairs=5),
        Row(name, "a tf.function tuned by hand", ours, "keras_steps:tuned_training", 1.03, batch, pairs=9, calls=3),
    ]


def onnx_runs() -> list[Row]:
    """Inference in ONNX Runtime."""
    cases = (
        ("AlexNet", "alexnet", 32, 0.75, 1),
        ("AlexNet", "alexnet", 8, 0.80, 4),
        ("AlexNet", "alexnet", 1, 1.0, 20),
        ("ResNet-50", "resnet", 8, 1.0, 4),
        ("MobileNet v2", "mobilenet-v2", 8, 1.0, 20),
    )
    return [
        Row(
            f"{title}, ONNX Runtime, batch {batch}",
            EXPORTED,
            "onnx_runs:netspec_model",
            "onnx_runs:exported_model",
            target,
            {"network": network, "batch": batch},
            pairs=9,
            calls=calls,
            same_outputs=True,
        )
        for title, network, batch, target, calls in cases
    ]


def starts() -> list[Row]:
    """Commands and the construction of a model, each in a fresh Python process."""
    core = {"peer_arguments": {"text": CORE}, "pairs": 25}
    command = "processes:command"
    return [
        Row(
            "AlexNet, built in PyTorch with its weights",
            f"{PLAIN}, initialised and loaded",
            "processes:netspec_model",
            "processes:hand_written_model",
            0.10,
        ),
        Row("netspec --help", CORE, command, "processes:code", 1.5, our_arguments={"arguments": ["--help"]}, **core),
        Row(
            "netspec check specs/alexnet.yaml",
            CORE,
            command,
            "processes:code",
            1.5,
            our_arguments={"arguments": ["check", "specs/alexnet.yaml"]},
            **core,
        ),
        Row(
            "netspec show specs/alexnet.yaml",
            CORE,
            command,
            "processes:code",
            1.6,
            our_arguments={"arguments": ["show", "specs/alexnet.yaml"]},
            **core,
        ),
    ]


def parts() -> list[Row]:
    """Parts of a training step: single layers, the training loop around a step, and the input pipeline."""
    emitted, peer = {"emitted": True}, {"emitted": False}
    layers = (
        ("torch_norm", "local response norm in PyTorch", "F.local_response_norm", 0.40),
        ("keras_norm", "local response norm in Keras", "tf.nn.local_response_normalization", 0.80),
        ("keras_convolution", "grouped convolution in Keras", "Conv2D(groups=2)", 0.20),
    )
    rows = [
        Row(
            f"{title}, forward and backward",
            against,
            f"layers:{function}",
            f"layers:{function}",
            target,
            our_arguments=emitted,
            peer_arguments=peer,
            pairs=9,
            same_outputs=True,
        )
        for function, title, against, target in layers
    ]
    loop = "a bare loop over the same module"
    return [
        *rows,
        Row("AlexNet, steps under netspec train", loop, "loops:netspec_loop", "loops:bare_loop", 1.03, {"steps": 3}),
        Row("input pipeline, an image", "decoding alone", "pipeline:netspec_pipeline", "pipeline:decoding", 1.25),
    ]


def growth() -> list[Row]:
    """The time per layer in a network of 1,000 layers, against one of 100 layers: is a stage linear in the depth?"""
    return [
        Row(
            f"{name}, a layer of 1,000",
            "a layer of 100",
            "growth:stage",
            "growth:stage",
            1.25,
            {"name": name},
            {"layers": 1_000},
            {"layers": 100},
            calls=3,
            scale=0.1,
        )
        for name in (
            "check",
            "optimize",
            "lower to torch",
            "lower to keras",
            "lower to onnx",
            "build in torch",
            "verify torch",
            "step in torch",
        )
    ]


def absolute() -> list[Row]:
    """Rows whose target is in seconds, on any machine: the peer is one second."""
    second = "a second"
    specs = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "specs").glob("*.yaml"))
    # The network with the most layers, and the one that takes longest.
    largest = (("DenseNet-201", "densenet", {"depth": 201}), ("Swin-S", "swin", {"model": "s"}))
    elaborations = [
        Row(
            f"elaborate {title}",
            second,
            "growth:elaboration",
            "clock:second",
            0.3,
            our_arguments={"spec": spec, "settings": settings},
        )
        for title, spec, settings in largest
    ]
    return [
        *elaborations,
        Row(
            "netspec show specs/*.yaml",
            second,
            "processes:command",
            "clock:second",
            3.0,
            our_arguments={"arguments": ["show", *specs]},
            pairs=5,
        ),
    ]


ROWS: list[Row] = [
    *torch_steps(),
    *torch_inference(),
    *keras_steps(),
    *onnx_runs(),
    *starts(),
    *parts(),
    *growth(),
    *absolute(),
]
