"""Crossentropies of logits without clipping. Executors import them; Theano is imported when called."""

import functools
from typing import Any


def categorical_crossentropy(y_true: Any, y_pred: Any, smoothing: float = 0.0) -> Any:
    """(N,) of labels (N, num_classes), one-hot before they are smoothed."""
    from theano import tensor

    y_true = y_true * (1 - smoothing) + smoothing / tensor.cast(y_pred.shape[1], y_pred.dtype)
    return -(y_true * tensor.nnet.logsoftmax(y_pred)).sum(axis=-1)


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any) -> Any:
    """(N,) of class numbers (N, 1)."""
    from theano import tensor

    rows = tensor.arange(y_pred.shape[0])
    return -tensor.nnet.logsoftmax(y_pred)[rows, tensor.cast(y_true.flatten(), "int32")]


def binary_crossentropy(y_true: Any, y_pred: Any) -> Any:
    """(N,) of labels (N, num_outputs), each 0 or 1."""
    from theano import tensor

    return (tensor.nnet.softplus(y_pred) - y_true * y_pred).mean(axis=-1)


def of_logits(name: str, smoothing: float) -> Any:
    """The function of that name; smoothing: of categorical labels, the share that is spread evenly."""
    if name == "categorical_crossentropy":
        return functools.partial(categorical_crossentropy, smoothing=smoothing)
    return {one.__name__: one for one in (sparse_categorical_crossentropy, binary_crossentropy)}[name]
