"""How Python calls the named statements, as far as its source alone tells.

A call is understood if the source spells it out: `statements().NAME.rows(connection, key=…, **mapping)`, where the
statement may be bound to a name first, and the keys of the mapping are in the source (a dictionary display, a
TypedDict, a function that returns one). A call that is not understood is reported like a wrong one.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product

METHODS = {"rows", "row", "value", "run", "copy", "pieces"}
_SETS = {"statements": "shared", "engine_statements": "engine"}
_OF_FIELDS = {"checked", "changed"}
"""Functions that return a mapping with the keys of their first argument."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Keys = frozenset[frozenset[str]]
"""The keys of a mapping: one of these sets."""

Known = Mapping[str, Mapping[str, frozenset[str]]]
"""The parameters of each statement, by the set that it is in (`shared`, `engine`, `bench`) and its name."""


@dataclass(frozen=True)
class Resources:
    """The fields of each kind of resource, and the names of their statements by verb; the optional columns."""

    fields: Sequence[frozenset[str]]
    names: Mapping[str, Sequence[str]]
    optional: frozenset[str] = frozenset()


@dataclass
class Found:
    """Problems, as text, and the statements that are called, each with the paths of its callers."""

    problems: list[str] = field(default_factory=list)
    called: dict[tuple[str, str], set[str]] = field(default_factory=dict)


class _UnclearError(Exception):
    """The source does not say which keys a mapping has."""


@dataclass
class _Scope:
    """A function or module: what its names are bound to, and the scope around it."""

    node: _Function | ast.Lambda | ast.Module
    outer: "_Scope | None"
    values: dict[str, list[ast.expr]] = field(default_factory=dict)
    types: dict[str, ast.expr] = field(default_factory=dict)

    def holder(self, name: str) -> "_Scope | None":
        """The innermost scope that binds a name."""
        if name in self.values or name in self.types:
            return self
        return None if self.outer is None else self.outer.holder(name)


def look(sources: Mapping[str, str], known: Known, resources: Resources) -> Found:
    """Compare every call of a statement in some sources, given by path, with the statement."""
    found = Found()
    program = _Program(sources)
    for path, source in sources.items():
        if re.search(r"statements|\.statement\(|\bSQL\b", source):
            _Look(program.module(path), program, known, resources, found).all()
    return found


def uncalled_statements(known: Known, found: Found, owners: Mapping[str, str]) -> set[str]:
    """The statements that are not called by their owner: the program at the path given for their set."""
    called = {of for of, paths in found.called.items() if any(path.startswith(owners[of[0]]) for path in paths)}
    return {name for kind, held in known.items() for name in held if (kind, name) not in called}


