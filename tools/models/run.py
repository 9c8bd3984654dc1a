"""Both attacks on the API: see `tools/model-test --help`."""

import argparse
import os
import random
import subprocess
import sys

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

import api_machine
import claims
from model import MUTANTS

# Without these a run says little: it must have had them.
NEEDED = ["claim 200", "failed stale-attempt", "uploaded 200", "stored 200", "deployments 201"]
NEEDED_FROM_EXAMPLES = 60


def main():
    parser = argparse.ArgumentParser(
        prog="tools/model-test",
        description="Attacks the built global process from outside. Hypothesis drives its HTTP API as a state machine "
        "against a model, with kill -9 in between and in the middle of requests; then many callers at once, through "
        "crashes, make a history of claims that must be linearizable. Both checks are themselves checked: mutants of "
        "the model and mutated histories must be found.")
    parser.add_argument("--examples", type=int, default=60,
                        help="histories that Hypothesis makes, the first ones short (%(default)s)")
    parser.add_argument("--steps", type=int, default=50, help="requests of each at most (%(default)s)")
    parser.add_argument("--crashes", type=int, default=20, help="crashes under the callers of claims (%(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="repeats what Hypothesis did (printed at the start)")
    parser.add_argument("--claims-seed", type=int, default=None, help="repeats the callers' choices and the crashes")
    parser.add_argument("--without-canaries", action="store_true", help="do not look for the planted mistakes")
    arguments = parser.parse_args()
    first = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
    if os.environ.get("MODEL_MUTANT"):
        drive(arguments, first, shrinks=False)
        return
    second = arguments.claims_seed if arguments.claims_seed is not None else first
    print(f"api: {arguments.examples} histories of up to {arguments.steps} steps, --seed {first}", flush=True)
    drive(arguments, first, shrinks=True)
    for what, times in sorted(api_machine.REACHED.items()):
        print(f"api: {times:6} {what}")
    print("api: every answer was the model's", flush=True)
    missed = [what for what in NEEDED if not any(seen.startswith(what) for seen in api_machine.REACHED)]
    if missed and arguments.examples >= NEEDED_FROM_EXAMPLES:
        raise SystemExit(f"too few histories to say anything, none had: {', '.join(missed)}")
    claims.run(arguments.crashes, second)
    if not arguments.without_canaries:
        canaries(arguments, first)


def drive(arguments, number, shrinks):
    machine = seed(number)(api_machine.APIMachine)
    run_state_machine_as_test(machine, settings=settings(
        max_examples=arguments.examples, stateful_step_count=arguments.steps, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), print_blob=False,
        phases=[Phase.generate, Phase.shrink] if shrinks else [Phase.generate]))


def canaries(arguments, number):
    """Each mutant of the model must be told from the server."""
    for mutant in MUTANTS:
        done = subprocess.run(
            [sys.executable, __file__, "--examples", "300", "--steps", str(max(50, arguments.steps)), "--seed",
             str(number)],
            env={**os.environ, "MODEL_MUTANT": mutant}, capture_output=True, text=True)
        if done.returncode == 0 or "AssertionError" not in done.stderr:
            raise SystemExit(f"the model with the mistake {mutant} was not told from the server:\n{done.stderr[-2000:]}")
        print(f"api: the model with the mistake {mutant} is found", flush=True)


if __name__ == "__main__":
    main()
