"""Writes data/keras*: one small model in each of Keras's formats.

    KERAS_BACKEND=jax python make_keras_fixtures.py keras       # ran with Keras 3.15.1, h5py 3.16.0 (HDF5 2.0.0)
    python make_keras_fixtures.py tf_keras                      # ran with tf-keras 2.21.0 (Keras 2), h5py 3.14.0

Variable number k of the model is sin(k + 0, k + 1, ...), so that the tests can tell them without the framework.
"""

import importlib
import sys
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"


def model(keras):
    """Embedding, LSTM and a Dense layer, after one step of gradient descent with momentum."""
    layers = keras.layers
    tokens = keras.Input((4,), dtype="int32", name="tokens")
    x = layers.Embedding(5, 3, name="letters")(tokens)
    x = layers.LSTM(2)(x)
    made = keras.Model(tokens, layers.Dense(1, name="out")(x))
    made.compile(keras.optimizers.SGD(momentum=0.9), "mse")
    made.fit(np.zeros((2, 4), np.int32), np.zeros((2, 1)), verbose=0)
    shapes = [w.shape for w in made.get_weights()]
    made.set_weights([np.sin(k + np.arange(np.prod(s))).reshape(s) for k, s in enumerate(shapes)])
    return made


def main(name: str) -> None:
    keras = importlib.import_module(name)
    made = model(keras)
    for weight in made.weights:
        print(getattr(weight, "path", weight.name), tuple(weight.shape))
    if name == "tf_keras":
        made.save(DATA / "keras2.h5", include_optimizer=True)
        made.save_weights(DATA / "keras2_weights.h5")
        return
    made.save(DATA / "keras3.keras")
    made.save(DATA / "keras3.h5", include_optimizer=False)
    made.save_weights(DATA / "keras3.weights.h5")
    half = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="bfloat16")])
    half.set_weights([np.sin(np.arange(6)).reshape(3, 2), np.sin(1 + np.arange(2))])
    half.save_weights(DATA / "keras3_bfloat16.weights.h5")


main(sys.argv[1])
