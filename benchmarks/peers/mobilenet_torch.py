"""MobileNet v2 by hand in PyTorch (Sandler et al. 2018)."""

from torch import Tensor, nn

# Expansion, channels, number of blocks, and stride of the first block: table 2 of the paper.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def conv_bn_relu(channels: int, filters: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a padded convolution, batch normalization and ReLU6. At stride 1 the size stays."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and projection, with a shortcut if the shape stays."""

    def __init__(self, channels: int, filters: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = channels * expansion
        self.residual = stride == 1 and channels == filters
        self.body = nn.Sequential(
            *([conv_bn_relu(channels, width, 1)] if expansion != 1 else []),
            conv_bn_relu(width, width, 3, stride, groups=width),
            nn.Conv2d(width, filters, 1, bias=False),
            nn.BatchNorm2d(filters),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


class MobileNetV2(nn.Module):
    """Shapes: x (N, 3, 224, 224) to (N, classes)."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        features: list[nn.Module] = [conv_bn_relu(3, 32, 3, 2)]
        channels = 32
        for expansion, filters, count, first in STAGES:
            for index in range(count):
                features.append(InvertedResidual(channels, filters, first if not index else 1, expansion))
                channels = filters
        features.append(conv_bn_relu(channels, 1280, 1))
        self.features = nn.Sequential(*features)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.features(x).mean((2, 3))))
