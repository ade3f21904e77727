"""Tensors of the Open Inference Protocol become columns of rows, or are refused with the place and the reason."""

from __future__ import annotations

import pytest

from killick.errors import DataError
from killick.formats.foreign import Reading
from killick.formats.tensors import DATATYPES, read_tensor, read_tensors, rows_by_name


def tensor(name="x", shape=(2,), datatype="FP32", data=(1.5, 2.5), **more):
    """Write a tensor as JSON has it."""
    held = list(data) if isinstance(data, tuple) else data
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": held, **more}


def refusal(node):
    """Return what is said of a tensor that cannot be read."""
    with pytest.raises(DataError) as caught:
        read_tensor(node, "inputs[0]")
    return str(caught.value)


@pytest.mark.parametrize(
    ("datatype", "data", "read"),
    [
        ("BOOL", [True, 0], [True, False]),
        *((f"{sign}INT{bits}", [1, 2.0], [1, 2]) for sign in ("", "U") for bits in (8, 16, 32, 64)),
        *((f"FP{bits}", [1, 0.5], [1.0, 0.5]) for bits in (16, 32, 64)),
        ("BF16", [None, 0.5], [None, 0.5]),
        ("BYTES", ["JFK", None], ["JFK", None]),
    ],
)
def test_every_datatype_has_its_values(datatype, data, read):
    """Their Python types too: a score of 1 is a float, a label of 1.0 an integer."""
    values = read_tensor(tensor(datatype=datatype, data=data), "x").values
    assert values == read
    assert [type(value) for value in values] == [type(value) for value in read]
    assert datatype in DATATYPES


def test_flat_and_nested_data_are_the_same_tensor():
    """The protocol allows both, in row-major order."""
    flat = read_tensor(tensor(shape=(2, 2), data=[1, 2, 3, 4]), "x")
    assert flat == read_tensor(tensor(shape=(2, 2), data=[[1, 2], [3, 4]]), "x")
    assert flat.vectors() == [[1.0, 2.0], [3.0, 4.0]]


def test_mlservers_content_types_are_decoded():
    """`str` and `datetime` stand as they are, `base64` is decoded; what is then no text stays as it came."""
    data = ["UHl0aG9uIGlzIGZ1bg==", "/w=="]
    node = tensor(datatype="BYTES", data=data, parameters={"content_type": "base64"})
    assert read_tensor(node, "x").values == ["Python is fun", "/w=="]
    node = tensor(datatype="BYTES", data=["2022-01-11T11:00:00"], shape=(1,), parameters={"content_type": "datetime"})
    assert read_tensor(node, "x").values == ["2022-01-11T11:00:00"]


def test_one_text_may_have_the_number_of_its_bytes_as_its_shape():
    """As MLServer's own clients send it."""
    assert read_tensor(tensor(shape=(9,), datatype="BYTES", data='{"a": 10}'), "x").values == ['{"a": 10}']


@pytest.mark.parametrize(
    ("shapes", "features", "columns"),
    [
        ({"temp": (2,)}, (), {"temp"}),
        ({"temp": (2, 1)}, (), {"temp"}),
        ({"input-0": (2, 2)}, ("temp", "wind"), {"temp", "wind"}),
        ({"input-0": (2, 2)}, ("temp",), {"input-0_0", "input-0_1"}),
        ({"input-0": (2, 2), "origin": (2,)}, ("temp", "origin", "wind"), {"temp", "wind", "origin"}),
        ({"a": (2, 2), "b": (2, 2)}, ("temp", "wind"), {"a_0", "a_1", "b_0", "b_1"}),
        ({"embedding": (2, 3)}, ("embedding",), {"embedding"}),
        ({"image": (2, 2, 2)}, (), {"image_0", "image_1", "image_2", "image_3"}),
        ({"input-0": (2, 1)}, ("temp",), {"temp"}),
    ],
)
def test_columns_have_the_names_that_are_known(shapes, features, columns):
    """A tensor's own, or the features' in their order; never a guess between two tensors."""
    sizes = {name: 2 * (shape[1:] or (1,))[0] * (shape[2:] or (1,))[0] for name, shape in shapes.items()}
    nodes = [tensor(name, shape, data=[0.5] * sizes[name]) for name, shape in shapes.items()]
    rows = rows_by_name(read_tensors(nodes, "inputs"), Reading("binary", features).features)
    assert [set(row) for row in rows] == [columns] * 2


