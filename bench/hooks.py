"""What a user of PyTorch would write to see a network's gradients: the l2 norm, mean, largest
magnitude and share of zeros of every layer's output, of its cotangent and of every parameter's
gradient, taken by hooks.
"""

import torch


class Watch:
    """Takes the statistics of every run of `model` from now on."""

    def __init__(self, model):
        self.model = model
        self.taken = []
        for module in model.modules():
            if not list(module.children()):
                module.register_forward_hook(self.watch)

    def watch(self, _module, _inputs, output):
        self.taken.append(statistics(output))
        if output.requires_grad:
            output.register_hook(lambda cotangent: self.taken.append(statistics(cotangent)))

    def finish(self):
        """The numbers of the run that has just ended, as a report needs them."""
        self.taken.extend(statistics(parameter.grad) for parameter in self.model.parameters())
        numbers = torch.tensor([[float(number) for number in numbers] for numbers in self.taken])
        self.taken.clear()
        return numbers


def statistics(x):
    x = x.detach()
    return x.norm(), x.mean(), x.abs().max(), (x == 0).float().mean()
