#!/usr/bin/env python3
"""Other searches with as many runs of a program as zo had: grid, random points, SciPy's minimizers.

  compare.py --lower L1,L2,... --upper U1,U2,... --budget N [--log-scale] [--jobs J]
             --starts FILE PROGRAM

Prints a row for each method: the lowest answer, best, median and worst of all starts (a line each in FILE,
for random points the seed). The grid is the finest that the budget pays. A failed run counts, and
answers twice the value at the start. Needs numpy and scipy (python3-scipy).
"""
import argparse
import concurrent.futures
import itertools
import math
import subprocess
import sys

import numpy
import scipy.optimize


class Spent(Exception):
    pass


class Question:
    """The program on the unit cube: counts its runs, keeps the best answer."""

    def __init__(self, how):
        self.how, self.left, self.failed, self.best, self.point = how, how.budget, 0, math.inf, None
        self.penalty = math.inf
        low, high = numpy.array(how.lower), numpy.array(how.upper)
        self.low, self.high = (numpy.log(low), numpy.log(high)) if how.log_scale else (low, high)

    def inside(self, x):
        x = numpy.log(x) if self.how.log_scale else numpy.array(x)
        return (x - self.low) / (self.high - self.low)

    def __call__(self, unit):
        if self.left == 0:
            raise Spent
        self.left -= 1
        unit = numpy.clip(unit, 0, 1)
        x = self.low + unit * (self.high - self.low)
        x = numpy.exp(x) if self.how.log_scale else x
        done = subprocess.run([self.how.program] + [f"{v:.17g}" for v in x], capture_output=True, text=True)
        if done.returncode != 0:
            self.failed += 1
            return self.penalty
        value = float(done.stdout.split()[-1])
        if value < self.best:
            self.best, self.point = value, x
        return value


def grid(f, start, seed):
    dimension = len(start)
    levels = [max(1, math.floor(f.left ** (1 / dimension)))] * dimension
    for i in range(dimension):
        levels[i] += 1
        if math.prod(levels) > f.left:
            levels[i] -= 1
            break
    sides = [(numpy.arange(n) + 0.5) / n for n in levels]
    for unit in itertools.product(*sides):
        f(numpy.array(unit))


def at_random(f, start, seed):
    draw = numpy.random.default_rng(seed)
    while True:
        f(draw.random(len(start)))


def scipys(method, **options):
    def run(f, start, seed):
        f.penalty = 2 * f(start)
        while True:  # again from the best point, until the runs are spent
            scipy.optimize.minimize(f, start, method=method, bounds=[(0, 1)] * len(start), options=options)
            start = f.inside(f.point)
    return run


methods = {
    "grid": grid,
    "random points": at_random,
    "Nelder–Mead": scipys("Nelder-Mead", adaptive=True, maxfev=10**9, xatol=1e-5, fatol=1e-5),
    "COBYLA": scipys("COBYLA", rhobeg=0.1, tol=1e-4, maxiter=10**9),
    "L-BFGS-B": scipys("L-BFGS-B", eps=0.01, maxfun=10**9),
}


def one(task):
    name, how, start, seed = task
    f = Question(how)
    try:
        methods[name](f, f.inside(start), seed)
    except Spent:
        pass
    print(f"{name}: {f.best:.5g}", file=sys.stderr, flush=True)
    return name, f.best, f.failed, f.point, how.budget - f.left


def main():
    numbers = lambda text: [float(v) for v in text.split(",")]
    arguments = argparse.ArgumentParser(usage=__doc__)
    arguments.add_argument("--lower", type=numbers, required=True)
    arguments.add_argument("--upper", type=numbers, required=True)
    arguments.add_argument("--budget", type=int, required=True)
    arguments.add_argument("--starts", required=True)
    arguments.add_argument("--log-scale", action="store_true")
    arguments.add_argument("--jobs", type=int, default=1)
    arguments.add_argument("program")
    how = arguments.parse_args()
    with open(how.starts) as lines:
        starts = [[float(v) for v in line.split()] for line in lines]
    tasks = [(name, how, start, seed) for name in methods for seed, start in enumerate(starts)
             if name != "grid" or seed == 0]
    with concurrent.futures.ProcessPoolExecutor(how.jobs) as pool:
        rows = list(pool.map(one, tasks))
    for name in methods:
        mine = sorted((row for row in rows if row[0] == name), key=lambda row: row[1])
        print(f"{name:14} best {mine[0][1]:.4g}  median {mine[len(mine) // 2][1]:.4g}  worst {mine[-1][1]:.4g}"
              f"  failed {sum(row[2] for row in mine)} of {sum(row[4] for row in mine)}"
              f"  at {' '.join(f'{v:.5g}' for v in mine[0][3])}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
