"""Only `worker/studies/ledger.py` changes an image's state. This test reads the source of every package for it."""

import ast
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
PACKAGES = ("worker", "dashboard", "model_training", "migrations")
LEDGER = Path("worker/studies/ledger.py")

#: State enums of other tables: an assignment of one of these to `.state` changes no image.
OTHER_STATES = {"StudyState", "RunState", "HeatMapState"}
#: Functions that write rows of the table they are given.
WRITERS = {"update", "insert", "bulk_insert_mappings", "bulk_update_mappings"}
RAW_SQL = re.compile(r"\b(update|insert\s+into)\s+images\b.*\bstate\b", re.IGNORECASE | re.DOTALL)


class Writes(ast.NodeVisitor):
    """Collects the lines of one module that could change an image's state."""

    def __init__(self, tree: ast.Module) -> None:
        self.lines: list[int] = []
        #: Local name -> imported name.
        self.imported = {
            name.asname or name.name: name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and node.module in {"worker.studies.records", "sqlalchemy", "sqlalchemy.dialects.sqlite"}
            for name in node.names
        }
        self.other_states: set[str] = set()
        self.visit(tree)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Remember which parameters hold the state of another table."""
        outer = self.other_states
        parameters = [*node.args.args, *node.args.kwonlyargs]
        self.other_states = {p.arg for p in parameters if p.annotation and names(p.annotation) & OTHER_STATES}
        self.generic_visit(node)
        self.other_states = outer

    def visit_Assign(self, node: ast.Assign) -> None:
        """Find `x.state = value`, also inside tuples."""
        for target in node.targets:
            self._assignment(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Find `x.state: str = value`."""
        if node.value:
            self._assignment(node.target, node.value)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """Find `x.state += value`."""
        self._assignment(node.target, node.value)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        """Find `for x.state in values`."""
        self._assignment(node.target, node.iter)
        self.generic_visit(node)

    def _assignment(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            same = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
            for index, part in enumerate(target.elts):
                self._assignment(part, value.elts[index] if same else value)
        elif isinstance(target, ast.Attribute) and target.attr == "state" and not self._of_other_table(value):
            self.lines.append(target.lineno)

    def _of_other_table(self, value: ast.expr) -> bool:
        return bool(names(value) & (OTHER_STATES | self.other_states))

    def visit_Call(self, node: ast.Call) -> None:
        """Find `update(Image)`, `insert(Image)`, `Image(state=...)` and `setattr(x, "state", ...)`."""
        function = names(node.func)
        called = {self.imported.get(name, name) for name in function}
        first = node.args[0] if node.args else None
        writes_rows = called & WRITERS and first is not None and self._is_image(first)
        through_table = called & WRITERS and isinstance(node.func, ast.Attribute) and self._is_image(node.func.value)
        keywords = {keyword.arg for keyword in node.keywords}
        builds = self._is_image(node.func) and not isinstance(node.func, ast.Call) and keywords & {"state", None}
        sets = function == {"setattr"} and any(isinstance(a, ast.Constant) and a.value == "state" for a in node.args)
        if writes_rows or through_table or builds or sets:
            self.lines.append(node.lineno)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Find SQL as text."""
        if isinstance(node.value, str) and RAW_SQL.search(node.value):
            self.lines.append(node.lineno)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Find SQL as an f-string."""
        if RAW_SQL.search(ast.unparse(node)):
            self.lines.append(node.lineno)

    def _is_image(self, node: ast.expr) -> bool:
        """Tell whether an expression is the mapped class `Image`, or its `__table__`."""
        if isinstance(node, ast.Attribute) and node.attr == "__table__":
            return self._is_image(node.value)
        if isinstance(node, ast.Attribute):
            return ast.unparse(node).endswith("records.Image")
        return isinstance(node, ast.Name) and self.imported.get(node.id) == "Image"


def names(node: ast.AST) -> set[str]:
    """Return the identifiers in an expression, those after a dot included."""
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return found | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


def writes(source: str) -> list[int]:
    return sorted(set(Writes(ast.parse(source)).lines))


def test_only_the_ledger_changes_an_images_state():
    """Everything else calls it, so the states can be understood from one file."""
    files = [path for package in PACKAGES for path in (CHECKOUT / package).rglob("*.py")]

    writers = {
        str(path.relative_to(CHECKOUT)): lines
        for path in files
        if path.relative_to(CHECKOUT) != LEDGER and (lines := writes(path.read_text()))
    }

    assert {} == writers
    assert len(writes((CHECKOUT / LEDGER).read_text())) >= 6
    assert len(files) > 150


IMPORTS = """
from sqlalchemy import insert, update as change
from worker.studies import records
from worker.studies.records import Image, Image as Film, ImageState, Study
"""


@pytest.mark.parametrize(
    "line",
    [
        "image.state = ImageState.WAITING",
        "image.state = state",
        "image.state, image.owner = 'waiting', None",
        "study.images[0].state = 'waiting'",
        "(image.state, run.state) = (ImageState.SCORED, RunState.DONE)",
        "image.state: str = 'waiting'",
        "for image.state in states: pass",
        "setattr(image, 'state', 'waiting')",
        "session.execute(change(Image).values(state='waiting'))",
        "session.execute(change(Film).where(Film.id == 1).values(**row))",
        "session.execute(change(records.Image), rows)",
        "session.execute(insert(Image), rows)",
        "Image.__table__.update()",
        "Image(root='r', path='p', state='scored')",
        "Film(**row)",
        "text('UPDATE images SET state = :state')",
        "text(f'INSERT INTO images (id, state) VALUES ({values})')",
        "session.bulk_update_mappings(Image, rows)",
    ],
)
def test_every_way_to_write_a_state_is_found(line):
    """This includes writes under another name, inside a tuple, or as text."""
    assert [5] == writes(IMPORTS + line)


@pytest.mark.parametrize(
    "line",
    [
        "select(Image).where(Image.state == ImageState.WAITING)",
        "run.state = RunState.RUNNING",
        "def end(run, state: RunState): run.state, run.message = state, ''",
        "Image(root='r', path='p')",
        "change(Study).values(state='scored')",
        "session.execute(select(Image.id).order_by(Image.id))",
        "PIL.Image.open(path)",
        "text('UPDATE studies SET state = 1')",
        "dictionary.update(row)",
    ],
)
def test_what_writes_no_state_of_an_image_passes(line):
    """The lines read images, or write other tables."""
    assert [] == writes(IMPORTS + line)