def test_an_embedding_is_a_list_of_numbers():
    """Where the tensor itself is a feature."""
    read = read_tensors([tensor("e", (2, 2), data=[1, 2, 3, 4])], "inputs")
    assert rows_by_name(read, ("e",)) == [{"e": [1.0, 2.0]}, {"e": [3.0, 4.0]}]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (5, "inputs[0]: must be an object, not a number"),
        ({}, "inputs[0].name: must be a text, not null"),
        (tensor(name=""), "inputs[0].name: must have 1 to 500 characters"),
        (tensor(datatype="FP31"), "inputs[0].datatype: is no datatype of the protocol (found 'FP31')"),
        (tensor(datatype=["FP32"]), "inputs[0].datatype: is no datatype of the protocol"),
        (tensor(shape=(3,)), "inputs[0].shape: stands for 3 values, and there are 2"),
        (tensor(shape=(10**9, 10**9), data=[1]), "inputs[0].shape: stands for 1000000000000000000 values"),
        (tensor(shape=(10**30,) * 16, data=[1]), "inputs[0].shape: stands for too many values, and there are 1"),
        (tensor(shape=(10**9, 0), data=[]), "inputs[0].shape: has more than 100000 rows"),
        (tensor(shape=(1, 10_001), data=[1] * 10_001), "more than 10000 values a row"),
        (tensor(shape=(-2,)), "inputs[0].shape: must be at most 16 whole numbers, none of them negative"),
        (tensor(shape=(1,) * 17), "inputs[0].shape: must be at most 16"),
        (tensor() | {"shape": None}, "inputs[0].shape: must be an array, not null"),
        (tensor(data=[1, [2]]), "inputs[0].data: mixes values with lists of them"),
        (tensor(data=[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]), "inputs[0].data: is nested more than 16 deep"),
        (tensor(data=["a", "b"]), "inputs[0].data: must be a number, not a text"),
        (tensor(data=[True, False]), "inputs[0].data: must be a number, not a boolean"),
        (tensor(datatype="INT8", data=[1.5, 2]), "inputs[0].data: must be a whole number, not a number"),
        (tensor(datatype="INT64", data=[10**400, 2]), "inputs[0].data: is larger than a float can hold"),
        (tensor(datatype="BOOL", data=[2, 0]), "inputs[0].data: must be true or false"),
        (tensor(datatype="BYTES", data=[1, "a"]), "inputs[0].data: must be a text, not a number"),
        (tensor(datatype="BYTES", data=["x" * 10_001, ""]), "inputs[0].data: has more than 10000 characters"),
        (
            tensor(datatype="BYTES", data=["?", ""], parameters={"content_type": "base64"}),
            "inputs[0].data: is not base64",
        ),
        (
            {"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}},
            "inputs[0].data: is binary, outside the JSON; let the client send JSON",
        ),
    ],
)
def test_what_is_no_tensor_is_refused_with_its_place(node, said):
    """However large its shape claims to be, and however odd its values."""
    assert said in refusal(node)


def test_tensors_of_one_body_have_the_same_rows_and_their_own_names():
    """Else nobody knows which value belongs to which."""
    with pytest.raises(DataError, match=r"inputs: have different numbers of rows \(a: 2, b: 1\)"):
        read_tensors([tensor("a"), tensor("b", (1,), data=[1])], "inputs")
    with pytest.raises(DataError, match="inputs: name a column twice"):
        rows_by_name(read_tensors([tensor("a"), tensor("a")], "inputs"), ())
    with pytest.raises(DataError, match="inputs: is empty"):
        read_tensors([], "inputs")
