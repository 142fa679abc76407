"""Tell one meaning of a function from another (promise P12), whatever its comments, docstrings and formatting.

What counts is the syntax tree of the function, those of the functions and classes of the same package that it refers
to, and of what these refer to, and the parameters that the user declares. What it reads from elsewhere (a file, a
global value, a library) does not: declare it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import json
import linecache
import sys
import sysconfig
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from leftoff.errors import UnusableValue, UsageError
from leftoff.work.values import encode

_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_UNSAID: Final = frozenset({"ctx", "type_comment", "kind"})  # of no meaning, or not the same in every Python
_FOREIGN: Final = ("site-packages", "dist-packages")
_LAMBDA: Final = "<lambda>"
_HEAP_TYPE: Final = 1 << 9  # a flag of types that Python code defined


class Version(NamedTuple):
    """Be what a function meant: an id, and the sum of each part, so that the part that changed can be named."""

    id: str
    parts: dict[str, str]


def version_of(function: Callable[..., Any] | None, parameters: Any = None) -> Version | None:
    """Return the version of a function with its declared parameters; None where there is nothing to tell it by.

    parameters: any JSON. A function whose source cannot be had (built in, typed at a prompt) has none. One of our own
    counts for nothing: a release changes it, and an application declares what it does in its parameters.
    """
    if _is_our_own(function):
        function = None
    parts = {} if function is None else _Parts(function).sums
    if function is not None and not parts:
        return None
    parts |= _parameter_parts(parameters)
    if not parts:
        return None
    return Version(_sum(json.dumps(sorted(parts.values())), 12), parts)  # what moves to another file is the same


def _is_our_own(function: Any) -> bool:
    module = getattr(function, "__module__", None) or ""
    return bool(module.partition(".")[0] == __name__.partition(".")[0])


def _parameter_parts(parameters: Any) -> dict[str, str]:
    """Return a part for each declared parameter."""
    if parameters is None:
        return {}
    try:
        plain = json.loads(encode(parameters, "parameters") or "null")
    except UnusableValue as error:
        raise UsageError(f"parameters={parameters!r}: give what JSON can hold ({error.__context__})") from None
    named = plain if isinstance(plain, dict) else {"": plain}
    return {
        f"parameter {name}".rstrip(): _sum(json.dumps([name, value], sort_keys=True)) for name, value in named.items()
    }


def changed_parts(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return the names of the parts that are not what they were, or are there no more, or are new."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _sum(text: str, digits: int = 8) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


class _Parts:
    """Collect the sums of a function and of all that it refers to in its package."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.sums: dict[str, str] = {}
        self._seen: set[int] = set()
        self._module = ""
        self._home: Path | None = None
        self._add_callable(function)

    def _add_callable(self, function: Any) -> None:
        if isinstance(function, functools.partial):
            self._add_callable(function.func)
            if self.sums:
                self.sums["arguments"] = _sum(_plain_text([list(function.args), function.keywords]))
        else:
            self._add(_defined(function))

    def _add(self, thing: types.FunctionType | type | None) -> None:
        """Add what was defined by a `def`, a `lambda` or a `class`, unless it is somebody else's."""
        if thing is None or id(thing) in self._seen:
            return
        self._seen.add(id(thing))
        file = _file_of(thing)
        if not self.sums and not self._module:
            self._module, self._home = thing.__module__, _package_of(file)
        if not self._is_ours(thing.__module__, Path(file)):
            return
        names = _names_of(thing)
        definitions = _found(thing, file, names)
        if definitions:
            self.sums[_name_of(thing, file)] = _sum("".join(each.text for each in definitions))
        for definition in definitions:
            for reference in definition.references:
                self._add(_defined(_resolved(reference, names)))

    def _is_ours(self, module: str, file: Path) -> bool:
        """Return whether a definition belongs to the package of the function, or lies beside its script."""
        if module == self._module:
            return True
        if self._home is None or not file.is_relative_to(self._home):
            return False
        foreign = any(name in file.relative_to(self._home).parts for name in _FOREIGN)
        return not foreign and not file.is_relative_to(sysconfig.get_path("stdlib"))


def _defined(value: Any) -> types.FunctionType | type | None:
    """Return the function or class that a value is, or whose instance it is; None for what Python did not define."""
    value = inspect.unwrap(value) if callable(value) else value
    if isinstance(value, types.MethodType):
        value = value.__self__  # it may call any other method
    if isinstance(value, functools.partial):
        value = value.func
    if isinstance(value, types.FunctionType):
        return value
    kind = value if isinstance(value, type) else type(value)
    return kind if kind.__flags__ & _HEAP_TYPE and hasattr(sys.modules.get(kind.__module__), "__file__") else None


