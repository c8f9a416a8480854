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
    """Names and what makes a step; made one after another, so that each has the memory."""
    dimension, directions = (1000, 4) if smoke else (1_000_000, 256)

    def estimates(estimate):
        x = torch.randn(dimension, device=device)
        return lambda: estimate(x, directions, 1e-3)

    yield "lazy_rge", lambda: estimates(lazy_rge)
    yield "lazy_rge_stored", lambda: estimates(stored_rge)
    for name, dtype in (("float", torch.float32), ("bfloat16", torch.bfloat16)):
        for power in (8, 9):
            size = 1000 if smoke else 10**power
            for kind, suffix in ((Mezo, ""), (MezoInPlace, "_in_place")):
                yield (f"mezo_{name}_1e{power}{suffix}",
                       lambda: kind(torch.randn(size, device=device, dtype=dtype)))


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
    check(device)
    for name, make in peers(device, smoke):
        try:
            found[name] = seconds(make(), device, smoke)
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
