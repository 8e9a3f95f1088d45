"""Loss and gradients of small sequence networks, from PyTorch in f64.

    python3 sequence_networks.py > ../data/sequence_networks.json

Each case holds a specification, numbers for all of its parameters under the names that gradprobe
gives them, the token ids, the targets, the loss and the gradients. Made with PyTorch 2.15 on a
CPU; the layers are PyTorch's own (nn.LSTM, nn.GRU, nn.TransformerEncoderLayer) where it has them.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.append(str(Path(__file__).parent.parent / "fixtures"))
from sequence_ops import merge, recurrent, rotate, split  # noqa: E402

torch.manual_seed(20261124)
torch.set_default_dtype(torch.float64)


def numbers(tensor):
    return {
        "shape": list(tensor.shape),
        "data": [float(f"{value:.10g}") for value in tensor.detach().flatten().tolist()],
    }


def rounded(tensor):
    held = numbers(tensor)
    return torch.tensor(held["data"]).reshape(held["shape"])


def case(name, specification, shapes, ids, targets, network):
    parameters = {
        key: rounded(0.5 * torch.randn(shape)).requires_grad_() for key, shape in shapes.items()
    }
    logits = network(ids, parameters)
    loss = F.cross_entropy(logits.flatten(0, -2), targets.flatten())
    loss.backward()
    return {
        "name": name,
        "specification": specification,
        "parameters": {key: numbers(value) for key, value in parameters.items()},
        "ids": numbers(ids.double()),
        "targets": numbers(targets.double().flatten()),
        "loss": loss.item(),
        "gradients": {key: numbers(value.grad) for key, value in parameters.items()},
    }


HEAD = 'dtype = "f64"\nbatch = {}\nloss = "cross-entropy"\n'
INPUT = '[input]\nshape = [{}]\nvalues = "ids"\n'


def lstm_classifier():
    batch, time, tokens, width, hidden, classes = 3, 6, 11, 4, 3, 5
    specification = (
        HEAD.format(batch)
        + f"""layers = [
  {{ embedding = {width}, vocabulary = {tokens} }},
  {{ lstm = {hidden}, bidirectional = true }},
  {{ lstm = {hidden} }},
  {{ gru = {hidden} }},
  {{ rnn = {hidden} }},
  "last-step",
  {{ linear = {classes} }},
]
"""
        + INPUT.format(time)
    )
    shapes = {"emb1.weight": [tokens, width]}
    layers = [
        ("lstm1", "LSTM", 4, 2, width),
        ("lstm2", "LSTM", 4, 1, 2 * hidden),
        ("gru1", "GRU", 3, 1, hidden),
        ("rnn1", "RNN", 1, 1, hidden),
    ]
    for name, _, gates, directions, inputs in layers:
        shapes[f"{name}.weight_ih"] = [directions, gates * hidden, inputs]
        shapes[f"{name}.weight_hh"] = [directions, gates * hidden, hidden]
        shapes[f"{name}.bias"] = [directions, 2 * gates * hidden]
    shapes |= {"fc1.weight": [classes, hidden], "fc1.bias": [classes]}

    def network(ids, p):
        x = F.embedding(ids, p["emb1.weight"])
        for name, op, *_ in layers:
            w, r, b = (p[f"{name}.{word}"] for word in ("weight_ih", "weight_hh", "bias"))
            x = recurrent(op, x, w, r, b, None, None, True, False)[0].flatten(2)
        return F.linear(x[:, -1], p["fc1.weight"], p["fc1.bias"])

    ids = torch.randint(tokens, (batch, time))
    return case(
        "recurrent classifier", specification, shapes, ids, torch.randint(classes, (batch,)), network
    )


def transformer():
    batch, time, tokens, width, heads, wide = 2, 5, 7, 8, 2, 12
    specification = (
        HEAD.format(batch)
        + f"""layers = [
  {{ embedding = {width}, vocabulary = {tokens}, name = "tokens" }},
  "positional-embedding",
  {{ residual = ["layer-norm", {{ attention = {heads}, causal = true }}] }},
  {{ residual = ["layer-norm", {{ linear = {wide}, activation = "gelu" }}, {{ linear = {width} }}] }},
  {{ layer-norm = true, name = "final" }},
  {{ linear = {tokens}, bias = false, tied = "tokens" }},
]
"""
        + INPUT.format(time)
    )
    attention = "block1.attn1"
    shapes = {"tokens.weight": [tokens, width], "tokens.position": [time, width]}
    for norm in ("block1.ln1.norm", "block2.ln1.norm", "final.norm"):
        shapes |= {f"{norm}.weight": [width], f"{norm}.bias": [width]}
    for part in "qkvo":
        shapes |= {f"{attention}.{part}.weight": [width, width], f"{attention}.{part}.bias": [width]}
    shapes |= {"block2.fc1.weight": [wide, width], "block2.fc1.bias": [wide]}
    shapes |= {"block2.fc2.weight": [width, wide], "block2.fc2.bias": [width]}
    block = torch.nn.TransformerEncoderLayer(
        width, heads, wide, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )

    def network(ids, p):
        x = F.embedding(ids, p["tokens.weight"]) + p["tokens.position"]
        parameters = {
            "self_attn.out_proj.weight": p[f"{attention}.o.weight"],
            "self_attn.out_proj.bias": p[f"{attention}.o.bias"],
        }
        for word in ("weight", "bias"):
            qkv = [p[f"{attention}.{part}.{word}"] for part in "qkv"]
            parameters |= {
                f"self_attn.in_proj_{word}": torch.cat(qkv),
                f"norm1.{word}": p[f"block1.ln1.norm.{word}"],
                f"norm2.{word}": p[f"block2.ln1.norm.{word}"],
                f"linear1.{word}": p[f"block2.fc1.{word}"],
                f"linear2.{word}": p[f"block2.fc2.{word}"],
            }
        mask = torch.nn.Transformer.generate_square_subsequent_mask(time)
        x = torch.func.functional_call(block, parameters, (x,), {"src_mask": mask, "is_causal": True})
        x = F.layer_norm(x, (width,), p["final.norm.weight"], p["final.norm.bias"])
        return F.linear(x, p["tokens.weight"])

    ids = torch.randint(tokens, (batch, time))
    targets = torch.randint(tokens, (batch, time))
    return case("pre-LN transformer", specification, shapes, ids, targets, network)


def grouped():
    batch, time, tokens, width, heads, kv_heads, wide = 2, 4, 5, 8, 4, 2, 6
    specification = (
        HEAD.format(batch)
        + f"""layers = [
  {{ embedding = {width}, vocabulary = {tokens} }},
  {{ residual = [{{ attention = {heads}, kv-heads = {kv_heads}, causal = true, rotary = 100, bias = false }}] }},
  "layer-norm",
  {{ residual = [{{ linear = {2 * wide}, bias = false }}, {{ glu = "swiglu" }}, {{ linear = {width} }}] }},
  "layer-norm",
  {{ linear = {tokens} }},
]
"""
        + INPUT.format(time)
    )
    narrow = width // heads * kv_heads
    attention = "block1.attn1"
    shapes = {
        "emb1.weight": [tokens, width],
        f"{attention}.q.weight": [width, width],
        f"{attention}.k.weight": [narrow, width],
        f"{attention}.v.weight": [narrow, width],
        f"{attention}.o.weight": [width, width],
        "block1.norm.weight": [width],
        "block1.norm.bias": [width],
        "block2.fc1.weight": [2 * wide, width],
        "block2.fc2.weight": [width, wide],
        "block2.fc2.bias": [width],
        "block2.norm.weight": [width],
        "block2.norm.bias": [width],
        "fc1.weight": [tokens, width],
        "fc1.bias": [tokens],
    }

    def network(ids, p):
        x = F.embedding(ids, p["emb1.weight"])
        q, k, v = (F.linear(x, p[f"{attention}.{part}.weight"]) for part in "qkv")
        q, k, v = split(q, heads), split(k, kv_heads), split(v, kv_heads)
        q, k = rotate(q, 100.0, False), rotate(k, 100.0, False)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + F.linear(merge(attended), p[f"{attention}.o.weight"])
        x = F.layer_norm(x, (width,), p["block1.norm.weight"], p["block1.norm.bias"])
        a, b = F.linear(x, p["block2.fc1.weight"]).chunk(2, -1)
        x = x + F.linear(a * F.silu(b), p["block2.fc2.weight"], p["block2.fc2.bias"])
        x = F.layer_norm(x, (width,), p["block2.norm.weight"], p["block2.norm.bias"])
        return F.linear(x, p["fc1.weight"], p["fc1.bias"])

    ids = torch.randint(tokens, (batch, time))
    targets = torch.randint(tokens, (batch, time))
    return case("post-LN, grouped queries, rotary, SwiGLU", specification, shapes, ids, targets, network)


cases = [lstm_classifier(), transformer(), grouped()]
text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
sys.stdout.write(f"[\n{text}\n]\n")
