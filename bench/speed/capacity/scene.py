"""Run what is asked for in one instance, once Django is set up."""

import argparse

from bench.speed.capacity import files, picture, queue, rows
from chaos.environment import Environment
from chaos.system import System

TEAMS = 50
MEASURES = {"picture": picture.run, "queue": queue.run, "rows": rows.run, "files": files.run}


def run(environment: Environment, options: argparse.Namespace) -> None:
    with System(environment, teams=TEAMS, fast=False) as system:
        # In this order: queues stay filled, and nothing is forked once the engine has started its threads.
        for name, measure in MEASURES.items():
            if name in options.what:
                measure(system, options)
