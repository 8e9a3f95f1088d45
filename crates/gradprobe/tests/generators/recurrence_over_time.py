"""Records PyTorch's signals of recurrent layers step by step in `data/recurrence_over_time.json`.

The cells are written out from ONNX's formulas, one step after the other, so that every state is a
value whose gradient PyTorch keeps (`retain_grad`); all in f64.

    python crates/gradprobe/tests/generators/recurrence_over_time.py
"""

import json
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)
TIME, INPUTS, HIDDEN = 7, 2, 3


def step(kind, x, h, c, w, r, b):
    """The states after a step; gates in ONNX's order."""
    u = x @ w.T + b[0]
    if kind == "RNN":
        return torch.tanh(u + h @ r.T + b[1]), None
    if kind == "LSTM":
        i, o, f, g = (u + h @ r.T + b[1]).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
    z, reset, new = u.chunk(3, dim=-1)
    hz, hr, hn = (h @ r.T + b[1]).chunk(3, dim=-1)
    z, reset = torch.sigmoid(z + hz), torch.sigmoid(reset + hr)
    return (1 - z) * torch.tanh(new + reset * hn) + z * h, None


def walk(kind, x, times, w, r, b):
    """The states of one sequence, one after the other, in the order in which it is walked."""
    h, c = torch.zeros(HIDDEN), torch.zeros(HIDDEN)
    states = []
    for time in times:
        h, c = step(kind, x[time], h, c, w, r, b)
        # h and c are two outputs of a step: what arrives at c comes from the next step alone, as
        # with `nn.LSTMCell`, and not through this step's h.
        h = h.clone()
        h.retain_grad()
        if c is not None:
            c = c.clone()
            c.retain_grad()
        states.append((time, h, c))
    return states


def root_mean_square(numbers):
    return torch.cat(numbers).square().mean().sqrt().item()


def case(kind, gates, reversed_, lengths, read, batch_first=False, scale=1.0):
    directions = len(reversed_)
    batch = len(lengths)
    draw = lambda *shape: scale * torch.randn(*shape)
    w = draw(directions, gates * HIDDEN, INPUTS)
    r = draw(directions, gates * HIDDEN, HIDDEN)
    b = draw(directions, 2, gates * HIDDEN).requires_grad_()
    x = torch.randn(TIME, batch, INPUTS)
    # The cotangents of Y, and of the states after the last steps.
    y = torch.randn(TIME, directions, batch, HIDDEN)
    last = torch.randn(2, directions, batch, HIDDEN)
    if read == "last":
        y.zero_()
    elif read == "first time":
        y[1:] = 0
        last.zero_()
    elif read == "every":
        last.zero_()
    else:
        keep = torch.zeros(TIME, 1, batch, 1)
        for sample, time in enumerate(read):
            keep[time, 0, sample] = 1
        y *= keep
        last.zero_()
    if kind != "LSTM":
        last[1] = 0
    expected = []
    for direction, backwards in enumerate(reversed_):
        walks, loss = [], 0
        for sample, length in enumerate(lengths):
            times = list(range(length))
            states = walk(kind, x[:, sample], times[::-1] if backwards else times,
                          w[direction], r[direction], b[direction])
            for time, h, _ in states:
                loss = loss + (h * y[time, direction, sample]).sum()
            _, h, c = states[-1]
            loss = loss + (h * last[0, direction, sample]).sum()
            if c is not None:
                loss = loss + (c * last[1, direction, sample]).sum()
            walks.append(states)
        loss.backward()
        backward = [[] for _ in range(TIME)]
        forward = [[] for _ in range(TIME)]
        for states in walks:
            grads = []
            for number, (_, h, c) in enumerate(states):
                forward[number].append(h.detach())
                both = [h] if c is None else [h, c]
                grads.append(torch.cat([torch.zeros(HIDDEN) if s.grad is None else s.grad for s in both]))
            while grads and not grads[-1].any():
                grads.pop()
            for distance, grad in enumerate(reversed(grads)):
                backward[distance].append(grad)
        expected.append({
            "forward": [root_mean_square(step) for step in forward if step],
            "backward": [root_mean_square(step) for step in backward if step],
        })
    swap = (lambda t: t.transpose(0, 1).contiguous()) if batch_first else (lambda t: t)
    y_out = y.permute(2, 0, 1, 3).contiguous() if batch_first else y
    tensor = lambda t: {"shape": list(t.shape), "data": t.flatten().tolist()}
    states = [last[0]] + ([last[1]] if kind == "LSTM" else [])
    return {
        "op": kind,
        "direction": "bidirectional" if directions == 2 else "reverse" if reversed_[0] else "forward",
        "layout": int(batch_first),
        "read": str(read),
        "inputs": [tensor(swap(x)), tensor(w), tensor(r), tensor(b.reshape(directions, -1)),
                   {"shape": [batch], "data": [float(n) for n in lengths]}],
        "cotangents": [tensor(y_out)] + [tensor(swap(s)) for s in states],
        "directions": expected,
    }


def main():
    torch.manual_seed(0)
    cases = []
    for kind, gates in (("RNN", 1), ("LSTM", 4), ("GRU", 3)):
        cases += [
            case(kind, gates, [False], [TIME] * 2, "last"),
            case(kind, gates, [True], [TIME, 4, 1], "last"),
            case(kind, gates, [False, True], [5, TIME, 2], "every", batch_first=True),
            case(kind, gates, [False, True], [TIME] * 2, "first time"),
            case(kind, gates, [False], [TIME] * 3, [6, 2, 4]),
            case(kind, gates, [False], [TIME] * 10, "last", scale=0.3),
        ]
    path = Path(__file__).parent.parent / "data" / "recurrence_over_time.json"
    path.write_text(json.dumps(cases).replace('{"op"', '\n{"op"') + "\n")


main()