class _Program:
    """Sources, each parsed on request."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._modules: dict[str, _Module] = {}
        self._paths: dict[str, list[str]] = {}
        for path, source in sources.items():
            for name in set(re.findall(r"\bdef (\w+)\(", source)):
                self._paths.setdefault(name, []).append(path)

    def module(self, path: str) -> "_Module":
        if path not in self._modules:
            self._modules[path] = _Module(path, ast.parse(self._sources[path]))
        return self._modules[path]

    def functions(self, name: str) -> Iterator[tuple["_Module", _Function]]:
        """The functions with a name, in any module."""
        for path in self._paths.get(name, ()):
            module = self.module(path)
            yield from ((module, function) for function in module.functions.get(name, ()))


class _Module:
    def __init__(self, path: str, tree: ast.Module) -> None:
        self.path = path
        self.tree = tree
        self.scope_of: dict[ast.AST, _Scope] = {}
        self.attributes: dict[str, list[ast.expr]] = {}
        self.attribute_types: dict[str, ast.expr] = {}
        self.typed: dict[str, frozenset[str]] = {}
        self.imported = {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.functions: dict[str, list[_Function]] = {}
        self._bind(tree, _Scope(tree, None))

    def _bind(self, node: ast.AST, scope: _Scope) -> None:
        self.scope_of[node] = scope
        inner = scope
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inner = _Scope(node, scope)
            if isinstance(node, _Function):
                self.functions.setdefault(node.name, []).append(node)
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                inner.types[argument.arg] = argument.annotation or ast.Constant(None)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value, scope)
        elif isinstance(node, ast.AnnAssign):
            if isinstance(node.target, ast.Name):
                scope.types[node.target.id] = node.annotation
            if node.value is not None:
                self._assign(node.target, node.value, scope)
        elif isinstance(node, ast.ClassDef):
            self._note_class(node)
        for child in ast.iter_child_nodes(node):
            self._bind(child, inner)

    def _assign(self, target: ast.expr, value: ast.expr, scope: _Scope) -> None:
        if isinstance(target, ast.Name):
            scope.values.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Attribute):
            self.attributes.setdefault(target.attr, []).append(value)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, its_value in zip(target.elts, value.elts, strict=True):
                self._assign(one, its_value, scope)

    def _note_class(self, node: ast.ClassDef) -> None:
        fields = {
            one.target.id: one.annotation
            for one in node.body
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        }
        if any(isinstance(base, ast.Name) and base.id == "TypedDict" for base in node.bases):
            self.typed[node.name] = frozenset(fields)
        else:
            self.attribute_types |= fields


class _Look:
    """The analysis of a module."""

    def __init__(
        self,
        module: _Module,
        program: _Program,
        known: Known,
        resources: Resources,
        found: Found,
    ) -> None:
        self._module = module
        self._program = program
        self._known = known
        self._resources = resources
        self._found = found
        self._understood: set[ast.AST] = set()

    def all(self) -> None:
        nodes = list(ast.walk(self._module.tree))
        for node in nodes:
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.Attribute) and node.attr == "text" and self._statements(node.value):
                self._compare(node, node.value, frozenset({frozenset()}))
        parents = {child: node for node in nodes for child in ast.iter_child_nodes(node)}
        for node in nodes:
            self._judge(node, parents)

    def _judge(self, node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> None:
        """Report a statement, or a set of them, that is used in a way that is not understood."""
        if isinstance(node, ast.Attribute) and self._set(node.value) and node not in self._understood:
            self._problem(node, f"the use of the statement {node.attr} is not understood")
        if isinstance(node, ast.ImportFrom) and node.module == "tidemark.database":
            if any(alias.name == "statements" for alias in node.names):
                self._problem(node, "statements() is to be imported, not its module")
        elif isinstance(node, (ast.Call, ast.Name)) and self._set(node) and not self._is_target(node):
            scope = self._module.scope_of[node].node
            of_resource = isinstance(scope, ast.FunctionDef) and scope.name == "statement"
            if not isinstance(parents[node], (ast.Attribute, ast.Assign, ast.Tuple)) and not of_resource:
                self._problem(node, "statements are used in a way that is not understood")

    def _is_target(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)

    def _call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS and self._statements(node.func.value):
            given: ast.expr | None = node.func.value
        else:
            # A function that receives a statement receives its parameters too.
            given = next((one for one in node.args if self._statements(one)), None)
        if given is None:
            return
        try:
            keys = self._product(
                [frozenset({frozenset({one.arg})}) if one.arg else self._keys(one.value) for one in node.keywords]
            )
        except _UnclearError as unclear:
            self._problem(node, f"the keys of {unclear} are not understood")
            self._names(given)
        else:
            self._compare(node, given, keys)

    def _compare(self, node: ast.AST, given: ast.expr, keys: _Keys) -> None:
        for kind, name, exact in self._names(given):
            self._found.called.setdefault((kind, name), set()).add(self._module.path)
            parameters = self._known[kind].get(name)
            if parameters is None:
                self._problem(node, f"there is no statement {name}")
            elif (keys != {parameters}) if exact else (parameters not in keys):
                sent = " or ".join(", ".join(sorted(one)) for one in sorted(keys, key=sorted))
                self._problem(
                    node, f"{name} takes {', '.join(sorted(parameters)) or 'nothing'}, not {sent or 'nothing'}"
                )

    def _names(self, given: ast.expr) -> list[tuple[str, str, bool]]:
        """The statements that an expression may be: set, name, and whether each call of them is the same."""
        named = []
        for node in self._statements(given):
            self._understood.add(node)
            if isinstance(node, ast.Attribute):
                kind = self._set(node.value)
                assert kind is not None
                named.append((kind, node.attr, True))
            elif isinstance(node, ast.Call):  # of a resource
                verb = node.args[0]
                assert isinstance(verb, ast.Constant)
                named += [("shared", name, False) for name in self._resources.names[str(verb.value)]]
        return named

    def _statements(self, node: ast.expr) -> list[ast.expr]:
        """The expressions that name the statements which an expression may be; none if it is something else."""
        match node:
            case ast.Attribute(value=value) if self._set(value):
                return [node]
            case ast.IfExp(body=body, orelse=orelse):
                return [*self._statements(body), *self._statements(orelse)]
            case ast.Name(id=name):
                return [found for value in self._values(node, name) for found in self._statements(value)]
            case ast.Call(func=ast.Attribute(attr="statement"), args=[ast.Constant()]):
                return [node]
            case ast.Call(func=ast.Name(id=name)):
                returned = (one for function in self._module.functions.get(name, ()) for one in _returned(function))
                return [found for value in returned for found in self._statements(value)]
        return []

    def _set(self, node: ast.AST) -> str | None:
        """Which set of statements an expression is."""
        match node:
            case ast.Call(func=ast.Name(id="Statements")) if self._module.path.startswith("bench"):
                return "bench"
            case ast.Call(func=ast.Name(id=name)):
                return _SETS.get(self._module.imported.get(name, ("", name))[1])
            case ast.Name(id=name) if self._module.imported.get(name) == ("bench.service", "SQL"):
                return "bench"
            case ast.Name(id=name):
                return next((kind for value in self._values(node, name) if (kind := self._set(value))), None)
        return None

    def _values(self, node: ast.AST, name: str) -> list[ast.expr]:
        """What a name is bound to, except for values that are computed from the name itself."""
        scope = self._module.scope_of[node].holder(name)
        values = [] if scope is None else scope.values.get(name, [])
        return [
            value
            for value in values
            if not any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(value))
        ]

    def _keys(self, node: ast.expr) -> _Keys:
        """The keys of a mapping. Raises _UnclearError."""
        match node:
            case ast.Dict(keys=keys, values=values):
                return self._product(
                    [
                        self._keys(value) if key is None else _constant(key)
                        for key, value in zip(keys, values, strict=True)
                    ]
                )
            case ast.IfExp(body=body, orelse=orelse):
                return self._keys(body) | self._keys(orelse)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._product([self._keys(left), self._keys(right)])
            case ast.Name(id=name):
                return self._keys_of_name(node, name)
            case ast.Attribute(attr="fields"):
                return frozenset(self._resources.fields)
            case ast.Attribute(attr=name):
                return self._typed(self._module.attribute_types.get(name)) or self._all(
                    node, self._module.attributes.get(name, [])
                )
            case ast.DictComp(key=ast.Attribute(attr="name"), generators=[each]) if _goes_over(each.iter, "OPTIONAL"):
                return frozenset({self._resources.optional})
            case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in _OF_FIELDS:
                return self._keys(first)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                return self._keys_of_call(node, name)
        raise _UnclearError(ast.unparse(node))

    def _keys_of_name(self, node: ast.expr, name: str) -> _Keys:
        scope = self._module.scope_of[node].holder(name)
        typed = None if scope is None else self._typed(scope.types.get(name))
        return typed or self._all(node, self._values(node, name))

    def _keys_of_call(self, node: ast.expr, name: str) -> _Keys:
        """The keys of what a function returns, whichever module it is in."""
        found: _Keys = frozenset()
        for module, function in self._program.functions(name):
            there = _Look(module, self._program, self._known, self._resources, Found())
            with suppress(_UnclearError):  # another function of that name, which returns something else
                found |= there._all(node, _returned(function))
        if not found:
            raise _UnclearError(ast.unparse(node))
        return found

    def _all(self, node: ast.expr, values: Iterable[ast.expr]) -> _Keys:
        found = frozenset(one for value in values for one in self._keys(value))
        if not found:
            raise _UnclearError(ast.unparse(node))
        return found

    def _typed(self, annotation: ast.expr | None) -> _Keys | None:
        """The keys of a TypedDict of the module, None if it is another type."""
        name = annotation.id if isinstance(annotation, ast.Name) else None
        return frozenset({self._module.typed[name]}) if name in self._module.typed else None

    def _product(self, parts: Sequence[_Keys]) -> _Keys:
        return frozenset(frozenset().union(*one) for one in product(*parts))

    def _problem(self, node: ast.AST, text: str) -> None:
        self._found.problems.append(f"{self._module.path}:{getattr(node, 'lineno', 0)}: {text}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _constant(key: ast.expr) -> _Keys:
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        return frozenset({frozenset({key.value})})
    raise _UnclearError(ast.unparse(key))


def _goes_over(node: ast.expr, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))


def _returned(function: _Function) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield node.value


def uncalled_functions(statements: Iterable[str], functions: Mapping[str, str]) -> set[str]:
    """The SQL functions that no statement and no trigger calls, directly or through other functions."""
    called: set[str] = set()
    waiting = [*statements, *(text for text in functions.values() if "CREATE OR REPLACE TRIGGER" in text)]
    while waiting:
        words = set(re.findall(r"\b(\w+)\s*\(", re.sub(r"--.*|REPLACE FUNCTION \w+\s*\(", "", waiting.pop())))
        new = words & (functions.keys() - called)
        called |= new
        waiting += [functions[name] for name in new]
    return functions.keys() - called
