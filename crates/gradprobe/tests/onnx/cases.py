"""Writes the ONNX backend's node cases, one folder a case, for `node_cases.rs`.

    python cases.py FOLDER
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=2026-01-01 -C FOLDER -cf - . | xz -9e > node_cases.tar.xz

`GRADPROBE_ONNX_CASES=FOLDER cargo test -p gradprobe --test onnx node_cases -- --nocapture` runs those of a
folder, such as of another release of ONNX, and shows the count of each operator.

A case is model.onnx, inputs.npz and outputs.npz (arrays by name), tolerance.txt (relative,
absolute), op.txt (the operator) and floats.txt (the names of the arrays of real numbers). Only cases
with a float32 input and a float32 output are written, and those of operators that never have both.
"""

import pathlib
import sys
import warnings

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

warnings.filterwarnings("ignore")


# Operators that make numbers of one kind from another.
OF_TWO_KINDS = ("EyeLike", "IsInf", "MelWeightMatrix", "NonZero")


def plain(array):
    return isinstance(array, np.ndarray) and array.dtype.kind in "fiub"


def main():
    out = pathlib.Path(sys.argv[1])
    written = 0
    for case in collect_testcases(None):
        graph = case.model.graph
        inputs, outputs = case.data_sets[0]
        inputs = [np.asarray(x) if np.isscalar(x) else x for x in inputs]
        outputs = [np.asarray(x) if np.isscalar(x) else x for x in outputs]
        if not all(map(plain, inputs)) or not all(map(plain, outputs)):
            continue
        single = [any(x.dtype == np.float32 for x in arrays) for arrays in (inputs, outputs)]
        if not all(single) and graph.node[-1].op_type not in OF_TWO_KINDS:
            continue
        folder = out / case.name
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(case.model, folder / "model.onnx")
        np.savez(folder / "inputs.npz", **{v.name: x for v, x in zip(graph.input, inputs)})
        np.savez(folder / "outputs.npz", **{v.name: x for v, x in zip(graph.output, outputs)})
        (folder / "tolerance.txt").write_text(f"{case.rtol} {case.atol}")
        (folder / "op.txt").write_text(graph.node[-1].op_type if len(graph.node) == 1 else case.name.split("_")[1])
        named = [*zip(graph.input, inputs), *zip(graph.output, outputs)]
        floats = [v.name for v, x in named if x.dtype.kind == "f"]
        (folder / "floats.txt").write_text("\n".join(floats))
        written += 1
    print(written, "cases")


main()
