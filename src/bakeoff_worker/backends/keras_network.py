"""A Keras network taken apart: its layers in order, and variants of it that have fewer, or others."""

from typing import Any, Dict, List, NamedTuple, Tuple

from bakeoff_worker.records import LayerDescribed

# Of a layer's configuration, what decides how much it computes.
_OPTIONS = (
    "kernel_size",
    "strides",
    "pool_size",
    "padding",
    "dilation_rate",
    "groups",
    "units",
    "filters",
    "activation",
    "use_bias",
    "data_format",
)
_PLAIN = (bool, int, float, str, list, tuple)
_POOLING = {2: "GlobalAveragePooling1D", 3: "GlobalAveragePooling2D", 4: "GlobalAveragePooling3D"}


class Twin(NamedTuple):
    """What computes the same as a layer, in its place. parts: layers and operations, in their order."""

    original: Any
    parts: List[Any]


class NoChain(Exception):
    """The network is no chain of layers; the message says where not."""


def chain(model: Any) -> List[Any]:
    """The layers of a model, inputs left out, each of which takes what the one before gives.

    Raises:
        NoChain: it has branches, or says nothing of its form.
    """
    if len(getattr(model, "inputs", None) or ()) != 1:
        raise NoChain("the model doesn't say what its layers take: it is no Sequential or functional one")
    layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    tensor = model.inputs[0]
    for layer in layers:
        try:
            follows = layer.input is tensor
            tensor = layer.output
        except (AttributeError, ValueError):  # called more than once, or never
            follows = False
        if not follows:
            raise NoChain("the network is no chain: layer {} takes something else too".format(layer.name))
        if len(_sizes(tensor)) not in (1, 2, 3, 4):
            raise NoChain("layer {} gives {} dimensions".format(layer.name, len(_sizes(tensor))))
    return layers


def describe(layer: Any) -> LayerDescribed:
    """What is known of a layer."""
    config = layer.get_config()
    return LayerDescribed(
        name=layer.name,
        layer_type=type(layer).__name__,
        input_shape=_sizes(layer.input),
        output_shape=_sizes(layer.output),
        weight_shapes=[list(array.shape) for array in layer.get_weights()],
        options={key: config[key] for key in _OPTIONS if isinstance(config.get(key), _PLAIN)},
    )


def _sizes(tensor: Any) -> List[int]:
    """Sizes of a tensor without its first, the batch's; -1 where unknown."""
    sizes = getattr(tensor, "_keras_shape", tensor.shape)  # Keras 2 keeps its own account
    return [-1 if size is None else int(size) for size in list(sizes)[1:]]


def first(keras: Any, model: Any, depth: int) -> Any:
    """A network of the first `depth` layers and an output layer, with the model's own weights.

    What the layers give is averaged over space first: each value of it, and of its gradient, counts.
    """
    tensor = chain(model)[depth - 1].output if depth else model.inputs[0]
    pooling = _POOLING.get(len(_sizes(tensor)))
    if pooling:
        tensor = getattr(keras.layers, pooling)()(tensor)
    outputs = keras.layers.Dense(_sizes(model.outputs[0])[-1], activation="softmax")(tensor)
    return keras.models.Model(model.inputs, outputs)


def with_twins(keras: Any, model: Any, names: List[str]) -> Tuple[Any, List[Twin]]:
    """The network, with equivalents in place of the layers of those names (see `twinned`); and those."""
    inputs = tensor = keras.layers.Input(shape=tuple(_sizes(model.inputs[0])))
    twins = []
    for layer in chain(model):
        if layer.name in names:
            steps = _reshape_and_maximum(keras, layer, tensor)
            twins.append(Twin(layer, [step._keras_history[0] for step in steps]))
            tensor = steps[-1]
        else:
            copied = type(layer).from_config(layer.get_config())
            for name, value in vars(layer).items():
                if name.startswith("_bakeoff"):  # what we have noted of it
                    object.__setattr__(copied, name, value)
            tensor = copied(tensor)
    return keras.models.Model(inputs, tensor), twins


def twinned(model: Any) -> List[str]:
    """Names of layers that plain Keras can also write in another way, at the same mathematics.

    Max-pooling over windows that tile the image: a reshape, and the maximum over two of its axes.
    """
    return [layer.name for layer in chain(model) if _tiles(layer)]


def _tiles(layer: Any) -> bool:
    if type(layer).__name__ != "MaxPooling2D":
        return False
    config: Dict[str, Any] = layer.get_config()
    return tuple(config["pool_size"]) == tuple(config["strides"]) and config["padding"] == "valid"


def _reshape_and_maximum(keras: Any, layer: Any, tensor: Any) -> List[Any]:
    """What each step gives."""
    down, across = layer.pool_size
    channels_first = layer.get_config()["data_format"] == "channels_first"
    shape = _sizes(tensor)
    height, width = shape[1:] if channels_first else shape[:2]
    steps = []
    if height % down or width % across:
        cropped = ((0, height % down), (0, width % across))
        steps = [keras.layers.Cropping2D(cropped, data_format=layer.get_config()["data_format"])(tensor)]
        tensor = steps[0]
    windows = (height // down, down, width // across, across)
    if channels_first:
        steps.append(keras.layers.Reshape((shape[0], *windows))(tensor))
        axes = (3, 5)
    else:
        steps.append(keras.layers.Reshape((*windows, shape[2]))(tensor))
        axes = (2, 4)
    if hasattr(keras, "ops"):
        return [*steps, keras.ops.max(steps[-1], axis=axes)]
    maximum = keras.layers.Lambda(
        lambda values: keras.backend.max(values, axis=axes), output_shape=tuple(_sizes(layer.output))
    )
    return [*steps, maximum(steps[-1])]