def _package_of(file: str) -> Path | None:
    """Return the folder of the outermost package that a file is in, that of the file where it is in none."""
    folder = Path(file).parent
    if not Path(file).is_file():
        return None  # a cell of a notebook
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return folder


def _file_of(thing: types.FunctionType | type) -> str:
    if isinstance(thing, types.FunctionType):
        return thing.__code__.co_filename
    return str(getattr(sys.modules[thing.__module__], "__file__", ""))


def _name_of(thing: types.FunctionType | type, file: str) -> str:
    """Return how a part is called: by its file, as a script that is imported another time has another module name."""
    path = Path(file)
    stem = path.parent.name if path.stem in ("__init__", "__main__") else path.stem
    return thing.__qualname__ if path.suffix != ".py" else f"{stem}.{thing.__qualname__}"


def _names_of(thing: types.FunctionType | type) -> dict[str, Any]:
    """Return what the names in a definition stand for, as far as that is known without running it."""
    if not isinstance(thing, types.FunctionType):
        return vars(sys.modules[thing.__module__])
    cells = zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True)
    enclosed = {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}
    return {**thing.__globals__, **enclosed}


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # asked for what it raises
    except ValueError:
        return False
    return True


def _found(thing: types.FunctionType | type, file: str, names: dict[str, Any]) -> list[_Definition]:
    """Return where a thing is defined: several places where lambdas share a line, none where there is no source."""
    linecache.checkcache(file)
    definitions = _definitions("".join(linecache.getlines(file, names)))
    line = thing.__code__.co_firstlineno if isinstance(thing, types.FunctionType) else 0
    same_name = definitions.get(thing.__name__, [])
    exact = [each for each in same_name if line in each.lines]
    return exact if exact or thing.__name__ == _LAMBDA else same_name[-1:]


@functools.lru_cache(maxsize=256)
def _definitions(source: str) -> dict[str, list[_Definition]]:
    """Return the definitions of a file by their names; none of a file that was edited since, and is not whole."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    found: dict[str, list[_Definition]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            found.setdefault(_LAMBDA, []).append(_Definition(node, (node.lineno,)))
        elif isinstance(node, _DEFINITIONS):
            lines = (node.lineno, *(each.lineno for each in node.decorator_list))
            found.setdefault(node.name, []).append(_Definition(node, lines))
    return found


class _Definition:
    """Be one definition in a file: the lines it may be said to begin on, its text, and what it refers to."""

    def __init__(self, node: ast.AST, lines: tuple[int, ...]) -> None:
        self.lines = lines
        self._node = node

    @functools.cached_property
    def text(self) -> str:
        """The definition, without what has no meaning."""
        return _text(self._node)

    @functools.cached_property
    def references(self) -> list[tuple[str, ...]]:
        """What it refers to, as a name and the attributes behind it."""
        found = (_dotted(part) for part in ast.walk(self._node) if isinstance(part, (ast.Name, ast.Attribute)))
        return list(dict.fromkeys(name for name in found if name))


def _dotted(node: ast.AST) -> tuple[str, ...]:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return (*before, node.attr)
    return ()


def _resolved(reference: tuple[str, ...], names: dict[str, Any]) -> Any:
    """Return what a name, or the attributes of a module, stand for; None where that is not known."""
    value = names.get(reference[0])
    for attribute in reference[1:]:
        if not isinstance(value, types.ModuleType):
            return None
        value = vars(value).get(attribute)
    return None if isinstance(value, types.ModuleType) else value


def _text(node: Any) -> str:
    """Write a syntax tree down, the same in every Python, without what has no meaning."""
    if isinstance(node, ast.AST):
        parts = [
            f"{name}={_text(value)}"
            for name, value in ast.iter_fields(node)
            if name not in _UNSAID and value is not None and value != []
        ]
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        return f"[{','.join(_text(each) for each in node if not _is_docstring(each))}]"
    return f"{type(node).__name__}:{node!r}"


def _is_docstring(node: Any) -> bool:
    """Return whether a statement is a text that nobody uses."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _plain_text(value: Any) -> str:
    """Return a value as JSON; what JSON cannot hold has no meaning that could be told from another."""
    return json.dumps(value, sort_keys=True, default=lambda other: type(other).__qualname__)
