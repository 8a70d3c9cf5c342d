"""Object arrays of npz files without the pickle module: a reader of plain values that cannot run anything.

NumPy writes an array of Python objects as a pickle, which is a program. Here its instructions are interpreted as data:
texts, numbers, lists, tuples, dictionaries, and NumPy's arrays and scalars of plain types. Whatever else a pickle asks
for, an import, a call, is refused before it happens, so that nothing of a hostile file is ever executed.
"""

import io
import pickletools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_PLAIN_TYPE = re.compile("[biufcSU][0-9]{1,6}")  # of arrays and scalars within
_KEYS = (str, int, float, bool, type(None))  # of dictionaries: nothing that hashes by recursion
_TAKEN_AS_THEY_ARE = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}


class _Name(NamedTuple):
    """Something that a pickle would import."""

    module: str
    name: str


class _Mark:
    """Where a run of items begins on the stack."""


class _Type:
    """A NumPy type that is being put together."""

    def __init__(self, code: Any) -> None:
        self.is_object = code in ("O", "O8", "O4")
        if not self.is_object and not _PLAIN_TYPE.fullmatch(_text(code)):
            raise ValueError(f"it holds the type {code!r}; accepted: numbers and texts")
        self.dtype = None if self.is_object else np.dtype(code)

    def set_state(self, state: Any) -> "_Type":
        """Take the byte order, the only part of a state that a plain type has."""
        if self.dtype is not None:
            if state[1] not in ("<", ">", "|", "="):
                raise ValueError(f"it holds a type of byte order {state[1]!r}")
            self.dtype = self.dtype.newbyteorder(state[1])
        return self


class _EmptyArray:
    """An array before it has got its content."""

    def set_state(self, state: Any) -> np.ndarray:
        """Return the array of this content."""
        _, shape, kind, fortran, content = state
        if kind.is_object:
            array = np.empty(len(_exactly(list, content)), object)
            for index, item in enumerate(content):  # one by one: items that are lists stay lists
                array[index] = item
            return array.reshape(shape)  # objects are in the order of C, whatever the array was
        return np.frombuffer(content, kind.dtype).reshape(shape, order="F" if fortran else "C").copy()


