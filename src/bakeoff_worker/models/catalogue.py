"""Names that a study may use, with their options and defaults: pure data, read by both sides.

An option's default also states its form: a list of sizes, a size, a share in [0, 1), a switch, or a
name. A study fills in what it leaves out, so that a worker always gets every option spelled out:
framework versions differ in their own defaults (Adam's epsilon among them).
"""

from typing import Any, Dict, Tuple

# The networks that peers use have no options: changed, they would be other networks.
MODELS: Dict[str, Dict[str, Any]] = {
    # The study's: [convolution, pooling] per filter count, dropout, flatten, dense layers, softmax.
    "study_cnn": {
        "filters": [30, 15],
        "kernel_sizes": [5, 3],
        "pool_size": 2,
        "dropout": 0.2,
        "dense": [128, 50],
        "activation": "relu",
    },
    "keras_mnist_convnet": {},
    "keras_cifar10_convnet": {},
    "lenet5": {},
    "resnet20": {},
}

ACTIVATIONS: Tuple[str, ...] = ("relu", "elu", "selu", "sigmoid", "tanh", "softplus", "softsign", "linear")

# The word for what the user's own model file brings along in place of an optimizer or a loss.
OWN = "own"

# Only options that Keras 2 and Keras 3 share under one name and one meaning.
OPTIMIZERS: Dict[str, Dict[str, Any]] = {
    "adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False},
    "adamw": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False},
    "adamax": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "rmsprop": {"rho": 0.9, "epsilon": 1e-7},
    "sgd": {"momentum": 0.0, "nesterov": False},
}

# How the learning rate goes over the steps: formulas in `bakeoff_worker.schedules`.
SCHEDULES: Dict[str, Dict[str, Any]] = {
    "constant": {},
    "warm_up": {"warm_up_epochs": 1},
    "step": {"at_epochs": [], "factor": 0.1, "warm_up_epochs": 0},
    "cosine": {"final_share": 0.0, "warm_up_epochs": 0},
    "exponential": {"factor": 0.95, "warm_up_epochs": 0},
}

# Labels are one-hot vectors; for a sparse loss, class numbers.
LOSSES: Tuple[str, ...] = (
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "binary_crossentropy",
    "categorical_hinge",
    "mean_squared_error",
)
