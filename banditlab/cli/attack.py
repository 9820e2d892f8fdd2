"""``python -m banditlab.attack``: what a policy from a file earns under attack."""

from __future__ import annotations

import json
from collections.abc import Sequence

from banditlab.cli import output
from banditlab.cli.flags import Parser, settings
from banditlab.console import Bar


def parser() -> Parser:
    """The flags."""
    p = Parser(
        prog="python -m banditlab.attack",
        description="Attack a model that stable-baselines3 saved, with every attacker there is.",
        epilog="example: python -m banditlab.attack hopper.zip --env Hopper-v5 --eps 0.075 "
        "--normalizer vecnormalize.pkl",
    )
    p.add_argument("model", metavar="MODEL.zip", help="PPO, A2C, TD3, DDPG or SAC with an MLP")
    p.add_argument("--env", required=True, metavar="ID", help="the Gymnasium environment")
    p.add_argument(
        "--eps", required=True, type=float, help="radius, in standard deviations of observations"
    )
    p.add_argument("--normalizer", metavar="FILE", help="the saved VecNormalize, or mean, var .npz")
    p.add_argument(
        "--scale-by", type=int, default=0, metavar="N",
        help="without one: measure deviations on N episodes",
    )  # fmt: skip
    p.add_argument(
        "--attack", action="append", metavar="NAME", help="one of several; by default all"
    )
    p.add_argument("--episodes", type=int, default=50, help="of each attack (50)")
    p.add_argument("--updates", type=int, default=50, help="of attackers that learn (50)")
    p.add_argument("--set", action="append", default=[], metavar="env.KEY=VALUE")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.add_argument("--quiet", action="store_true", help="no progress")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns 0, 1 (it broke) or 2 (bad input)."""
    output.ready()

    def attack() -> int:
        args = parser().parse_args(argv)
        given = settings(args.set)
        if set(given) - {"env"}:
            raise ValueError(f"--set is for env.KEY, got {', '.join(sorted(given))}")
        from banditlab.reports.attack import render, report

        with Bar(quiet=args.quiet) as bar:
            found = report(
                args.model, args.env, args.eps, normalizer=args.normalizer, attacks=args.attack,
                episodes=args.episodes, updates=args.updates, scale_by=args.scale_by,
                options=given.get("env"), seed=args.seed, progress=bar.show,
            )  # fmt: skip
        if args.json:
            print(json.dumps(found))
        else:
            from rich.console import Console

            render(found, Console())
        return 0

    return output.answered(attack, lambda: "interrupted; nothing is kept of an attack")