def read_objects(content: bytes) -> np.ndarray:
    """Return the array of Python objects that NumPy has written.

    Parameters
    ----------
    content : bytes
        A member of an npz file, behind the header of the array. Pickle protocols 2 to 5 of NumPy 1 and 2.

    Returns
    -------
    ndarray of object

    Raises
    ------
    ValueError
        When it holds anything but plain values, or ends early.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(content)):
            machine.do(opcode.name, argument)
    except ValueError:
        raise
    except Exception as error:  # an instruction that finds other things on the stack than it needs
        raise ValueError(f"its objects are damaged: {type(error).__name__}: {error}") from error
    if len(machine.stack) != 1 or not isinstance(machine.stack[0], np.ndarray):
        raise ValueError("its objects are no array")
    return machine.stack[0]


class _Machine:
    """The stack and the memory of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memory: dict[int, Any] = {}

    def do(self, instruction: str, argument: Any) -> None:
        """Carry out one instruction."""
        if instruction in _TAKEN_AS_THEY_ARE:
            self.stack.append(argument)
        elif instruction in _CONSTANTS:
            self.stack.append(_CONSTANTS[instruction]())
        elif instruction not in ("PROTO", "FRAME", "STOP"):
            method = getattr(self, f"_{instruction.lower()}", None)
            if method is None:
                raise ValueError(f"it needs the instruction {instruction} of pickle; accepted: plain values")
            method(argument)

    def _mark(self, _: Any) -> None:
        self.stack.append(_Mark)

    def _above_mark(self) -> list[Any]:
        mark = max(index for index, item in enumerate(self.stack) if item is _Mark)
        items = self.stack[mark + 1 :]
        del self.stack[mark:]
        return items

    def _binput(self, index: int) -> None:
        self._memory[index] = self.stack[-1]

    _long_binput = _binput

    def _memoize(self, _: Any) -> None:
        self._memory[len(self._memory)] = self.stack[-1]

    def _binget(self, index: int) -> None:
        self.stack.append(self._memory[index])

    _long_binget = _binget

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._above_mark()))

    def _short_tuple(self, length: int) -> None:
        items = tuple(self.stack[-length:])
        del self.stack[-length:]
        self.stack.append(items)

    def _tuple1(self, _: Any) -> None:
        self._short_tuple(1)

    def _tuple2(self, _: Any) -> None:
        self._short_tuple(2)

    def _tuple3(self, _: Any) -> None:
        self._short_tuple(3)

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        _exactly(list, self.stack[-1]).append(item)

    def _appends(self, _: Any) -> None:
        items = self._above_mark()
        _exactly(list, self.stack[-1]).extend(items)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _setitems(self, _: Any) -> None:
        self._set(self._above_mark())

    def _set(self, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in _KEYS:
                raise ValueError(f"it has a dictionary with a {type(key).__name__} as key; accepted: texts and numbers")
            _exactly(dict, self.stack[-1])[key] = value

    def _global(self, argument: str) -> None:
        self.stack.append(_known(_Name(*argument.split(" ", 1))))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_known(_Name(_text(module), _text(name))))

    def _reduce(self, _: Any) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        self.stack.append(_MAKERS[_exactly(_Name, name)](*_exactly(tuple, arguments)))

    def _build(self, _: Any) -> None:
        state, unfinished = self.stack.pop(), self.stack.pop()
        if not isinstance(unfinished, _Type | _EmptyArray):
            raise ValueError(f"it sets the state of a {type(unfinished).__name__}; accepted: plain values")
        finished = unfinished.set_state(_exactly(tuple, state))
        self._memory = {index: finished if kept is unfinished else kept for index, kept in self._memory.items()}
        self.stack.append(finished)


def _known(name: _Name) -> _Name:
    if name not in _MAKERS and name not in _CLASSES:
        raise ValueError(f"it asks for {name.module}.{name.name}, which is refused; accepted: plain values")
    return name


def _exactly(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"its objects are damaged: a {type(value).__name__} instead of a {kind.__name__}")
    return value


def _text(value: Any) -> str:
    return _exactly(str, value)


def _empty_array(kind: Any, shape: Any, code: Any) -> _EmptyArray:
    if kind != _Name("numpy", "ndarray") or shape != (0,) or code not in (b"b", "b"):
        raise ValueError("it holds an array of an unusual kind")
    return _EmptyArray()


def _scalar(kind: _Type, content: bytes) -> Any:
    """Return a NumPy scalar as the Python value that it is."""
    return np.frombuffer(content, kind.dtype, count=1)[0].item()


def _array(content: bytes, kind: _Type, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(content, kind.dtype).reshape(shape, order=order).copy()  # type: ignore[call-overload]


def _latin1(text: str, encoding: str) -> bytes:
    """Return bytes, which protocol 2 stores as a text."""
    if encoding != "latin1":
        raise ValueError(f"it holds bytes as text in {encoding!r}")
    return _text(text).encode("latin1")


_CLASSES = {_Name("numpy", "ndarray")}
_MAKERS: dict[_Name, Callable[..., Any]] = {_Name("numpy", "dtype"): lambda code, *_: _Type(code)}
for _core in ("numpy.core", "numpy._core"):  # before and after NumPy 2
    _MAKERS[_Name(f"{_core}.multiarray", "_reconstruct")] = _empty_array
    _MAKERS[_Name(f"{_core}.multiarray", "scalar")] = _scalar
    _MAKERS[_Name(f"{_core}.numeric", "_frombuffer")] = _array
_MAKERS[_Name("_codecs", "encode")] = _latin1
