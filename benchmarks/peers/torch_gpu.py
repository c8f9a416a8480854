#!/usr/bin/env python3
"""Times in PyTorch what zo_cuda_claims is compared with, and writes seconds a step as JSON.

Usage: torch_gpu.py [--smoke] FILE
  FILE     where it is there already, the faster time of both runs stays
  --smoke  tiny sizes, each once, also without a GPU

scripts/gpu-check runs it before and after zo_cuda_claims on the same GPU.
"""
import json
import os
import statistics
import sys
import time

import torch
from torch.nn import functional


def loss(x):
    """The sum of squares of float coordinates in double, in one kernel."""
    return torch.linalg.vector_norm(x, dim=-1, dtype=torch.float64).square()


def lazy_rge(x, directions, smoothing):
    """Forward RGE in O(d) memory: each direction is drawn twice, from its seed."""
    generator = torch.Generator(x.device)

    def direction(k):
        return torch.randn(x.shape, generator=generator.manual_seed(k), device=x.device)

    losses = [loss(torch.add(x, direction(k), alpha=smoothing)) for k in range(directions)]
    weights = (torch.stack(losses) - loss(x)) / (smoothing * directions)
    gradient = torch.zeros_like(x)
    for k, weight in enumerate(weights.tolist()):
        gradient.add_(direction(k), alpha=weight)
    return gradient


def stored_rge(x, directions, smoothing):
    """The same with all directions and all candidates in memory."""
    u = torch.randn(directions, x.numel(), device=x.device)
    losses = loss(torch.add(x, u, alpha=smoothing))
    weights = (losses - loss(x)) / (smoothing * directions)
    return weights.float() @ u


class Mezo:
    """Steps of MeZO (Malladi et al., NeurIPS 2023) on one tensor, which saves PyTorch the launches
    for each of a model's tensors. The loss is the first coordinate."""

    epsilon, rate = 1e-3, 1e-6

    def __init__(self, x):
        self.x = x
        self.seed = 0

    def normals(self):
        torch.manual_seed(self.seed)
        return torch.normal(mean=0.0, std=1.0, size=self.x.size(), device=self.x.device,
                            dtype=self.x.dtype)

    def ask(self):
        return self.x[0].double()

    def move(self, factor):
        """As its authors publish it: x + factor * z * epsilon, each product a tensor."""
        self.x = self.x + factor * self.normals() * self.epsilon

    def update(self, slope):
        self.x = self.x - self.rate * (slope * self.normals())

    def __call__(self):
        self.seed += 1
        self.move(1)
        upper = self.ask()
        self.move(-2)
        lower = self.ask()
        self.move(1)
        self.update(((upper - lower) / (2 * self.epsilon)).item())


class MezoInPlace(Mezo):
    """The same with one fused operation for each move."""

    def move(self, factor):
        self.x.add_(self.normals(), alpha=factor * self.epsilon)

    def update(self, slope):
        self.x.add_(self.normals(), alpha=-self.rate * slope)


