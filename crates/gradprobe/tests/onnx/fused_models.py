"""Makes `fused/models/`: small networks as PyTorch exports them and as onnxruntime optimises these.

    python fused_models.py

`NAME.onnx` is the export; `NAME.extended.onnx` is it optimised by a session of level EXTENDED, and
`NAME.transformers.onnx` by `onnxruntime.transformers.optimizer`. `golden.json` holds the gradients
by PyTorch in float64, and which parameters an optimiser joined into one. Needs onnxruntime, torch
and transformers.
"""

import json
import pathlib
import warnings

import onnx
import onnxruntime
import torch
import torch.nn.functional as F
import transformers
from onnxruntime.transformers import optimizer
from safetensors.torch import save_file
from torch import nn

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent / "fused" / "models"
# What is kept of the exporter's notes; its stack traces are of no use to anybody.
NOTES = ("pkg.torch.onnx.name_scopes", "pkg.torch.export.graph_signature.InputSpec.kind")
EAGER = {"attn_implementation": "eager"}
BERT = dict(vocab_size=13, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12)


class Convolutions(nn.Module):
    """Every activation that is taken into a convolution, and a sum of two branches."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3, 4, 3)] + [nn.Conv2d(4, 4, 3, padding=1) for _ in range(7)])
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        functions = [F.relu, lambda y: F.leaky_relu(y, 0.25), torch.sigmoid, torch.tanh, F.relu6, F.hardsigmoid, F.hardswish]
        for layer, function in zip(self.layers, functions):
            x = function(layer(x))
        x = F.relu(self.layers[7](x) + x)
        return self.head(x.mean((2, 3)))


class Dense(nn.Module):
    """Activations that are taken into a matrix product."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(5, 5) for _ in range(6)])
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        functions = [F.relu, lambda y: F.leaky_relu(y, 0.25), lambda y: F.elu(y, 0.5), F.softplus, torch.tanh, torch.sigmoid]
        for layer, function in zip(self.layers, functions):
            x = function(layer(x))
        return self.head(x)


def tokens(time=6):
    return {"input_ids": torch.randint(0, 13, (2, time))}


def masked():
    mask = torch.ones(2, 6, dtype=torch.long)
    mask[0, -2:] = 0
    return {**tokens(), "attention_mask": mask}


def models():
    """Name, module, inputs, is the exporter the new one?, the optimiser's kind of model, heads."""
    config = transformers.BertConfig(**BERT, max_position_embeddings=8, **EAGER)
    bert = transformers.BertForSequenceClassification(config)
    yield "bert", bert, masked(), False, "bert", 2
    yield "bert_new", bert, masked(), True, None, 2
    config = transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12, image_size=8, patch_size=4, **EAGER)
    yield "vit", transformers.ViTForImageClassification(config), {"pixel_values": torch.randn(2, 3, 8, 8)}, False, "vit", 2
    config = transformers.GPT2Config(vocab_size=13, n_embd=8, n_head=2, n_layer=1, n_positions=8, use_cache=False)
    yield "gpt2", transformers.GPT2LMHeadModel(config), tokens(), True, None, 2
    config = transformers.LlamaConfig(vocab_size=13, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, intermediate_size=12, max_position_embeddings=8, use_cache=False)
    yield "llama", transformers.LlamaForCausalLM(config), tokens(), True, "gpt2", 2
    config = transformers.CLIPTextConfig(vocab_size=13, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=8, bos_token_id=0, eos_token_id=1, pad_token_id=2, **EAGER)
    yield "clip", transformers.CLIPTextModel(config), tokens(), True, "clip", 2
    config = transformers.T5Config(vocab_size=13, d_model=8, d_kv=4, d_ff=12, num_layers=1, num_heads=2)
    yield "t5", transformers.T5EncoderModel(config), tokens(), False, "t5", 2
    yield "convolutions", Convolutions(), {"x": torch.randn(2, 3, 6, 6)}, False, None, 0
    yield "dense", Dense(), {"x": torch.randn(3, 5)}, False, None, 0


