"""What happens to processes, and to the database, at random over hours."""

from collections import Counter
from collections.abc import Callable
from random import Random

from chaos.process import Process
from chaos.system import System

FROZEN_SECONDS = (1, 16)
LOCK_TIMEOUT_SECONDS = 4
"""How long SQLite waits for its lock here: 20 s in the product, beside a lease of 60 s."""

LOCKED_SECONDS = 6
AWAY_SECONDS = (0.2, 3)
CUT = 0.5
STOPS_WITHIN_SECONDS = 180


class Hazards:
    """Mortal processes and the database, and what may happen to them. None of the others is touched.

    counts: how often what happened. found: sentences about processes that didn't stop as told. wait: lets so
    many seconds pass.
    """

    def __init__(
        self,
        system: System,
        chance: Random,
        starts: dict[str, Callable[[], Process]],
        wait: Callable[[float], None],
    ) -> None:
        self._system, self._chance, self._starts, self._wait = system, chance, starts, wait
        self.mortal = {name: start() for name, start in starts.items()}
        self.counts: Counter[str] = Counter()
        self.found: list[str] = []

    def happen(self) -> None:
        """Let one of them happen; more often what costs less time."""
        hazards = [self._kill, self._kill, self._kill, self._freeze, self._freeze, self._restart]
        if self._system.environment.postgres:
            hazards += [self._cut_connections, self._kill_database]
        else:
            hazards.append(self._lock)
        self._chance.choice(hazards)()

    def end(self, processes: dict[str, Process]) -> None:
        """End processes as an operator would."""
        for name, process in processes.items():
            if code := process.end(STOPS_WITHIN_SECONDS):
                self.found.append(f"{name} was told to stop, and ended with {code}")

    def _kill(self) -> None:
        name = self._pick("killed")
        self.mortal[name].kill()
        self.mortal[name] = self._starts[name]()

    def _restart(self) -> None:
        """SIGTERM a process, which ends what it does, and start it again."""
        name = self._pick("restarted")
        self.end({name: self.mortal[name]})
        self.mortal[name] = self._starts[name]()

    def _freeze(self) -> None:
        """Stop a process and its children, often beyond its leases, and let it go on."""
        process = self.mortal[self._pick("frozen")]
        process.freeze()
        self._wait(self._chance.uniform(*FROZEN_SECONDS))
        process.thaw()

    def _lock(self) -> None:
        """Let another program keep SQLite's lock for longer than any process waits."""
        locking = self._system.lock_sqlite(LOCKED_SECONDS)
        while locking.is_alive:
            self._wait(1)
        self.counts["database locked"] += 1

    def _cut_connections(self) -> None:
        self._system.environment.needed_postgres.terminate_connections(CUT)
        self.counts["connections cut"] += 1

    def _kill_database(self) -> None:
        postgres = self._system.environment.needed_postgres
        postgres.kill()
        self._wait(self._chance.uniform(*AWAY_SECONDS))
        postgres.start()
        self.counts["database killed"] += 1

    def _pick(self, fate: str) -> str:
        """Pick a process by its name, and count what happens to it."""
        name = self._chance.choice(sorted(self.mortal))
        self.counts[f"{name.partition(' ')[0]}s {fate}"] += 1
        return name