class Resnet20:
    """ResNet-20 for CIFAR (He et al., CVPR 2016) and DeepZero's step (ICLR 2024): coordinate after
    coordinate, each evaluated from the block that holds it to the loss. Blocks are conv1, bn1, nine
    residual blocks and the head; batch norms use the batch. What favours PyTorch and changes no
    result is on: losses stay on the device, nothing is recorded for gradients."""

    blocks, mu = 12, 5e-3

    def __init__(self, count, device, layout=torch.contiguous_format, dtype=torch.float32):
        torch.manual_seed(1)
        self.layout = layout

        def placed(x):
            x = x.to(device, dtype)
            return x.contiguous(memory_format=layout) if x.dim() == 4 else x

        def noise(shape):
            fan_in = torch.Size(shape[1:]).numel()
            return torch.randn(shape) * (2 / fan_in) ** 0.5 if len(shape) > 1 else torch.ones(shape)

        self.weights = {name: placed(noise(shape)) for name, shape in self.shapes().items()}
        self.images = placed(torch.randn(count, 3, 32, 32))
        self.classes = (torch.arange(count) % 10).to(device)
        self.loss = torch.zeros((), device=device, dtype=dtype)

    @staticmethod
    def shapes():
        found = {"conv1.weight": (16, 3, 3, 3), "bn1.weight": (16,), "bn1.bias": (16,)}
        channels = 16
        for block in range(9):
            wide = 16 << block // 3
            for half, inputs in (("1", channels), ("2", wide)):
                name = f"layer{block // 3 + 1}.{block % 3}."
                found[f"{name}conv{half}.weight"] = (wide, inputs, 3, 3)
                found[f"{name}bn{half}.weight"] = found[f"{name}bn{half}.bias"] = (wide,)
            channels = wide
        return {**found, "linear.weight": (10, 64), "linear.bias": (10,)}

    @staticmethod
    def block_of(name):
        if name.startswith("layer"):
            return 2 + 3 * (int(name[5]) - 1) + int(name[7])
        return {"conv1": 0, "bn1": 1, "linear": 11}[name.split(".")[0]]

    @staticmethod
    def kept(name):
        """Shares of a step at 90 % sparsity, as in benchmarks/nn/workload.cpp."""
        if "bn" in name or name.endswith("bias"):
            return 1
        for begin, share in (("conv1.", 0.83), ("linear.", 0.74), ("layer1.", 0.51),
                             ("layer2.0.conv1.", 0.43), ("layer2.", 0.214),
                             ("layer3.0.conv1.", 0.127)):
            if name.startswith(begin):
                return share
        return 0.0258

    def normed(self, x, name):
        return functional.batch_norm(x, None, None, self.weights[name + ".weight"],
                                     self.weights[name + ".bias"], True)

    def block(self, number, x):
        if number == 0:
            return functional.conv2d(x, self.weights["conv1.weight"], padding=1)
        if number == 1:
            return self.normed(x, "bn1").relu_()
        if number == self.blocks - 1:
            return functional.linear(x.mean((2, 3)), self.weights["linear.weight"],
                                     self.weights["linear.bias"])
        stage, place = divmod(number - 2, 3)
        name = f"layer{stage + 1}.{place}."
        stride = 2 if stage > 0 and place == 0 else 1
        y = functional.conv2d(x, self.weights[name + "conv1.weight"], stride=stride, padding=1)
        y = self.normed(y, name + "bn1").relu_()
        y = functional.conv2d(y, self.weights[name + "conv2.weight"], padding=1)
        y = self.normed(y, name + "bn2")
        if stride == 1:
            return y.add_(x).relu_()
        before = (y.shape[1] - x.shape[1]) // 2  # option A
        y.narrow(1, before, x.shape[1]).add_(x[:, :, ::2, ::2])
        return y.relu_()

    def loss_from(self, first, x):
        for number in range(first, self.blocks):
            x = self.block(number, x)
        return functional.cross_entropy(x, self.classes)

    def prepare(self):
        self.inputs = [self.images]
        for number in range(self.blocks - 1):
            self.inputs.append(self.block(number, self.inputs[-1]))
        self.loss.copy_(self.loss_from(self.blocks - 1, self.inputs[-1]))

    def query(self, name):
        """The middle element of a parameter, moved and put back."""
        weight = self.weights[name]
        place = weight[tuple(size // 2 for size in weight.shape)]
        before = place.clone()
        place.add_(self.mu)
        first = self.block_of(name)
        self.loss.copy_(self.loss_from(first, self.inputs[first]))
        place.copy_(before)


def as_graph(work):
    """The same work without PyTorch's cost of launching it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def deepzero_step(count, device, smoke, captured):
    """Seconds of a step: a query of each block timed, and the sum over all that a step makes. The
    faster layout counts."""
    layouts = [torch.contiguous_format, torch.channels_last]
    found = []
    for layout in layouts[:1] if smoke else layouts:
        net = Resnet20(count, device, layout)
        net.prepare()
        queries = {}  # of a block: a parameter of it, and how many a step asks
        for name, shape in net.shapes().items():
            asked = round(net.kept(name) * torch.Size(shape).numel())
            first, before = queries.get(net.block_of(name), (name, 0))
            queries[net.block_of(name)] = (first, before + asked)
        total = seconds(net.prepare, device, smoke)
        for name, asked in queries.values():
            def work(name=name):
                net.query(name)
            total += asked * seconds(as_graph(work) if captured else work, device, smoke)
        found.append(total)
    return min(found)


def check(device):
    """The peers compute what they are said to."""
    x = torch.linspace(-1, 1, 50, device=device)
    for estimate in (lazy_rge, stored_rge):
        off = (estimate(x, 2000, 1e-3) - 2 * x).norm() / (2 * x).norm()
        assert off < 0.4, f"{estimate.__name__} is off by {off}"
    for kind in (Mezo, MezoInPlace):
        step = kind(x.clone())
        step.rate = 0
        step()
        assert (step.x - x).abs().max() < 1e-5, f"{kind.__name__} does not return to x"
        step.rate, step.seed = 0.25, 0
        step()
        step.seed = 1
        z = step.normals()
        assert (step.x - (x - 0.25 * z[0] * z)).abs().max() < 1e-2, f"{kind.__name__} steps wrongly"
    net = Resnet20(4, device, dtype=torch.float64)
    net.prepare()
    base = net.loss.item()
    for name in ("conv1.weight", "bn1.bias", "layer2.0.conv1.weight", "layer3.1.bn2.bias"):
        net.query(name)
        place = net.weights[name][tuple(size // 2 for size in net.weights[name].shape)]
        kept = place.clone()
        place.add_(net.mu)
        whole = net.loss_from(0, net.images)
        place.copy_(kept)
        moved = (whole - base).abs()
        off = (net.loss - whole).abs()
        assert moved > 0 and off < 1e-6 * moved + 1e-12, f"{name} is asked wrongly"
    active = sum(round(net.kept(name) * torch.Size(shape).numel())
                 for name, shape in net.shapes().items())
    assert 26000 < active < 30000, f"{active} coordinates are no step at 90 % sparsity"


def once(step, device, calls):
    """Seconds of one call, among `calls` of them."""
    if device == "cpu":
        start = time.perf_counter()
        for _ in range(calls):
            step()
        return (time.perf_counter() - start) / calls
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(calls):
        step()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) * 1e-3 / calls


def seconds(step, device, smoke):
    if smoke:
        return once(step, device, 1)
    once(step, device, 2)  # warms up
    calls = max(1, round(5e-3 / once(step, device, 2)))
    samples = []
    while len(samples) < 7 or (len(samples) < 61 and sum(samples) * calls < 0.5):
        samples.append(once(step, device, calls))
    return statistics.median(samples)


def peers(device, smoke):
    """Names and what finds the seconds of a step; one after another, so that each has the memory."""
    dimension, directions = (1000, 4) if smoke else (1_000_000, 256)

    def estimates(estimate):
        x = torch.randn(dimension, device=device)
        return seconds(lambda: estimate(x, directions, 1e-3), device, smoke)

    yield "lazy_rge", lambda: estimates(lazy_rge)
    yield "lazy_rge_stored", lambda: estimates(stored_rge)
    for name, dtype in (("float", torch.float32), ("bfloat16", torch.bfloat16)):
        for power in (8, 9):
            size = 1000 if smoke else 10**power
            for kind, suffix in ((Mezo, ""), (MezoInPlace, "_in_place")):
                yield (f"mezo_{name}_1e{power}{suffix}",
                       lambda: seconds(kind(torch.randn(size, device=device, dtype=dtype)), device,
                                       smoke))
    for count in (32, 256):
        size = 2 if smoke else count
        yield f"deepzero_{count}", lambda: deepzero_step(size, device, smoke, False)
        if device != "cpu":
            yield f"deepzero_{count}_graphs", lambda: deepzero_step(size, device, smoke, True)


def main(arguments):
    smoke = arguments[:1] == ["--smoke"]
    if len(arguments) != 1 + smoke or arguments[-1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not smoke:
        print("torch_gpu.py: PyTorch sees no GPU here", file=sys.stderr)
        return 3
    path = arguments[-1]
    found = {"torch": torch.__version__,
             "gpu": torch.cuda.get_device_name() if device == "cuda" else "none"}
    before = {}
    if os.path.exists(path):
        with open(path) as file:
            before = json.load(file)
    torch.set_grad_enabled(False)
    check(device)
    torch.backends.cudnn.benchmark = True  # its fastest convolutions
    for name, time_of in peers(device, smoke):
        try:
            found[name] = time_of()
            if name in before:
                found[name] = min(found[name], before[name])
        except RuntimeError as error:  # of memory, most likely
            found[name + "_failed"] = str(error).splitlines()[0].replace('"', "'")
        if device == "cuda":
            torch.cuda.empty_cache()
        print(name, found.get(name, "failed"), flush=True)
    with open(path, "w") as file:
        json.dump(found, file, indent=2)
        file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