def slim(path):
    model = onnx.load(path)
    for entity in [model, model.graph, *model.graph.node, *model.graph.value_info, *model.functions]:
        kept = [note for note in entity.metadata_props if note.key in NOTES]
        del entity.metadata_props[:]
        entity.metadata_props.extend(kept)
        entity.ClearField("doc_string")
    values = [value for value in model.graph.value_info if value.metadata_props]
    del model.graph.value_info[:]
    model.graph.value_info.extend(values)
    onnx.save(model, path)


def export(module, inputs, new, path):
    names = {"input_names": list(inputs), "output_names": ["y"], "kwargs": inputs}
    axes = {n: {0: "batch", 1: "sequence"} for n, x in inputs.items() if not x.is_floating_point()}
    if new:
        free = {n: dict.fromkeys(of, torch.export.Dim.DYNAMIC) for n, of in axes.items()}
        names |= {"dynamic_shapes": free, "external_data": False, "verbose": False}
        torch.onnx.export(module, (), path, opset_version=18, dynamo=True, **names)
    else:
        torch.onnx.export(module, (), path, opset_version=17, dynamo=False, dynamic_axes=axes, **names)


def optimise(path, to, level):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    options.optimized_model_filepath = to
    onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


def first(output):
    return output if torch.is_tensor(output) else next(iter(output.values()))


def joined(path, module):
    """What the optimiser joined: the projections of queries, keys and values, one after the other."""
    names = [name for name, _ in module.named_parameters()]
    found = {}
    for tensor in onnx.load(path).graph.initializer:
        for end in ("weight", "bias"):
            if tensor.name.endswith(f"_qkv_{end}"):
                parts = [n for n in names if n.endswith(end) and any(f".{part}" in n for part in ("query", "key", "value", "q_proj", "k_proj", "v_proj"))]
                found[tensor.name] = parts
    return found


def main():
    HERE.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(15)
    golden, emitted = {}, {}
    for name, module, inputs, new, kind, heads in models():
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))
        module = module.float().eval()
        module.zero_grad()
        paths = {"": str(HERE / f"{name}.onnx"), "extended": str(HERE / f"{name}.extended.onnx")}
        export(module, inputs, new, paths[""])
        optimise(paths[""], paths["extended"], "EXTENDED")
        if kind:
            paths["transformers"] = str(HERE / f"{name}.transformers.onnx")
            made = optimizer.optimize_model(paths[""], kind, heads, 8, opt_level=0)
            made.save_model_to_file(paths["transformers"])
        if name == "convolutions":
            optimise(paths[""], str(HERE / "refused_blocked.onnx"), "ALL")
            slim(HERE / "refused_blocked.onnx")
        for path in paths.values():
            slim(path)
            for node in onnx.load(path).graph.node:
                if node.domain or node.op_type == "SimplifiedLayerNormalization":
                    emitted.setdefault(pathlib.Path(path).name, set()).add(node.op_type)
        module = module.double()
        double = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
        y = first(module(**double))
        target = torch.randn(y.shape)
        result = F.mse_loss(y, target.double())
        result.backward()
        data = HERE / f"{name}.safetensors"
        save_file({**{k: v.contiguous() for k, v in inputs.items()}, "target": target}, data)
        data.chmod(0o644)
        gradients = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
        golden[name] = {
            "value": result.item(),
            "models": [pathlib.Path(path).name for path in paths.values()],
            "joined": joined(paths.get("transformers", paths[""]), module),
            "parameters": {n: [g.numel(), g.norm().item(), g.mean().item(), g.abs().max().item()] for n, g in gradients.items()},
        }
    for name, ops in emitted.items():
        print(name, sorted(ops))
    versions = f"PyTorch {torch.__version__}, transformers {transformers.__version__}, onnxruntime {onnxruntime.__version__}"
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(model)}" for name, model in golden.items())
    what = f"gradients by {versions} in float64, see fused_models.py"
    (HERE / "golden.json").write_text(f'{{"what": {json.dumps(what)},\n"models": {{\n{lines}\n}}}}\n')


main()
