"""The architecture as a test: who may import whom, no cycles, and no import inside a function."""

import ast
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("pixian_web", "jobs", "engine", "accounts", "pixian")
PROOF = ("chaos", "bench", "tests")
PACKAGES = (*PRODUCT, *PROOF)

# A package may import itself, and the packages or modules listed here.
MAY_IMPORT = {
    "pixian_web": PRODUCT,
    "jobs": (
        "accounts.models",
        "accounts.api_keys.keys",
        "accounts.audit_log",
        "accounts.auth.client_ip",
        "accounts.credits.statement",
        "accounts.auth.encryption",
        "accounts.credits.adjustments",
        "accounts.fields",
        "accounts.ledger",
        "accounts.long_tables",
        "accounts.mail",
        "accounts.management.arguments",
        "accounts.rate_limits",
        "accounts.request_id",
        "accounts.spreadsheet",
        "accounts.teams.invitations",
        "accounts.teams.locks",
        "accounts.teams.permissions",
        "pixian",
    ),
    "engine": ("pixian",),
    # An API key has the shape of the contract's credentials, the books its unit of credits, and no database
    # stores some texts.
    "accounts": ("pixian.protocol.credentials", "pixian.protocol.credits", "pixian.protocol.text"),
    "pixian": (),
    "chaos": (*PACKAGES, "conftest"),
    "bench": (*PACKAGES, "conftest"),
    "tests": (*PACKAGES, "conftest"),
}
WITHOUT_DJANGO = ("pixian", "engine")
NAMES_THAT_HOLD_ANYTHING = {"services.py", "utils.py", "helpers.py", "signals.py", "common.py", "misc.py"}

pytestmark = pytest.mark.house


def sources() -> Iterator[Path]:
    """Yield every module of ours except tests beside the code and migrations."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not {"tests", "migrations"} & set(path.relative_to(ROOT / package).parts):
                yield path


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sources()}
OF_THE_PRODUCT = [module for module in MODULES if module.partition(".")[0] in PRODUCT]


def imports(path: Path) -> Iterator[str]:
    """Yield the full names that a module imports; ``from a import b`` gives ``a.b`` if that is a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from [name for name in names if name in MODULES] or [node.module]


def imports_of_ours(module: str) -> list[str]:
    return [name for name in imports(MODULES[module]) if name.partition(".")[0] in (*PACKAGES, "conftest")]


def room(module: str) -> str:
    """Return the sub-package a module belongs to, or the module itself if it belongs to none."""
    parts = module.split(".")
    in_a_room = len(parts) > 2 or (ROOT / Path(*parts)).is_dir()
    return ".".join(parts[:2]) if in_a_room else module


def allowed(module: str, name: str) -> bool:
    package = module.partition(".")[0]
    return any(f"{name}.".startswith(f"{target}.") for target in (package, *MAY_IMPORT[package]))


def sort(arrows: Iterable[tuple[str, str]]) -> None:
    """Raise CycleError, which names the cycle, unless the arrows can be put in an order."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for source, target in arrows:
        sorter.add(source, *({target} - {source}))
    sorter.prepare()


@pytest.mark.parametrize("module", MODULES)
def test_imports_flow_one_way(module: str) -> None:
    assert [name for name in imports_of_ours(module) if not allowed(module, name)] == []


@pytest.mark.parametrize("module", [m for m in MODULES if m.partition(".")[0] in WITHOUT_DJANGO])
def test_the_contract_and_the_engine_know_no_django(module: str) -> None:
    assert not [name for name in imports(MODULES[module]) if name.partition(".")[0] == "django"]


def test_no_cycle_between_modules() -> None:
    sort((module, name) for module in MODULES for name in imports_of_ours(module))


def test_no_cycle_between_rooms() -> None:
    sort((room(module), room(name)) for module in MODULES for name in imports_of_ours(module))


@pytest.mark.parametrize("module", OF_THE_PRODUCT)
def test_nothing_is_imported_inside_a_function(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = [n for f in functions for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert [node.lineno for node in inside] == []


def test_no_name_that_can_hold_anything() -> None:
    assert [path for path in MODULES.values() if path.name in NAMES_THAT_HOLD_ANYTHING] == []


def test_a_forbidden_arrow_is_seen() -> None:
    """The control: the rules know the difference."""
    assert allowed("jobs.worker.run", "accounts.ledger.operations")
    assert not allowed("jobs.worker.run", "accounts.admin")
    assert not allowed("jobs.worker.run", "engine.server.app")
    assert not allowed("jobs.worker.run", "chaos.checker")
    assert not allowed("pixian.client.client", "accounts")
    assert not allowed("engine.server.app", "jobs.models")
    assert (room("jobs.queue.claims"), room("jobs.queue"), room("jobs.urls")) == ("jobs.queue",) * 2 + (
        "jobs.urls",
    )
    with pytest.raises(CycleError):
        sort([("jobs.queue", "jobs.calls"), ("jobs.calls", "jobs.storage"), ("jobs.storage", "jobs.queue")])
