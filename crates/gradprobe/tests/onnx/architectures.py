"""Makes the models of `architectures/` and their gradients by PyTorch, in double precision.

    python architectures.py

Architectures of torchvision and transformers, small, with random weights, by both of PyTorch's
exporters, as people export them: for inference and for training, with fixed and with free sizes.
The gradients are of the module with batch normalisation on batch statistics and without dropout,
from the float32 weights. Needs torch, torchvision, transformers, onnxscript and safetensors.
"""

import copy
import json
import pathlib

import onnx
import torch
import torch.nn.functional as F
import torchvision.models as vision
import transformers
from safetensors.torch import save_file
from torch import nn
from torchvision.models.efficientnet import MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig

HERE = pathlib.Path(__file__).parent / "architectures"
# What is kept of the exporter's notes; its stack traces are of no use to anybody.
NOTES = ("pkg.torch.onnx.name_scopes", "pkg.torch.export.graph_signature.InputSpec.kind")


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = getattr(nn, kind)(5, 6, batch_first=True, **options)
        self.head = nn.Linear(12 if self.rnn.bidirectional else 6, 4)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(13, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, ids):
        return self.head(self.encoder(self.embedding(ids)).mean(1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()

        def block(inputs, outputs):
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
            )

        self.down1, self.down2, self.middle = block(3, 6), block(6, 8), block(8, 10)
        self.up2, self.out2 = nn.ConvTranspose2d(10, 8, 2, 2), block(16, 8)
        self.up1 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.out1, self.head = block(14, 6), nn.Conv2d(6, 3, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.middle(F.max_pool2d(b, 2))
        c = self.out2(torch.cat([self.up2(c), b], 1))
        return self.head(self.out1(torch.cat([self.up1(c), a], 1)))


def image(side, batch=4):
    return {"x": torch.randn(batch, 3, side, side)}


def sequences():
    return {"x": torch.randn(3, 7, 5)}


def tokens(vocabulary=31):
    return {"input_ids": torch.randint(0, vocabulary, (2, 7))}


def masked():
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[0, -2:] = 0
    return {**tokens(), "attention_mask": mask}


def mobile(inputs, expanded, outputs, attention, activation, stride):
    return InvertedResidualConfig(inputs, 3, expanded, outputs, attention, activation, stride, 1, 1.0)


BERT = dict(vocab_size=31, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
BERT |= dict(intermediate_size=32, max_position_embeddings=40)
LLAMA = dict(vocab_size=31, hidden_size=16, num_hidden_layers=1, num_attention_heads=4, use_cache=False)
LLAMA |= dict(num_key_value_heads=2, intermediate_size=24, max_position_embeddings=40)

CLASSES, TOKENS, REGRESSION = "cross-entropy", "cross-entropy of tokens", "mse"

# Exporter (new, or by TorchScript), version, for training, with free sizes.
VARIANTS = {
    "new": (True, 20, False, False),
    "new_free": (True, 21, False, True),
    "new_training": (True, 18, True, False),
    "new_latest": (True, 25, False, False),
    "old_11": (False, 11, False, False),
    "old_free": (False, 17, False, True),
    "old_training": (False, 14, True, False),
    "old_20": (False, 20, False, False),
}


def models():
    yield "densenet", vision.DenseNet(4, (1, 1), 8, num_classes=5), image(16), CLASSES, ["old_training", "new_training"]
    settings = [mobile(8, 8, 8, True, "RE", 2), mobile(8, 16, 8, False, "HS", 1)]
    network = vision.MobileNetV3(settings, 16, num_classes=5)
    yield "mobilenet_v3", network, image(16), CLASSES, ["old_training", "new_training"]
    settings = [MBConvConfig(1, 3, 1, 8, 8, 1), MBConvConfig(2, 3, 2, 8, 8, 2)]
    network = vision.EfficientNet(settings, 0.2, 0.2, num_classes=5, last_channel=16)
    yield "efficientnet", network, image(16), CLASSES, ["old_training", "new_training"]
    block = vision.convnext.CNBlockConfig
    network = vision.ConvNeXt([block(8, 16, 1), block(16, None, 1)], num_classes=5)
    yield "convnext", network, image(16), CLASSES, ["old_11"]
    yield "vit", vision.VisionTransformer(16, 8, 1, 2, 16, 24, num_classes=5), image(16), CLASSES, ["new_free"]
    network = vision.SwinTransformer([2, 2], 8, [2], [1], [4, 4], num_classes=5)
    yield "swin", network, image(16), CLASSES, ["old_20"]
    yield "unet", UNet(), image(16, 2), REGRESSION, ["old_training"]
    yield "bert", transformers.BertForSequenceClassification(transformers.BertConfig(**BERT)), masked(), CLASSES, ["old_free", "new_free"]
    config = transformers.DistilBertConfig(vocab_size=31, dim=16, n_heads=2, n_layers=1, hidden_dim=24, max_position_embeddings=40)
    yield "distilbert", transformers.DistilBertForSequenceClassification(config), masked(), CLASSES, ["old_20"]
    config = transformers.GPT2Config(vocab_size=31, n_embd=16, n_head=2, n_layer=1, n_positions=40, use_cache=False)
    yield "gpt2", transformers.GPT2LMHeadModel(config), tokens(), TOKENS, ["new_free", "new_training"]
    yield "llama", transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)), tokens(), TOKENS, ["new_free"]
    config = transformers.T5Config(vocab_size=31, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2)
    yield "t5_encoder", transformers.T5EncoderModel(config), tokens(), REGRESSION, ["old_free"]
    yield "transformer_encoder", Encoder(), {"ids": torch.randint(0, 13, (2, 6))}, CLASSES, ["new_free"]
    yield "gru", Recurrent("GRU"), sequences(), CLASSES, ["old_11", "new"]
    yield "gru_bidirectional", Recurrent("GRU", bidirectional=True, num_layers=2), sequences(), CLASSES, ["old_free"]
    yield "rnn", Recurrent("RNN"), sequences(), CLASSES, ["old_20", "new_training"]
    yield "rnn_relu", Recurrent("RNN", nonlinearity="relu", bidirectional=True), sequences(), CLASSES, ["old_free"]
    yield "lstm", Recurrent("LSTM", bidirectional=True), sequences(), CLASSES, ["old_11", "new_free"]


def export(module, inputs, variant, path):
    new, opset, training, free = VARIANTS[variant]
    module = copy.deepcopy(module).train(training)
    mode = torch.onnx.TrainingMode
    options = {"training": mode.TRAINING if training else mode.EVAL}
    axes = {
        name: {0: "batch"} | ({1: "sequence"} if not tensor.is_floating_point() else {})
        for name, tensor in inputs.items()
    }
    if new:
        options |= {"dynamo": True, "external_data": False, "optimize": not training}
        if free:
            dynamic = torch.export.Dim.DYNAMIC
            options["dynamic_shapes"] = {name: dict.fromkeys(of, dynamic) for name, of in axes.items()}
    else:
        options |= {"dynamo": False, "do_constant_folding": not training}
        if free:
            options["dynamic_axes"] = axes
    names = {"input_names": list(inputs), "output_names": ["y"]}
    torch.onnx.export(module, (), str(path), kwargs=inputs, opset_version=opset, **names, **options)
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


def first(output):
    while not torch.is_tensor(output):
        output = output[0] if isinstance(output, (tuple, list)) else next(iter(output.values()))
    return output


def value(module, inputs, target, loss):
    y = first(module(**inputs))
    if loss == REGRESSION:
        return F.mse_loss(y, target.double())
    return F.cross_entropy(y.flatten(0, -2), target.flatten())


def statistics(gradient):
    """How many numbers, their l2 norm, mean and largest magnitude."""
    return [gradient.numel(), gradient.norm().item(), gradient.mean().item(), gradient.abs().max().item()]


def main():
    HERE.mkdir(exist_ok=True)
    torch.manual_seed(0)
    golden = {}
    for name, module, inputs, loss, variants in models():
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.02 * torch.randn(parameter.shape))
        for variant in variants:
            export(module, inputs, variant, HERE / f"{name}.{variant}.onnx")
        module = module.double().eval()
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.train()
        double = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
        with torch.no_grad():
            y = first(module(**double))
        if loss == REGRESSION:
            target = torch.randn(y.shape)
        else:
            target = torch.randint(0, y.shape[-1], y.shape[:-1])
        result = value(module, double, target, loss)
        result.backward()
        data = HERE / f"{name}.safetensors"
        save_file({**{k: v.contiguous() for k, v in inputs.items()}, "target": target}, data)
        data.chmod(0o644)
        gradients = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
        golden[name] = {
            "loss": loss,
            "value": result.item(),
            "models": [f"{name}.{variant}" for variant in variants],
            "parameters": {n: statistics(gradient) for n, gradient in gradients.items()},
        }
    versions = f"PyTorch {torch.__version__}, transformers {transformers.__version__}"
    what = f"gradients by {versions} in float64, see architectures.py"
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(model)}" for name, model in golden.items())
    text = f'{{"what": {json.dumps(what)},\n"models": {{\n{lines}\n}}}}\n'
    (HERE / "golden.json").write_text(text)


main()
