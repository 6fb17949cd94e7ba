"""Operations counted from shapes, against counts by hand."""

from __future__ import annotations

import pytest

from bakeoff.profile.arithmetic import Arithmetic, arithmetic, of_network
from bakeoff_worker.records import LayerDescribed


def layer(kind: str, takes: list[int], gives: list[int], *weights: list[int]) -> LayerDescribed:
    return LayerDescribed(kind.lower(), kind, takes, gives, list(weights), {})


STUDY_CNN = (
    layer("Conv2D", [28, 28, 1], [24, 24, 30], [5, 5, 1, 30], [30]),
    layer("MaxPooling2D", [24, 24, 30], [12, 12, 30]),
    layer("Conv2D", [12, 12, 30], [10, 10, 15], [3, 3, 30, 15], [15]),
    layer("MaxPooling2D", [10, 10, 15], [5, 5, 15]),
    layer("Dropout", [5, 5, 15], [5, 5, 15]),
    layer("Flatten", [5, 5, 15], [375]),
    layer("Dense", [375], [128], [375, 128], [128]),
    layer("Dense", [128], [50], [128, 50], [50]),
    layer("Dense", [50], [10], [50, 10], [10]),
)


def test_the_networks_count_by_hand() -> None:
    # Convolutions 864,000 and 810,000, dense layers 109,800; backward twice that, but for the images.
    found = of_network(STUDY_CNN)
    assert found is not None
    assert (found.forward, found.training) == (1_783_800, 2 * 864_000 + 3 * (810_000 + 109_800))


def test_a_strided_convolution_with_groups_computes_what_it_gives() -> None:
    # 4 x 4 positions, 8 filters, each over 3 x 3 of 2 of the 4 channels.
    found = arithmetic(layer("Conv2D", [4, 8, 8], [8, 4, 4], [3, 3, 2, 8]), is_first=False)
    assert found == Arithmetic(2 * 16 * 8 * 18, 3 * 2 * 16 * 8 * 18, 256 + 128)


@pytest.mark.parametrize("kind", ["LSTM", "DepthwiseConv2D", "BatchNormalization"])
def test_what_was_not_counted_is_unknown_not_nothing(kind: str) -> None:
    other = layer(kind, [4, 4, 2], [4, 4, 2], [3, 3, 2, 1])
    assert arithmetic(other, is_first=False) is None
    assert of_network((*STUDY_CNN, other)) is None
