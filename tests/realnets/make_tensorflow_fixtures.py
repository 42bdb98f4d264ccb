"""Makes data/tensorflow/ with tensorflow-cpu 2.21.0 and Keras 3.15.1: `python tests/realnets/make_tensorflow_fixtures.py`."""

import contextlib
import shutil
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from waves import wave

DATA = Path(__file__).parent / "data" / "tensorflow"
V1 = tf.compat.v1


def object_checkpoint() -> None:
    """A Keras network with its optimiser, as tf.train.Checkpoint and as the variables of a SavedModel."""
    words = keras.Input((5,), dtype="int32")
    hidden = keras.layers.LSTM(6, name="rnn")(keras.layers.Embedding(11, 8, name="emb")(words))
    net = keras.Model(words, keras.layers.Dense(4, name="head")(hidden))
    net.compile(keras.optimizers.Adam(), "mse")
    net.fit(np.zeros((2, 5), int), np.zeros((2, 4)), verbose=0)
    for variable in [*net.variables, *(v for v in net.optimizer.variables if v.shape)]:
        variable.assign(wave(*variable.shape))
    for number in (9, 10):
        checkpoint = tf.train.Checkpoint(model=net, optimizer=net.optimizer)
        manager = tf.train.CheckpointManager(checkpoint, DATA / "object", 2, checkpoint_name="ckpt")
        manager.save(checkpoint_number=number)
    tf.saved_model.save(net, DATA / "saved-model")
    for path in [*(DATA / "saved-model").glob("*.pb"), DATA / "saved-model" / "assets"]:
        path.unlink() if path.is_file() else path.rmdir()


def module_checkpoint() -> None:
    """Variables without paths of their own, of every type that a variable may have."""
    root = tf.Module()
    root.layer = tf.Module()
    root.layer.kernel = tf.Variable(wave(4, 5), name="kernel")
    root.kernel = tf.Variable(wave(5, 4), name="kernel")
    root.empty = tf.Variable(np.zeros((0, 3), np.float32))
    integers = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    for name in (*integers, "float64", "float16", "bfloat16", "bool", "complex64"):
        setattr(root, name, tf.Variable(tf.cast(tf.constant(wave(2, 3) * 9), name)))
    for name in ("float8_e4m3fn", "float8_e5m2"):
        setattr(root, name, tf.Variable(tf.cast(tf.constant(wave(2, 3)), getattr(tf.dtypes.experimental, name))))
    tf.train.Checkpoint(net=root).write(DATA / "module" / "m")


def saver() -> None:
    """TensorFlow 1's Saver in two shards, with an embedding in three slices and the slots of an optimiser."""
    (DATA / "saver").mkdir()
    with tf.Graph().as_default(), V1.variable_scope("net"):
        with tf.device("/cpu:0"):
            kernel = V1.get_variable("dense/kernel", (6, 4), initializer=V1.constant_initializer(wave(6, 4)))
        with tf.device("/cpu:1"):
            V1.get_variable("dense/bias", (6,), initializer=V1.constant_initializer(wave(6)))
            table = V1.get_variable(
                "emb",
                (10, 4),
                partitioner=V1.fixed_size_partitioner(3),
                initializer=lambda shape, dtype, partition_info: tf.constant(
                    wave(10, 4)[partition_info.var_offset[0] :][: shape[0]]
                ),
            )
        loss = tf.reduce_sum(V1.matmul(V1.nn.embedding_lookup(table, [1, 2]), kernel, transpose_b=True))
        V1.train.AdamOptimizer().minimize(loss, var_list=[kernel])
        V1.train.AdagradOptimizer(0.1).minimize(loss, var_list=[kernel])
        with V1.Session(config=V1.ConfigProto(device_count={"CPU": 2})) as session:
            session.run(V1.global_variables_initializer())
            with contextlib.chdir(DATA / "saver"):  # so that no path of this machine is written
                V1.train.Saver(sharded=True).save(session, "./model.ckpt", 7, write_meta_graph=False)


def version_1() -> None:
    """The format before TensorFlow 0.12, which is refused."""
    (DATA / "version-1").mkdir()
    with tf.Graph().as_default(), V1.Session() as session:
        session.run(V1.get_variable("w", (2, 3), initializer=V1.zeros_initializer()).initializer)
        old = V1.train.Saver(write_version=V1.train.SaverDef.V1)
        old.save(session, str(DATA / "version-1" / "model.ckpt"), write_meta_graph=False, write_state=False)


if __name__ == "__main__":
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    object_checkpoint()
    module_checkpoint()
    saver()
    version_1()
