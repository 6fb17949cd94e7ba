"""A contestant without Keras: the study's network in PyTorch, trained with PyTorch's own Adam."""

import torch
from torch.nn import functional

from bakeoff_worker.backends.base import Inspectable
from bakeoff_worker.backends.plain import options, study_cnn
from bakeoff_worker.weights import initial


class Backend(Inspectable):
    dropout = 0.2

    def start(self):
        torch.set_num_threads(self.settings.threads or torch.get_num_threads())

    def silence(self):
        self.dropout = 0.0

    def build(self, build_model, input_shape, num_classes, seed):
        torch.manual_seed(seed)
        self.restart(initial(study_cnn(options(self.settings), input_shape, num_classes), seed))

    def restart(self, weights):
        self.held = {name: torch.tensor(one, requires_grad=True) for name, one in weights.items()}
        self.adam, self.step = torch.optim.Adam(self.held.values(), self.settings.learning_rate), 0

    def weights(self):
        return {name: one.detach().numpy().copy() for name, one in self.held.items()}

    def logits(self, x, dropout=0.0):
        x, held = torch.from_numpy(x).permute(0, 3, 1, 2), list(self.held.values())
        for kernel, bias in zip(held[0:4:2], held[1:4:2], strict=True):
            x = functional.max_pool2d(
                functional.relu(functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias)), 2
            )
        x = functional.dropout(x, dropout).permute(0, 2, 3, 1).flatten(1)
        for kernel, bias in zip(held[4::2], held[5::2], strict=True):
            x = functional.relu(x) @ kernel + bias
        return x

    def batches(self, x, y):
        size = self.settings.global_batch_size
        return [(x[at : at + size], torch.from_numpy(y[at : at + size])) for at in range(0, len(x), size)]

    def train_epoch(self, x, y):
        loss_sum, hits = 0.0, 0.0
        for images, labels in self.batches(x, y):
            logits = self.logits(images, self.dropout)
            loss = functional.cross_entropy(logits, labels)
            self.adam.zero_grad()
            loss.backward()
            self.step += 1
            # Keras adds its epsilon before Adam's correction of the second mean, PyTorch after.
            self.adam.param_groups[0]["eps"] = 1e-7 / (1 - 0.999**self.step) ** 0.5
            self.adam.step()
            loss_sum += loss.item() * len(images)
            hits += (logits.argmax(1) == labels.argmax(1)).sum().item()
        return loss_sum / len(x), hits / len(x)

    @torch.no_grad()
    def evaluate(self, x, y):
        logits = torch.cat([self.logits(images) for images, _ in self.batches(x, y)])
        labels = torch.from_numpy(y)
        right = (logits.argmax(1) == labels.argmax(1)).float().mean()
        return functional.cross_entropy(logits, labels).item(), right.item()

    @torch.no_grad()
    def wrong(self, x, y):
        return torch.cat(
            [self.logits(images).argmax(1) for images, _ in self.batches(x, y)]
        ).numpy() != y.argmax(1)
