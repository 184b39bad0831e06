"""
Writes the form of an exported model that encodes questions: 8-bit weights, half the time of a pass.

Texts keep the float network, so that what is stored is exact; a question is compared with them from a little beside
its place. Part of the export, in its child process: the daemon never imports `onnx`.

Before rounding, what is large in the activations is moved into the weights, channel by channel (SmoothQuant, Xiao et
al. 2022, equation 4), by what the everyday texts of our own need; without it the vectors are twice as far off.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["quantise"]

_ALPHA = 0.65  # of 0.5 to 0.8 the one whose vectors differ least over short and long texts
# One bit of eight is left free: processors without VNNI add two products in 16 bits, and would overflow.
_LARGEST = 63


def quantise(source: Path, target: Path, rows: Sequence[NDArray[np.int64]]) -> None:
    """
    Writes `target`, which reads its embeddings from the source's own weights file in the same folder.

    :param source: the float network; every product with fixed weights but the last becomes 8-bit.
    :param rows: token ids of the texts whose activations are looked at, each (k,) int64.
    """
    import onnx
    from onnx import helper, numpy_helper

    network = onnx.load(str(source), load_external_data=False)
    stored = {tensor.name: tensor for tensor in network.graph.initializer}
    # The product that turns tokens into sign bits is the last one, small, and its signs are what counts: it stays.
    products = [
        node
        for node in network.graph.node
        if node.op_type == "MatMul" and node.input[1] in stored and len(stored[node.input[1]].dims) == 2
    ][:-1]
    weights = {
        name: _array(stored[name], source.parent) for name in dict.fromkeys(n.input[1] for n in products)
    }
    by_input: dict[str, list[Any]] = {}
    for node in products:
        by_input.setdefault(node.input[0], []).append(node)
    largest = _largest_activations(source, list(by_input), rows)

    smoothed: dict[str, NDArray[np.float32]] = {}
    for name, nodes in by_input.items():
        of_weights = np.max([np.abs(weights[node.input[1]]).max(axis=1) for node in nodes], axis=0)
        scale = np.maximum(largest[name], 1e-5) ** _ALPHA / np.maximum(of_weights, 1e-5) ** (1 - _ALPHA)
        smoothed[name] = (scale / np.exp(np.log(scale).mean())).astype(np.float32)

    nodes = []
    replaced = {id(node) for node in products}
    begun = set()
    for node in network.graph.node:
        if id(node) not in replaced:
            nodes.append(node)
            continue
        name, weight = node.input[0], node.input[1]
        if name not in begun:
            begun.add(name)
            network.graph.initializer.append(numpy_helper.from_array(1 / smoothed[name], f"{name}_scale"))
            nodes.append(helper.make_node("Mul", [name, f"{name}_scale"], [f"{name}_scaled"]))
        scaled = weights[weight] * smoothed[name][:, None]
        step = np.maximum(np.abs(scaled).max(axis=0) / _LARGEST, np.finfo(np.float32).tiny)
        network.graph.initializer.extend(
            (
                numpy_helper.from_array(np.round(scaled / step).astype(np.int8), f"{weight}_int8"),
                numpy_helper.from_array(step.astype(np.float32), f"{weight}_step"),
            )
        )
        inputs = [f"{name}_scaled", f"{weight}_int8", f"{weight}_step"]
        nodes.append(
            helper.make_node("DynamicQuantizeMatMul", inputs, list(node.output), domain="com.microsoft")
        )
    _replace(network.graph.node, nodes)
    used = {name for node in nodes for name in node.input}
    _replace(network.graph.initializer, [t for t in network.graph.initializer if t.name in used])
    target.write_bytes(network.SerializeToString())


def _array(tensor: Any, folder: Path) -> NDArray[np.float32]:
    from onnx import external_data_helper, numpy_helper

    if external_data_helper.uses_external_data(tensor):
        external_data_helper.load_external_data_for_tensor(tensor, str(folder))
    return np.asarray(numpy_helper.to_array(tensor), dtype=np.float32)


def _replace(field: Any, values: list[Any]) -> None:
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(copies)


def _largest_activations(
    source: Path, names: list[str], rows: Sequence[NDArray[np.int64]]
) -> dict[str, NDArray[np.float32]]:
    """Of each named input of a product, the largest size of each channel over the texts."""
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper

    network = onnx.load(str(source), load_external_data=False)
    network.graph.output.extend(
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    )
    watched = source.with_name("watched.onnx")
    try:
        watched.write_bytes(network.SerializeToString())
        session = ort.InferenceSession(str(watched), providers=["CPUExecutionProvider"])
    finally:
        watched.unlink(missing_ok=True)
    largest: dict[str, NDArray[np.float32]] = {}
    for row in rows:
        found = session.run(names, {"input_ids": row[None], "attention_mask": np.ones_like(row[None])})
        for name, values in zip(names, found, strict=True):
            of_text = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
            largest[name] = np.maximum(largest.get(name, of_text), of_text)
    return largest
