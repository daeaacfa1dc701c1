"""The architecture as a test: who may import whom, no circles, nothing imported inside a function."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pixian_web", "jobs", "engine", "accounts", "pixian")

# A package may import itself, and what stands here.
MAY_IMPORT = {
    "pixian_web": PACKAGES,
    "jobs": (
        "accounts.models",
        "accounts.ledger.operations",
        "accounts.access",
        "accounts.fields",
        "accounts.api_keys.keys",
        "accounts.long_tables",
        "accounts.management.arguments",
        "accounts.ledger.money",
        "accounts.rate_limits",
        "accounts.ledger.allowances",
        "pixian",
    ),
    "engine": ("pixian",),
    "accounts": ("pixian.protocol.credentials",),  # a key has the contract's shape
    "pixian": (),
}
WITHOUT_DJANGO = ("pixian", "engine")
NAMES_THAT_HOLD_ANYTHING = {"services.py", "utils.py", "helpers.py", "signals.py", "common.py", "misc.py"}

pytestmark = pytest.mark.house


def sources() -> list[Path]:
    """Every module that isn't a test or a migration."""
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if not {"tests", "migrations"} & set(path.parts)]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sources()}


def imports(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """What a module imports, as full names: for ``from a import b`` both ``a`` and, if it is a module
    of ours, ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            ours = [name for name in names if name in MODULES]
            yield from ((name, node) for name in ours or [node.module])


def ours(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES


def allowed(module: str, name: str) -> bool:
    package = module.partition(".")[0]
    return any(f"{name}.".startswith(f"{target}.") for target in (package, *MAY_IMPORT[package]))


@pytest.mark.parametrize("module", MODULES)
def test_imports_flow_one_way(module: str) -> None:
    wrong = [name for name, _ in imports(MODULES[module]) if ours(name) and not allowed(module, name)]
    assert wrong == []


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m.startswith(tuple(f"{p}." for p in WITHOUT_DJANGO))]
)
def test_the_contract_and_the_engine_know_no_django(module: str) -> None:
    assert not [name for name, _ in imports(MODULES[module]) if name.partition(".")[0] == "django"]


def test_no_circles() -> None:
    graph = {module: {n for n, _ in imports(path) if ours(n)} - {module} for module, path in MODULES.items()}
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_imported_inside_a_function(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = [n for f in functions for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert [node.lineno for node in inside] == []


def test_no_name_that_can_hold_anything() -> None:
    assert [path for path in MODULES.values() if path.name in NAMES_THAT_HOLD_ANYTHING] == []


def test_a_forbidden_arrow_is_seen() -> None:
    """The control: the rule knows the difference."""
    assert allowed("jobs.worker.run", "accounts.ledger.operations")
    assert not allowed("jobs.worker.run", "accounts.admin")
    assert not allowed("jobs.worker.run", "engine.server.app")
    assert not allowed("pixian.client.client", "accounts")
    assert not allowed("engine.server.app", "jobs.models")
