"""Everyday networks of sequences, by both of PyTorch's exporters at every opset."""

import numpy as np
import torch
import transformers
from _peers import Folder, add_torch, gradient_of_output
from torch import nn

torch.manual_seed(0)
draw = np.random.default_rng(0)


def normal(*shape):
    return draw.standard_normal(shape).astype(np.float32)


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = kind(5, 6, batch_first=True, **options)
        self.head = nn.Linear(6 * (1 + self.rnn.bidirectional), 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(13, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, ids):
        return self.head(self.encoder(self.embedding(ids)).mean(1))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


class Tied(nn.Module):
    """The table of the embedding is that of the head."""

    def __init__(self):
        super().__init__()
        self.embedding, self.fc = nn.Embedding(11, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids):
        return self.head(torch.tanh(self.fc(self.embedding(ids))))


class Patches(nn.Module):
    """A class token and position embeddings before an encoder."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Linear(5, 8)
        self.class_token = nn.Parameter(torch.randn(1, 1, 8) * 0.1)
        self.position = nn.Parameter(torch.randn(1, 7, 8) * 0.1)
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True, norm_first=True)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), self.patch(x)], 1)
        return self.head(self.norm(self.layer(x + self.position)[:, 0]))


class Model(nn.Module):
    """A model of transformers that takes one array and returns one."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x, return_dict=False)[0]


def small(kind, configuration, **options):
    return Model(kind(configuration(attn_implementation="eager", **options)))


def add(folder, name, module, inputs, target, **options):
    """As `add_torch`. Taking a file to opset 17 loses what the newer exporter notes of parameters: of
    equal ones that nothing else tells apart it has one, of which gradprobe speaks. So there the
    network is as if trained: all its numbers differ."""
    add_torch(folder, name, module, inputs, target, "cross-entropy", **{"dynamo": range(18, 26)} | options)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    add_torch(folder, f"{name}_trained", module, inputs, target, "cross-entropy", **options | {"dynamo": [17], "script": ()})


folder = Folder()
classes = np.arange(3)
sequences, ids = {"x": normal(3, 6, 5)}, {"ids": draw.integers(0, 11, (3, 5))}
for name, module, inputs in (
    ("lstm", Recurrent(nn.LSTM), sequences),
    ("gru_bidirectional", Recurrent(nn.GRU, bidirectional=True), sequences),
    ("transformer_encoder", Encoder(), ids),
    ("multihead_attention", Attention(), {"x": normal(3, 6, 8)}),
    ("class_token_and_positions", Patches(), sequences),
):
    add(folder, name, module, inputs, classes)
add(folder, "tied_head", Tied(), ids, ids["ids"])
sizes = dict(hidden_size=16, num_attention_heads=2, num_hidden_layers=1, intermediate_size=24)
tokens = dict(vocab_size=11, max_position_embeddings=8)
llama = small(
    transformers.LlamaForCausalLM, transformers.LlamaConfig, num_key_value_heads=1, use_cache=False, **sizes, **tokens
)
# The older exporter knows no `aten::diff`, by which the causal masks of transformers are made.
add(folder, "llama", llama, ids, ids["ids"], training=False, script=())
gpt = dict(vocab_size=11, n_positions=8, n_embd=16, n_layer=1, n_head=2, use_cache=False)
gpt2 = small(transformers.GPT2LMHeadModel, transformers.GPT2Config, **gpt)
# What the newer exporter looks up in advance: the first rows of a table, the same row everywhere.
folded = {"model.transformer.wpe.weight": lambda module, _: module.model.transformer.wpe.weight.grad[:5]}
add(folder, "gpt2", gpt2, ids, ids["ids"], training=False, script=(), folded=folded)
bert = small(transformers.BertForSequenceClassification, transformers.BertConfig, num_labels=3, **sizes, **tokens)
folded = {
    f"model.bert.embeddings.{table}.weight": gradient_of_output(f"model.bert.embeddings.{table}")
    for table in ("position_embeddings", "token_type_embeddings")
}
# PyTorch gives the row of the padding no gradient, which no file says.
words = {"ids": np.maximum(ids["ids"], 1)}
add(folder, "bert", bert, words, classes, training=False, folded=folded)
vit = small(
    transformers.ViTForImageClassification, transformers.ViTConfig, num_labels=3, image_size=8, patch_size=4, **sizes
)
add(folder, "vit", vit, {"x": normal(3, 3, 8, 8)}, classes, training=False)
folder.close()
