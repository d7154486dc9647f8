"""What a model of maps that are channels last asks of Keras."""

import keras


def require_channels_last() -> None:
    """Layers take the order of axes from Keras' configuration, and here it is meant.

    Raises:
        ValueError: it is channels first.
    """
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "expected maps (N, H, W, C), Keras is configured for channels_first: call "
            'keras.config.set_image_data_format("channels_last") before this'
        )
